//! Secrets, ConfigMaps and claims that an author chose and that nobody vouches for -> why the workspace gets no pod (pure).
//!
//! Where a webhook judges, it asks for each whether the person may read or use it. Where none does, nobody has asked; nor for
//! what a template names that was made after the workspace.

use api::{Workspace, WorkspaceManager, WorkspaceTemplate};
use kube::ResourceExt as _;

use super::named::{Resource, by_choice, named_by_author};
use crate::settings::Settings;
use crate::violation::Violation;

/// Whether `template` was made after `workspace`, so that nobody could be asked for what it names when the workspace was made.
/// False where either time is unknown, and within one second: the API server tells no more.
pub fn is_younger(template: &WorkspaceTemplate, workspace: &Workspace) -> bool {
    let (template, workspace) = (
        &template.metadata.creation_timestamp,
        &workspace.metadata.creation_timestamp,
    );
    matches!((template, workspace), (Some(template), Some(workspace)) if template > workspace)
}

/// References that nobody has vouched for.
pub(crate) fn refused(
    workspace: &Workspace,
    template: Option<&WorkspaceTemplate>,
    manager: Option<&WorkspaceManager>,
    settings: &Settings,
) -> Vec<Violation> {
    if settings.admission {
        let younger = template.filter(|template| is_younger(template, workspace));
        let by_choice = younger.map(|template| too_young(workspace, template, manager, settings));
        return by_choice.unwrap_or_default();
    }
    if settings.allow_unvouched_references {
        return Vec::new();
    }
    let named = match named_by_author(workspace, template, manager, settings) {
        Ok(named) => named,
        Err(faults) => return faults,
    };
    named
        .into_iter()
        .filter(|named| named.resource == Resource::Secret)
        .map(|named| {
            let rule = "is a Secret for which nobody vouches, because no webhook judges workspaces here: leave it out, or have \
                        the administrator install the webhook or set allowUnvouchedReferences";
            Violation::new(named.field, named.name, rule)
        })
        .collect()
}

fn too_young(
    workspace: &Workspace,
    template: &WorkspaceTemplate,
    manager: Option<&WorkspaceManager>,
    settings: &Settings,
) -> Vec<Violation> {
    match by_choice(workspace, template, manager, settings) {
        Ok(chosen) if chosen.is_empty() => Vec::new(),
        Ok(_) => {
            let rule = "was made after the workspace and names Secrets, ConfigMaps or claims by what the workspace chooses, so \
                        that nobody was asked for them: delete the workspace and create it anew";
            vec![Violation::new("spec.templateRef", template.name_any(), rule)]
        }
        Err(faults) => faults,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn workspace() -> Workspace {
        serde_json::from_value(json!({
            "metadata": {"name": "lab", "namespace": "team", "creationTimestamp": "2026-01-01T00:00:01Z"},
            "spec": {
                "displayName": "d",
                "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                "initContainers": [{"name": "i", "image": "i", "envFrom": [{"secretRef": {"name": "git"}}]}],
                "variables": {"course": "ml"},
            },
        }))
        .unwrap()
    }

    fn template(secret: &str, made: Value) -> WorkspaceTemplate {
        serde_json::from_value(json!({
            "metadata": {"name": "t", "creationTimestamp": made},
            "spec": {
                "displayName": "t", "defaultImage": "i",
                "environmentVariables": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}}],
            },
        }))
        .unwrap()
    }

    fn found(template: &WorkspaceTemplate, settings: &str) -> Vec<String> {
        let settings = Settings::parse(settings).unwrap();
        let found = refused(&workspace(), Some(template), None, &settings);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn where_nobody_vouches_secrets_are_refused_unless_the_installation_says_otherwise() {
        let template = template("key-{course}", Value::Null);
        assert_eq!(found(&template, "{defaultImage: i}").len(), 3);
        assert_eq!(found(&template, "{defaultImage: i, admission: true}").len(), 0);
        assert_eq!(
            found(&template, "{defaultImage: i, allowUnvouchedReferences: true}").len(),
            0
        );
    }

    #[test]
    fn a_template_made_after_the_workspace_names_nothing_that_the_workspace_chose() {
        let said = |secret: &str, made: &str| {
            found(
                &template(secret, json!(made)),
                "{defaultImage: i, admission: true}",
            )
        };
        let refused = said("{course}", "2026-01-01T00:00:02Z");
        assert_eq!(refused.len(), 1);
        assert!(
            refused[0].starts_with(r#"spec.templateRef: "t" was made after the workspace"#),
            "{refused:?}"
        );
        assert_eq!(said("{workspace.name}-creds", "2026-01-01T00:00:02Z").len(), 1);
        assert!(said("fixed", "2026-01-01T00:00:02Z").is_empty());
        for older in ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"] {
            assert!(said("{course}", older).is_empty(), "{older}");
        }
    }
}
