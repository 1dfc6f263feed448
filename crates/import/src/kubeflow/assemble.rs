//! Notebooks on their way -> templates, execution profiles and Workspaces, judged together (pure).

use std::collections::{BTreeMap, BTreeSet};

use api::{WorkspaceExecutionProfile, WorkspaceTemplate};
use rules::Violation;
use serde_json::{Value, json};

use super::notebook::Notebook;
use super::templates;
use crate::draft::Target;
use crate::judge::{Judge, typed};
use crate::path::Path;
use crate::rights::Imported;
use crate::{Error, names};

const TOO_MANY: &str = "its pod is unlike those of the 20 templates that most Notebooks have: convert such Notebooks in a run of their own";

/// Templates, profiles, and what each Notebook became.
pub(super) type Assembled = (Vec<Value>, Vec<Value>, Vec<Option<Imported>>);

/// Finds the template and profile of each Notebook, and judges all of them together.
pub(super) fn assemble(notebooks: &mut [Notebook<'_>], judge: &Judge) -> Result<Assembled, Error> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let needs: Vec<_> = notebooks
        .iter()
        .map(|notebook| {
            let workspace = notebook.draft.build(Target::Workspace);
            templates::Need {
                spec: notebook.draft.build(Target::Template)["spec"].clone(),
                image: text(&workspace["spec"]["image"]),
                resources: workspace["spec"]["resources"].clone(),
            }
        })
        .collect();
    let (templates, of_notebook) = templates::group(&needs);
    let bug = |violation: Violation| Error::Bug(format!("{}: {}", violation.field, violation.message));
    let mut read = Vec::new();
    for template in &templates {
        if let Some(violation) = judge.template(template).into_iter().next() {
            return Err(bug(violation));
        }
        read.push(typed::<WorkspaceTemplate>(template).map_err(bug)?);
    }
    let mut profiles: BTreeMap<(String, String), Value> = BTreeMap::new();
    let mut imported = Vec::new();
    for (notebook, template) in notebooks.iter_mut().zip(of_notebook) {
        let Some(template) = template else {
            notebook.draft.lose(TOO_MANY);
            imported.push(None);
            continue;
        };
        let profile = profile(notebook);
        let of_profile = profile
            .as_ref()
            .map(typed::<WorkspaceExecutionProfile>)
            .transpose()
            .map_err(bug)?;
        let name = text(&templates[template]["metadata"]["name"]);
        let profile_name = profile.as_ref().map(|profile| text(&profile["metadata"]["name"]));
        let version = format!("{}/{}", api::names::GROUP, api::names::VERSION);
        for (field, value) in [
            ("apiVersion", Some(&version)),
            ("kind", Some(&"Workspace".to_owned())),
            ("spec.templateRef", Some(&name)),
            ("spec.executionProfileRef", profile_name.as_ref()),
        ] {
            if let Some(value) = value {
                notebook
                    .draft
                    .put([], Target::Workspace, Path::of(field), value.as_str());
            }
        }
        let check = |it: &Value| judge.workspace(it, Some(&read[template]), of_profile.as_ref());
        notebook
            .draft
            .settle(Target::Workspace, check)
            .map_err(|violation| notebook.object.error(&violation.field, &violation.message))?;
        let workspace = notebook.draft.build(Target::Workspace);
        let home = workspace["spec"]["storage"]["claimName"]
            .as_str()
            .map(str::to_owned);
        let volumes = workspace["spec"]["volumes"].as_array().into_iter().flatten();
        let others = volumes.map(|volume| text(&volume["persistentVolumeClaimName"]));
        let claims: BTreeSet<String> = home.iter().cloned().chain(others).collect();
        imported.push(Some(Imported {
            namespace: notebook.object.namespace.clone(),
            name: notebook.name.clone(),
            old: notebook.object.name.clone(),
            owner: notebook.owner.clone(),
            home,
            claims: claims.into_iter().collect(),
            template: name,
            profile: profile_name.clone(),
        }));
        if let (Some(name), Some(profile)) = (profile_name, profile) {
            profiles.insert((notebook.object.namespace.clone(), name), profile);
        }
    }
    let used: BTreeSet<&str> = imported.iter().flatten().map(|it| it.template.as_str()).collect();
    let templates = templates
        .iter()
        .filter(|it| used.contains(text(&it["metadata"]["name"]).as_str()));
    Ok((
        templates.cloned().collect(),
        profiles.into_values().collect(),
        imported,
    ))
}

/// The execution profile of a Notebook, named by its content.
fn profile(notebook: &Notebook<'_>) -> Option<Value> {
    let spec = notebook.draft.build(Target::Profile)["spec"].clone();
    spec.is_object().then(|| {
        let name = format!("kubeflow-{}", names::hash(&spec.to_string()));
        json!({
            "apiVersion": format!("{}/{}", api::names::GROUP, api::names::VERSION),
            "kind": "WorkspaceExecutionProfile",
            "metadata": {"name": name, "namespace": notebook.object.namespace},
            "spec": spec,
        })
    })
}
