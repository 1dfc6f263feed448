//! Manifests -> broken rules, as API server and webhook would report them, and what only a cluster can judge (pure).

use std::collections::BTreeSet;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, WorkspaceTemplate};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt as _;
use rules::schema::Schema;
use rules::{References, Settings, Violation, Violations, validate};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// One object of a file.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) file: String,
    /// Place in the file, from 1.
    pub(crate) number: usize,
    pub(crate) object: Value,
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    pub(crate) file: String,
    /// Place of the object in its file, from 1.
    pub(crate) document: usize,
    /// Kind and name.
    pub(crate) object: String,
    pub(crate) field: String,
    pub(crate) value: String,
    pub(crate) message: String,
}

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
const NEVER_JUDGED: [&str; 4] = [
    "rights of who applies the objects",
    "whether Secrets, ConfigMaps, claims and storage classes exist",
    "validation rules in CEL of the CRDs, and changes of objects that are stored already",
    "admission by other products, quotas and LimitRanges",
];

/// Placeholder for the owner, whom only the cluster knows.
const SOME_OWNER: &str = "owner";

/// Checks all objects of our kinds. Templates, managers and profiles of the same files count for workspaces that name them.
pub(crate) fn lint(documents: &[Document], settings: &Settings) -> Report {
    let crds = api::crds();
    let all = Known::of(documents);
    let mut report = Report::default();
    for document in documents {
        let kind = document.object["kind"].as_str().unwrap_or_default();
        let version = document.object["apiVersion"].as_str().unwrap_or_default();
        let crd = crds.iter().find(|crd| {
            crd.spec.names.kind == kind && version.split('/').next() == Some(crd.spec.group.as_str())
        });
        let Some(crd) = crd else {
            report.skipped += 1;
            continue;
        };
        report.checked += 1;
        let found = check(document, crd, &all, settings, &mut report.not_judged);
        let name = document.object["metadata"]["name"].as_str().unwrap_or_default();
        report.problems.extend(found.into_iter().map(|violation| Problem {
            file: document.file.clone(),
            document: document.number,
            object: format!("{kind} {name}"),
            field: violation.field.clone(),
            message: violation.detail(),
            value: violation.value,
        }));
    }
    if report.checked > 0 {
        report.not_judged.extend(NEVER_JUDGED.map(str::to_owned));
    }
    report
}

/// The objects that workspaces refer to.
#[derive(Default)]
struct Known {
    templates: Vec<WorkspaceTemplate>,
    managers: Vec<WorkspaceManager>,
    profiles: Vec<WorkspaceExecutionProfile>,
}

impl Known {
    fn of(documents: &[Document]) -> Self {
        fn all<K: DeserializeOwned>(documents: &[Document], kind: &str) -> Vec<K> {
            let documents = documents
                .iter()
                .filter(|document| document.object["kind"] == kind);
            let objects = documents.map(|document| serde_json::from_value(document.object.clone()));
            objects.filter_map(Result::ok).collect()
        }
        Self {
            templates: all(documents, "WorkspaceTemplate"),
            managers: all(documents, "WorkspaceManager"),
            profiles: all(documents, "WorkspaceExecutionProfile"),
        }
    }
}

fn check(
    document: &Document,
    crd: &CustomResourceDefinition,
    known: &Known,
    settings: &Settings,
    not_judged: &mut BTreeSet<String>,
) -> Vec<Violation> {
    let object = &document.object;
    let mut found = unknown_fields(object, crd);
    let faults = Schema::of(crd).faults(&object["spec"], None);
    found.extend(faults.violations().cloned());
    let by_rules = match crd.spec.names.kind.as_str() {
        "Workspace" => parsed(object).map(|it| of_workspace(&it, known, settings, not_judged)),
        "WorkspaceTemplate" => {
            parsed(object).map(|it: WorkspaceTemplate| validate::template(&it.spec, settings))
        }
        "WorkspaceManager" => parsed(object).map(|it: WorkspaceManager| validate::manager(&it, settings)),
        "WorkspaceExecutionProfile" => {
            parsed(object).map(|it: WorkspaceExecutionProfile| validate::profile(&it.spec, settings))
        }
        "WorkspaceShare" => parsed(object).map(|it: WorkspaceShare| validate::share(&it.spec)),
        _ => Ok(Vec::new()),
    };
    match by_rules {
        Ok(violations) => found.extend(violations.into_iter().filter(|it| !faults.covers(it))),
        // What the schema refuses cannot be parsed; then that is the message.
        Err(error) if faults.is_empty() => found.push(Violation::new("spec", "", error)),
        Err(_) => {}
    }
    match Violations::of(found) {
        None => Vec::new(),
        Some(violations) => violations.in_order().iter().cloned().collect(),
    }
}

fn parsed<K: DeserializeOwned>(object: &Value) -> Result<K, String> {
    serde_json::from_value(object.clone()).map_err(|error| error.to_string())
}

fn of_workspace(
    workspace: &Workspace,
    known: &Known,
    settings: &Settings,
    not_judged: &mut BTreeSet<String>,
) -> Vec<Violation> {
    let template = workspace.spec.template_ref.as_deref().and_then(|name| {
        let found = known
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
        let found = known.profiles.iter().find(|profile| profile.name_any() == name);
        if found.is_none() {
            not_judged.insert(format!(
                "WorkspaceExecutionProfile {name}, which is not among the files"
            ));
        }
        found
    });
    let references = References::managed_by(&known.managers)
        .with_template(template)
        .with_profile(profile);
    // The webhook names the owner at creation; templates may have variables of the owner.
    let mut owned = workspace.clone();
    let annotations = owned.annotations_mut();
    annotations
        .entry(api::names::CREATED_BY.to_owned())
        .or_insert_with(|| SOME_OWNER.to_owned());
    let judged = rules::judge(&owned, &references, settings).violations;
    judged.iter().flat_map(Violations::iter).cloned().collect()
}

/// Fields that the kind's schema does not have.
fn unknown_fields(object: &Value, crd: &CustomResourceDefinition) -> Vec<Violation> {
    let schema = crd
        .spec
        .versions
        .last()
        .and_then(|version| serde_json::to_value(&version.schema).ok());
    let schema = schema
        .as_ref()
        .map_or(&Value::Null, |schema| &schema["openAPIV3Schema"]);
    let mut found = Vec::new();
    if let Some(fields) = object.as_object() {
        for (name, value) in fields {
            match name.as_str() {
                "apiVersion" | "kind" | "metadata" => {}
                name => walk(value, &schema["properties"][name], name.to_owned(), &mut found),
            }
        }
    }
    found
}

fn walk(value: &Value, schema: &Value, path: String, found: &mut Vec<Violation>) {
    if schema.is_null() {
        found.push(Violation::new(
            path,
            "",
            "is an unknown field: see docs/api.md, or kubectl explain",
        ));
        return;
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    match value {
        Value::Object(fields) => {
            let additional = &schema["additionalProperties"];
            for (name, value) in fields {
                let of_name = &schema["properties"][name];
                let inner = if of_name.is_null() && additional.is_object() {
                    additional
                } else {
                    of_name
                };
                walk(value, inner, format!("{path}.{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &schema["items"], format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(kind: &str, name: &str, spec: &Value) -> Document {
        Document {
            file: "a.yaml".to_owned(),
            number: 1,
            object: json!({
                "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
            }),
        }
    }

    fn checked(documents: &[Document]) -> Report {
        let settings = Settings::parse("{defaultImage: registry.example/image:1}").unwrap();
        lint(documents, &settings)
    }

    fn lines(report: &Report) -> Vec<String> {
        let problems = report.problems.iter();
        problems
            .map(|problem| format!("{} {}", problem.field, problem.message))
            .collect()
    }

    #[test]
    fn unknown_fields_and_schema_violations_are_found() {
        let spec = json!({"displayName": "a\nb", "colour": "red", "storage": {"sise": "1Gi"}, "env": [{"name": "A", "vlaue": "x"}]});
        let report = checked(&[document("Workspace", "demo", &spec)]);
        let found = lines(&report);
        for expected in [
            "spec.colour is an unknown field",
            "spec.storage.sise is an unknown",
            "spec.displayName \"a\\nb\"",
        ] {
            assert!(
                found.iter().any(|line| line.starts_with(expected)),
                "{expected}: {found:?}"
            );
        }
        assert_eq!(report.problems[0].object, "Workspace demo");
    }

    #[test]
    fn a_template_of_the_same_files_bounds_its_workspaces_and_a_missing_one_is_named() {
        let template = json!({
            "displayName": "t", "defaultImage": "uv", "resourceBounds": {"cpu": {"min": "100m", "max": "2"}},
        });
        let spec = json!({"displayName": "d", "templateRef": "t", "resources": {"limits": {"cpu": "5"}}});
        let workspace = document("Workspace", "demo", &spec);
        let report = checked(&[document("WorkspaceTemplate", "t", &template), workspace.clone()]);
        assert!(
            lines(&report)
                .iter()
                .any(|line| line.starts_with("spec.resources.limits.cpu \"5\"")),
            "{report:?}"
        );
        let report = checked(&[workspace]);
        assert!(
            report
                .not_judged
                .iter()
                .any(|line| line.contains("WorkspaceTemplate t")),
            "{report:?}"
        );
    }

    #[test]
    fn objects_of_other_kinds_are_counted_and_skipped() {
        let mut other = document("Workspace", "demo", &json!({}));
        other.object["apiVersion"] = json!("example.org/v1");
        let report = checked(&[other]);
        assert_eq!((report.checked, report.skipped), (0, 1));
        assert!(report.problems.is_empty() && report.not_judged.is_empty());
    }
}
