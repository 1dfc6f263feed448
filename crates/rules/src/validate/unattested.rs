//! Unattested Secrets, ConfigMaps and claims that an author chose -> violations (pure).
//!
//! With a webhook, the webhook checks for each reference whether the requester may read or use the object.
//! Without a webhook, no such check exists. The webhook also could not check the references of a template
//! that did not exist when the workspace was created.

use api::names::ATTESTED_TEMPLATE;
use api::{Workspace, WorkspaceManager, WorkspaceTemplate};
use kube::ResourceExt as _;

use super::named::{ReferenceAuthor, Resource, chosen_by_author, named_by_author};
use crate::settings::Settings;
use crate::violation::Violation;

/// Whether the webhook checked what `template` leaves to the author of `workspace`.
/// The webhook recorded the template's UID when the workspace was created. Without such a record the result is false.
/// Timestamps of the API server are too coarse to tell which object existed first.
pub fn is_attested(template: &WorkspaceTemplate, workspace: &Workspace) -> bool {
    let noted = workspace.annotations().get(ATTESTED_TEMPLATE);
    noted.is_some() && noted == template.metadata.uid.as_ref()
}

/// Reports references that are not attested.
pub(crate) fn violations(
    workspace: &Workspace,
    template: Option<&WorkspaceTemplate>,
    manager: Option<&WorkspaceManager>,
    settings: &Settings,
) -> Vec<Violation> {
    if settings.admission {
        let unknown = template.filter(|template| !is_attested(template, workspace));
        let chosen_by_author =
            unknown.map(|template| unchecked_references(workspace, template, manager, settings));
        return chosen_by_author.unwrap_or_default();
    }
    if settings.allow_unattested_references {
        return Vec::new();
    }
    let named = match named_by_author(ReferenceAuthor::Other, workspace, template, manager, settings) {
        Ok(named) => named,
        Err(faults) => return faults,
    };
    named
        .into_iter()
        .filter(|named| named.resource == Resource::Secret)
        .map(|named| {
            let rule = "is a Secret, and no webhook checks here who may read it: leave it out, or have an administrator install the \
                        webhook or set allowUnvouchedReferences: true in the operator's settings file";
            Violation::new(named.field, named.name, rule)
        })
        .collect()
}

fn unchecked_references(
    workspace: &Workspace,
    template: &WorkspaceTemplate,
    manager: Option<&WorkspaceManager>,
    settings: &Settings,
) -> Vec<Violation> {
    match chosen_by_author(ReferenceAuthor::Other, workspace, template, manager, settings) {
        Ok(chosen) if chosen.is_empty() => Vec::new(),
        Ok(_) => {
            let rule = "names Secrets, ConfigMaps or claims by values of the workspace, and nothing records that it existed \
                        when the workspace was created, so your permission for them was not checked: delete the workspace and \
                        create it anew; first set spec.storage.retain: Retain, or its disk is deleted with it";
            vec![Violation::new("spec.templateRef", template.name_any(), rule)]
        }
        Err(faults) => faults,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn workspace(noted: Option<&str>) -> Workspace {
        let annotations = noted.map(|uid| json!({ ATTESTED_TEMPLATE: uid }));
        serde_json::from_value(json!({
            "metadata": {"name": "lab", "namespace": "team", "annotations": annotations},
            "spec": {
                "displayName": "d",
                "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                "initContainers": [{"name": "i", "image": "i", "envFrom": [{"secretRef": {"name": "git"}}]}],
                "variables": {"course": "ml"},
            },
        }))
        .unwrap()
    }

    fn template(secret: &str, uid: Value) -> WorkspaceTemplate {
        serde_json::from_value(json!({
            "metadata": {"name": "t", "uid": uid},
            "spec": {
                "displayName": "t", "defaultImage": "i",
                "environmentVariables": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}}],
            },
        }))
        .unwrap()
    }

    fn found(noted: Option<&str>, template: &WorkspaceTemplate, settings: &str) -> Vec<String> {
        let settings = Settings::parse(settings).unwrap();
        let found = violations(&workspace(noted), Some(template), None, &settings);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn unattested_secrets_are_refused_without_a_webhook_unless_allowed() {
        let template = template("key-{course}", json!("t-1"));
        let found = |settings: &str| found(Some("t-1"), &template, settings).len();
        assert_eq!(found("{defaultImage: i}"), 3);
        assert_eq!(found("{defaultImage: i, admission: true}"), 0);
        assert_eq!(found("{defaultImage: i, allowUnvouchedReferences: true}"), 0);
    }

    #[test]
    fn only_the_attested_template_reads_references_that_the_workspace_chose() {
        let message = |noted: Option<&str>, secret: &str, uid: Value| {
            found(
                noted,
                &template(secret, uid),
                "{defaultImage: i, admission: true}",
            )
        };
        let refused = message(None, "{course}", json!("t-1"));
        assert_eq!(refused.len(), 1);
        assert!(
            refused[0].starts_with(r#"spec.templateRef: "t" names Secrets, ConfigMaps or claims"#),
            "{refused:?}"
        );
        for secret in ["{course}", "{workspace.name}-creds"] {
            assert_eq!(
                message(None, secret, json!("t-1")).len(),
                1,
                "stored before it was noted"
            );
            assert_eq!(
                message(Some("t-0"), secret, json!("t-1")).len(),
                1,
                "made anew by its name"
            );
            assert_eq!(message(None, secret, Value::Null).len(), 1, "nothing is no UID");
            assert!(message(Some("t-1"), secret, json!("t-1")).is_empty());
        }
        assert!(message(None, "fixed", json!("t-1")).is_empty());
    }
}
