//! Manifests -> broken rules, and what only a cluster can judge (pure).
//!
//! | file | holds |
//! |---|---|
//! | `kinds.rs` | apiVersion and kind -> is it one of ours? |

mod kinds;

use std::collections::BTreeSet;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, WorkspaceTemplate};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt as _;
use rules::manifest::{self, Place};
use rules::{References, Settings, Violation, Violations, validate};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::kinds::Kind;

/// One object of a file.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) file: String,
    /// Place in the file, from 1.
    pub(crate) number: usize,
    pub(crate) parsed: manifest::Document,
}

impl Document {
    /// The objects of a text.
    #[cfg(test)]
    fn all(file: &str, text: &str) -> Result<Vec<Self>, manifest::Finding> {
        Ok(Self::from_parsed(file, manifest::documents(text)?))
    }

    /// The objects of a parsed text; the items of Lists are objects of their own.
    pub(crate) fn from_parsed(file: &str, parsed: Vec<manifest::Document>) -> Vec<Self> {
        let objects = parsed.into_iter().flat_map(manifest::Document::items);
        let objects = objects.enumerate().map(|(index, parsed)| Self {
            file: file.to_owned(),
            number: index + 1,
            parsed,
        });
        objects.collect()
    }

    /// Where the value is; of a field that is unknown or missing, where its key is, or the closest part of its path.
    fn place(&self, violation: &Violation) -> Place {
        if violation.value.is_empty() {
            return self.parsed.key_place(&violation.field);
        }
        self.parsed.place(&violation.field)
    }
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    pub(crate) file: String,
    /// Place of the object in its file, from 1.
    pub(crate) document: usize,
    /// Kind and name.
    pub(crate) object: String,
    /// Place in the file, from 1.
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) field: String,
    pub(crate) value: String,
    pub(crate) message: String,
}

impl Problem {
    /// A text that cannot be read.
    pub(crate) fn of_text(file: &str, finding: manifest::Finding) -> Self {
        Self {
            file: file.to_owned(),
            document: 0,
            object: YAML.to_owned(),
            line: finding.place.line,
            column: finding.place.column,
            field: finding.field,
            value: finding.value,
            message: finding.message,
        }
    }

    /// A file or folder without any object.
    pub(crate) fn of_nothing(path: &str) -> Self {
        let finding = manifest::Finding {
            place: Place { line: 1, column: 1 },
            field: String::new(),
            value: String::new(),
            message: "holds no object: write a manifest, or leave this path out".to_owned(),
        };
        Self::of_text(path, finding)
    }

    /// Object, field and rule in one line.
    pub(crate) fn text(&self) -> String {
        let parts = [self.object.as_str(), self.field.as_str(), self.message.as_str()];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(": ")
    }
}

/// What stands in place of kind and name where a text cannot be read.
const YAML: &str = "YAML";

/// What a check found.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) problems: Vec<Problem>,
    /// Objects of our kinds.
    pub(crate) checked: usize,
    /// Objects of other kinds.
    pub(crate) skipped: usize,
    /// What only a cluster can judge.
    pub(crate) not_judged: BTreeSet<String>,
}

/// What is never judged without a cluster.
const NEVER_JUDGED: [&str; 5] = [
    "labels and annotations by Kubernetes' own rules",
    "rights of who applies the objects",
    "whether Secrets, ConfigMaps, claims and storage classes exist",
    "lengths, patterns and other rules of the CRDs' schemas, and changes of objects that are stored already",
    "admission by other products, quotas and LimitRanges",
];

/// Settings with placeholders for the image and the gateway's address where the cluster would choose them, which the client does not
/// know. References to Secrets, `ConfigMaps` and claims are the cluster's to judge.
pub(crate) const SETTINGS: &str = "{defaultImage: registry.example/image:1, gatewayAddress: 'https://gateway.example/verify', \
                                   allowUnvouchedReferences: true}";

/// Placeholder for the owner, whom only the cluster knows.
const SOME_OWNER: &str = "owner";

/// Checks all objects of our kinds. Templates, managers and profiles of the same files and of `references` count
/// for workspaces that name them.
pub(crate) fn lint(documents: &[Document], references: &[Document], settings: &Settings) -> Report {
    let crds = api::crds();
    let all = Catalog::from_documents(documents.iter().chain(references));
    let mut report = Report::default();
    for document in documents {
        let object = &document.parsed.value;
        let found = match kinds::kind_of(object, &crds) {
            Kind::Known(crd) => check(object, crd, &all, settings, &mut report.not_judged),
            Kind::Wrong(violation) => vec![violation],
            Kind::Other => {
                report.skipped += 1;
                continue;
            }
        };
        report.checked += 1;
        report.problems.extend(found.into_iter().map(|violation| {
            let place = document.place(&violation);
            Problem {
                file: document.file.clone(),
                document: document.number,
                object: title(object),
                line: place.line,
                column: place.column,
                field: violation.field.clone(),
                message: violation.detail(),
                value: violation.value,
            }
        }));
    }
    if report.checked > 0 {
        report.not_judged.extend(NEVER_JUDGED.map(str::to_owned));
    }
    report.sort();
    report
}

impl Report {
    /// Orders the problems as they stand in the files.
    pub(crate) fn sort(&mut self) {
        let place = |problem: &Problem| (problem.file.clone(), problem.line, problem.column);
        self.problems.sort_by_cached_key(place);
    }
}

/// Kind and name, such as `Workspace demo`.
fn title(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]))
}

/// Objects that workspaces refer to.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) templates: Vec<WorkspaceTemplate>,
    pub(crate) managers: Vec<WorkspaceManager>,
    pub(crate) profiles: Vec<WorkspaceExecutionProfile>,
}

impl Catalog {
    fn from_documents<'a>(documents: impl Iterator<Item = &'a Document> + Clone) -> Self {
        fn all<'a, K: DeserializeOwned>(documents: impl Iterator<Item = &'a Document>, kind: &str) -> Vec<K> {
            let objects = documents.map(|document| &document.parsed.value);
            let objects = objects.filter(|object| object["kind"] == kind);
            objects
                .filter_map(|object| serde_json::from_value(object.clone()).ok())
                .collect()
        }
        Self {
            templates: all(documents.clone(), "WorkspaceTemplate"),
            managers: all(documents.clone(), "WorkspaceManager"),
            profiles: all(documents, "WorkspaceExecutionProfile"),
        }
    }
}

/// All violations of one object, in the order of its fields.
pub(crate) fn check(
    object: &Value,
    crd: &CustomResourceDefinition,
    catalog: &Catalog,
    settings: &Settings,
    not_judged: &mut BTreeSet<String>,
) -> Vec<Violation> {
    let mut found = manifest::unknown_fields(object, crd);
    let by_rules = match crd.spec.names.kind.as_str() {
        "Workspace" => manifest::typed(object).map(|it| of_workspace(&it, catalog, settings, not_judged)),
        "WorkspaceTemplate" => {
            manifest::typed(object).map(|it: WorkspaceTemplate| validate::template(&it.spec, settings))
        }
        "WorkspaceManager" => {
            manifest::typed(object).map(|it: WorkspaceManager| validate::manager(&it, settings))
        }
        "WorkspaceExecutionProfile" => {
            manifest::typed(object).map(|it: WorkspaceExecutionProfile| validate::profile(&it.spec, settings))
        }
        "WorkspaceShare" => manifest::typed(object).map(|it: WorkspaceShare| validate::share(&it.spec)),
        _ => Ok(Vec::new()),
    };
    found.extend(by_rules.unwrap_or_else(|unreadable| vec![unreadable]));
    match Violations::from_list(found) {
        None => Vec::new(),
        Some(violations) => violations.in_order().iter().cloned().collect(),
    }
}

fn of_workspace(
    workspace: &Workspace,
    catalog: &Catalog,
    settings: &Settings,
    not_judged: &mut BTreeSet<String>,
) -> Vec<Violation> {
    let template = workspace.spec.template_ref.as_deref().and_then(|name| {
        let found = catalog
            .templates
            .iter()
            .find(|template| template.name_any() == name);
        if found.is_none() {
            not_judged.insert(format!(
                "bounds of WorkspaceTemplate {name}, which is not among the files"
            ));
        }
        found
    });
    let profile = rules::profile_name(&workspace.spec, template.map(|template| &template.spec));
    let profile = profile.and_then(|name| {
        let found = catalog.profiles.iter().find(|profile| profile.name_any() == name);
        if found.is_none() {
            not_judged.insert(format!(
                "WorkspaceExecutionProfile {name}, which is not among the files"
            ));
        }
        found
    });
    let references = References::managed_by(&catalog.managers)
        .with_template(template)
        .with_profile(profile);
    // The webhook names the owner at creation; templates may have variables of the owner.
    let judged = rules::judge(&with_owner(workspace), &references, settings).violations;
    judged.iter().flat_map(Violations::iter).cloned().collect()
}

/// The workspace with a placeholder for the owner, if it names none.
pub(crate) fn with_owner(workspace: &Workspace) -> Workspace {
    let mut owned = workspace.clone();
    let annotations = owned.annotations_mut();
    annotations
        .entry(api::names::CREATED_BY.to_owned())
        .or_insert_with(|| SOME_OWNER.to_owned());
    owned
}

#[cfg(test)]
mod tests;
