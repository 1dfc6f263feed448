//! Drafts of Workspaces, each with its template -> files of ours, judged together (pure).

use std::collections::BTreeMap;

use api::{WorkspaceExecutionProfile, WorkspaceTemplate};
use rules::Violation;
use serde_json::{Value, json};

use crate::draft::{Draft, Target};
use crate::judge::{Judge, typed};
use crate::ledger::Ledger;
use crate::path::Path;
use crate::read::Object;
use crate::rights::{Imported, of_all};
use crate::templates::Style;
use crate::{Error, Import, Options, names, output, pod_template, steps};

const NO_PREFIX: &str = "no --user-prefix was given, so owners (created-by in workspaces.yaml) are called as in the source: if kubectl auth whoami, \
                         or Account in the portal, shows one of them more, such as oidc:, import again into a new folder with that prefix; \
                         with --user-prefix '' this is not said";

/// The folder of a claim that is the home: without it, the home is all of the claim.
const FOLDER: &str = "spec.storage.subPath";
const EXPRESSION: &str = "must be a path: nothing here replaces {…} and $(…) in it";
const NOT_MADE: &str = "its Workspace is not made, because the folder of its home cannot come over";

/// A Workspace on its way.
pub(crate) struct Candidate<'a> {
    pub(crate) object: &'a Object,
    pub(crate) draft: Draft,
    pub(crate) name: String,
    /// How kubectl calls the old object: type, slash, name.
    pub(crate) old: String,
    pub(crate) owner: Option<String>,
}

/// No two workspaces have one name.
pub(crate) fn unique(candidates: &[Candidate<'_>]) -> Result<(), Error> {
    let mut seen = BTreeMap::new();
    for candidate in candidates {
        let key = (&candidate.object.namespace, &candidate.name);
        if let Some(first) = seen.insert(key, candidate.object) {
            let rule = format!(
                "becomes {} here, as that of {} ({}): rename one of them, or convert them in two runs into two namespaces",
                candidate.name,
                first.title(),
                first.origin
            );
            return Err(candidate.object.error("metadata.name", &rule));
        }
    }
    Ok(())
}

/// The object with a name, which it gets by its content, and with a spec, of which everything may be dropped.
pub(crate) fn named(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"] = json!({"name": "one"});
    if object["spec"].is_null() {
        object["spec"] = json!({});
    }
    object
}

/// Drops what breaks a rule in the Workspace or the profile alone.
pub(crate) fn settle(candidate: &mut Candidate<'_>, judge: &Judge) -> Result<(), Error> {
    let object = candidate.object;
    let draft = &mut candidate.draft;
    let folder = Path::of(FOLDER);
    draft.change(Target::Workspace, |at, value| {
        let text = value.as_str().filter(|_| *at == folder).unwrap_or_default();
        let is_plain = !text.contains(['{', '}']) && !text.contains("$(");
        is_plain.then_some(None).ok_or_else(|| EXPRESSION.to_owned())
    });
    draft
        .settle(Target::Workspace, |it| judge.workspace(it, None, None))
        .map_err(|violation| unexplained(object, &violation))?;
    if draft.has(Target::Profile, "spec") {
        draft
            .settle(Target::Profile, |it| judge.profile(&named(it)))
            .map_err(|violation| unexplained(object, &violation))?;
    }
    Ok(())
}

/// Drops what breaks a rule in what the candidate needs of a template, which gets names and images with those of others.
pub(crate) fn settle_template(candidate: &mut Candidate<'_>, judge: &Judge) -> Result<(), Error> {
    let object = candidate.object;
    let check = |it: &Value| {
        let mut template = named(it);
        template["spec"]["displayName"] = json!("one");
        template["spec"]["defaultImage"] = json!("one");
        judge.template(&template)
    };
    pod_template::settle(&mut candidate.draft, check).map_err(|violation| unexplained(object, &violation))
}

/// A broken rule about nothing of the source.
pub(crate) fn unexplained(object: &Object, violation: &Violation) -> Error {
    let rule = format!(
        "{} (a rule of the result, which nothing of the source explains)",
        violation.message
    );
    object.error(&violation.field, &rule)
}

/// A template that comes out.
pub(crate) struct Template {
    pub(crate) value: Value,
    typed: WorkspaceTemplate,
}

impl Template {
    /// A template that breaks no rule.
    pub(crate) fn new(value: Value, judge: &Judge) -> Result<Self, Error> {
        if let Some(violation) = judge.template(&value).into_iter().next() {
            return Err(bug(&violation));
        }
        let typed = typed(&value).map_err(|violation| bug(&violation))?;
        Ok(Self { value, typed })
    }

    pub(crate) fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }
}

fn bug(violation: &Violation) -> Error {
    Error::Bug(format!("{}: {}", violation.field, violation.message))
}

/// What came out so far.
#[derive(Default)]
pub(crate) struct Assembled {
    profiles: BTreeMap<(String, String), Value>,
    workspaces: Vec<Value>,
    imported: Vec<Imported>,
    missing: Vec<String>,
}

impl Assembled {
    /// Takes an execution profile in that a template names.
    pub(crate) fn add_profile(&mut self, namespace: &str, name: &str, profile: Value) {
        self.profiles
            .insert((namespace.to_owned(), name.to_owned()), profile);
    }

    /// Says what no leaf says.
    pub(crate) fn miss(&mut self, lines: impl IntoIterator<Item = String>) {
        self.missing.extend(lines);
    }

    /// Takes a candidate in with its template, and says where its parts are.
    pub(crate) fn add(
        &mut self,
        candidate: &mut Candidate<'_>,
        template: &Template,
        style: &Style,
        judge: &Judge,
        ledger: &mut Ledger,
    ) -> Result<(), Error> {
        let profile = profile(candidate, style);
        let of_profile = profile
            .as_ref()
            .map(typed::<WorkspaceExecutionProfile>)
            .transpose()
            .map_err(|violation| bug(&violation))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let profile_name = profile.as_ref().map(|profile| text(&profile["metadata"]["name"]));
        let version = format!("{}/{}", api::names::GROUP, api::names::VERSION);
        for (field, value) in [
            ("apiVersion", Some(version.as_str())),
            ("kind", Some("Workspace")),
            ("spec.templateRef", Some(template.name())),
            ("spec.executionProfileRef", profile_name.as_deref()),
        ] {
            if let Some(value) = value {
                candidate.draft.put([], Target::Workspace, Path::of(field), value);
            }
        }
        let check = |it: &Value| judge.workspace(it, Some(&template.typed), of_profile.as_ref());
        candidate
            .draft
            .settle(Target::Workspace, check)
            .map_err(|violation| candidate.object.error(&violation.field, &violation.message))?;
        let namespace = candidate.object.namespace.clone();
        if let Some(why) = candidate.draft.loss(Target::Workspace, FOLDER) {
            self.missing.push(format!(
                "{}: Workspace {namespace}/{} is not made: the folder of its home cannot come over ({why}), and its home would be all of the \
                 claim: rename the folder, name it so in the source, and import again, or make the Workspace by hand",
                candidate.object.title(),
                candidate.name
            ));
            candidate.draft.lose(NOT_MADE);
            candidate.draft.tell(ledger, |_| String::new());
            return Ok(());
        }
        let workspace = candidate.draft.build(Target::Workspace);
        let storage = &workspace["spec"]["storage"];
        let home = storage["claimName"].as_str().map(str::to_owned);
        let volumes = workspace["spec"]["volumes"].as_array().into_iter().flatten();
        let others = volumes.map(|it| (text(&it["persistentVolumeClaimName"]), it["readOnly"] != true));
        let of_home = home
            .iter()
            .map(|home| (home.clone(), storage["subPath"].is_null()));
        let claims = of_home.chain(others).collect();
        if candidate.owner.is_none() {
            self.missing.push(format!(
                "{}: no owner is known: whoever applies it owns it; {}, or set {} in workspaces.yaml",
                candidate.object.title(),
                style.no_owner,
                api::names::CREATED_BY
            ));
        }
        candidate.draft.tell(ledger, |target| match target {
            Target::Template => format!("WorkspaceTemplate {}", template.name()),
            Target::Profile => {
                let profile = profile_name.as_deref().unwrap_or_default();
                format!("WorkspaceExecutionProfile {namespace}/{profile}")
            }
            Target::Workspace => format!("Workspace {namespace}/{}", candidate.name),
        });
        if let (Some(name), Some(profile)) = (&profile_name, profile) {
            self.profiles.insert((namespace.clone(), name.clone()), profile);
        }
        self.workspaces.push(workspace);
        self.imported.push(Imported {
            namespace,
            name: candidate.name.clone(),
            old: candidate.old.clone(),
            uid: candidate.object.uid().map(str::to_owned),
            owner: candidate.owner.clone(),
            home,
            claims,
            template: template.name().to_owned(),
            profile: profile_name,
        });
        Ok(())
    }

    /// What to check where owners have the names of a provider, and nobody said what the API server puts before these.
    pub(crate) fn notes(&self, options: &Options) -> Vec<String> {
        let has_owner = self.imported.iter().any(|it| it.owner.is_some());
        let is_unknown = options.user_prefix.is_none() && has_owner;
        is_unknown.then(|| NO_PREFIX.to_owned()).into_iter().collect()
    }

    /// The files. `steps` writes the steps: of these workspaces, with or without profiles, and what is missing.
    pub(crate) fn finish(
        self,
        templates: Vec<Template>,
        ledger: Ledger,
        notes: Vec<String>,
        steps: impl FnOnce(&[Imported], bool, &[String]) -> String,
    ) -> Result<Import, Error> {
        let templates: Vec<_> = templates.into_iter().map(|it| it.value).collect();
        let profiles: Vec<_> = self.profiles.into_values().collect();
        let mut files = Vec::new();
        for (name, objects) in [
            ("templates.yaml", &templates),
            ("profiles.yaml", &profiles),
            ("rights.yaml", &of_all(&self.imported)),
            ("workspaces.yaml", &self.workspaces),
        ] {
            files.extend(output::file(name, objects)?);
        }
        files.push(output::File {
            name: "disks",
            text: steps::list(&self.imported),
        });
        files.push(output::File {
            name: "steps.md",
            text: steps(
                &self.imported,
                !profiles.is_empty(),
                &[self.missing.as_slice(), &notes].concat(),
            ),
        });
        Ok(Import {
            files,
            entries: ledger.entries(),
            missing: self.missing,
            notes,
        })
    }
}

/// The execution profile of a candidate, named by its content.
fn profile(candidate: &Candidate<'_>, style: &Style) -> Option<Value> {
    let spec = candidate.draft.build(Target::Profile)["spec"].clone();
    spec.is_object().then(|| {
        let name = format!("{}-{}", style.prefix, names::hash(&spec.to_string()));
        json!({
            "apiVersion": format!("{}/{}", api::names::GROUP, api::names::VERSION),
            "kind": "WorkspaceExecutionProfile",
            "metadata": {"name": name, "namespace": candidate.object.namespace},
            "spec": spec,
        })
    })
}
