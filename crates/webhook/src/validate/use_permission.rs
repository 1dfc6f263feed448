//! Template, manager and profile of a workspace -> those that the user may not `use` (IO).

use api::fields::workspace::NOT_ABOUT_PODS;
use api::names::{self, GROUP, RESTARTED_AT, USE_VERB};
use api::{Workspace, WorkspaceTemplate};
use futures::future::try_join_all;
use rules::Violation;

use crate::lookups::{LookupError, Lookups, Right};
use crate::review::{Changes, Kind, Request};

/// The objects that the user may not use.
#[derive(Debug, Default)]
pub(super) struct Refused {
    /// One violation per object.
    pub(super) violations: Vec<Violation>,
    kinds: Vec<Kind>,
}

impl Refused {
    /// Whether the object of that kind is one of them. Its content is then not shown.
    pub(super) fn hides(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }
}

struct Reference<'a> {
    field: &'static str,
    kind: Kind,
    name: &'a str,
}

/// Checks the `use` permission for the workspace's references, all concurrently.
pub(super) async fn check(
    request: &Request,
    changes: &Changes,
    workspace: &Workspace,
    template: Option<&WorkspaceTemplate>,
    lookups: &Lookups,
) -> Result<Refused, LookupError> {
    if !is_checked(request, changes) {
        return Ok(Refused::default());
    }
    let references = references(workspace, template);
    let answers = try_join_all(references.iter().map(|reference| {
        let right = Right {
            verb: USE_VERB,
            group: GROUP,
            version: names::VERSION,
            resource: reference.kind.plural(),
            namespace: request.namespace.clone(),
            name: reference.name.to_owned(),
        };
        async move { lookups.has_right(request, &right).await }
    }))
    .await?;
    let refused = references
        .iter()
        .zip(answers)
        .filter(|(_, granted)| !granted)
        .map(|(reference, _)| reference);
    let mut found = Refused::default();
    for reference in refused {
        found.kinds.push(reference.kind);
        let rule = format!(
            "does not exist, or you may not use it: choose another {kind} (kubectl get {plural}), or ask an administrator for the \
             verb {USE_VERB} on it",
            kind = reference.kind.name(),
            plural = reference.kind.plural(),
        );
        found
            .violations
            .push(Violation::new(reference.field, reference.name, rule));
    }
    Ok(found)
}

/// Whether the permission is checked: at creation, when what runs changes, and when changes apply to the pod (start, restart).
/// It is not checked for a stop, other metadata, or an owner's change of access.
fn is_checked(request: &Request, changes: &Changes) -> bool {
    // Unset means Running.
    let starts =
        changes.spec.contains("desiredStatus") && request.object.data["spec"]["desiredStatus"] != "Stopped";
    let restarts = changes.annotations_set.contains(RESTARTED_AT);
    request.is_create() || starts || restarts || runs_other(changes) || opens(request, changes)
}

/// Whether the request changes what runs, or when changes of it reach the pod.
pub(super) fn runs_other(changes: &Changes) -> bool {
    changes
        .spec
        .iter()
        .any(|field| !NOT_ABOUT_PODS.contains(&field.as_str()))
}

/// Whether a user other than the owner gives more users access, or changes the owner.
/// Users inside can read all that the workspace reads, and act as it.
pub(super) fn opens(request: &Request, changes: &Changes) -> bool {
    let Some(stored) = &request.old else {
        return false;
    };
    // If it is unset, the template decides.
    let may_open = request.object.data["spec"]["accessType"] != "OwnerOnly";
    names::owner(&stored.metadata) != Some(request.user_name())
        && (hands_over(request) || may_open && changes.spec.contains("accessType"))
}

/// Whether a stored workspace gets another owner.
pub(super) fn hands_over(request: &Request) -> bool {
    let owner = names::owner(&request.object.metadata);
    let stored = request.old.as_ref();
    stored.is_some_and(|stored| names::owner(&stored.metadata) != owner)
}

/// The template, a manager that the workspace names itself, and the effective profile unless the template names it.
fn references<'a>(workspace: &'a Workspace, template: Option<&WorkspaceTemplate>) -> Vec<Reference<'a>> {
    let spec = &workspace.spec;
    let of_template = template.and_then(|template| template.spec.execution_profile_ref.as_deref());
    let profile = spec
        .execution_profile_ref
        .as_deref()
        .filter(|name| Some(*name) != of_template);
    [
        ("spec.templateRef", Kind::Template, spec.template_ref.as_deref()),
        ("spec.managerRef", Kind::Manager, spec.manager_ref.as_deref()),
        ("spec.executionProfileRef", Kind::Profile, profile),
    ]
    .into_iter()
    .filter_map(|(field, kind, name)| {
        // No object has an invalid name.
        let name = name.filter(|name| rules::names::is_dns_1123_subdomain(name))?;
        Some(Reference { field, kind, name })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::review::tests::{create, update};

    fn checked(old: &Value, new: &Value) -> bool {
        checked_for("alice", old, new)
    }

    /// Whether a change of alice's workspace by `user` is checked.
    fn checked_for(user: &str, old: &Value, new: &Value) -> bool {
        let of =
            |spec: &Value| json!({"metadata": {"annotations": {names::CREATED_BY: "alice"}}, "spec": spec});
        let request = update(user, &of(old), &of(new));
        is_checked(&request, &Changes::from_request(&request))
    }

    #[test]
    fn it_is_checked_at_creation_at_a_start_and_when_what_runs_changes() {
        let request = create("alice", &json!({"spec": {"desiredStatus": "Stopped"}}));
        assert!(is_checked(&request, &Changes::from_request(&request)));
        assert!(checked(
            &json!({"desiredStatus": "Stopped"}),
            &json!({"desiredStatus": "Running"})
        ));
        assert!(checked(&json!({"desiredStatus": "Stopped"}), &json!({})));
        for field in [
            "image",
            "managerRef",
            "executionProfileRef",
            "resources",
            "env",
            "updatePolicy",
            "anythingNew",
        ] {
            assert!(checked(&json!({}), &json!({field: "x"})), "{field}");
        }
    }

    #[test]
    fn it_is_not_checked_for_a_stop_metadata_or_access() {
        assert!(!checked(
            &json!({"desiredStatus": "Running"}),
            &json!({"desiredStatus": "Stopped"})
        ));
        for field in ["displayName", "accessType", "ownershipType", "appType"] {
            assert!(!checked(&json!({}), &json!({field: "x"})), "{field}");
        }
        let request = update("alice", &json!({}), &json!({"metadata": {"labels": {"a": "b"}}}));
        assert!(!is_checked(&request, &Changes::from_request(&request)));
    }

    #[test]
    fn it_is_checked_when_another_user_opens_it() {
        let (closed, open) = (
            json!({"accessType": "OwnerOnly"}),
            json!({"accessType": "Public"}),
        );
        assert!(checked_for("bob", &closed, &open));
        assert!(
            checked_for("bob", &closed, &json!({})),
            "the template may say Public"
        );
        assert!(!checked_for("bob", &open, &closed));
        assert!(!checked_for(
            "bob",
            &json!({}),
            &json!({"ownershipType": "Public"})
        ));
        assert!(!checked_for("alice", &closed, &open));
    }

    #[test]
    fn it_is_checked_when_another_user_changes_the_owner() {
        let of = |owner: &str| json!({"metadata": {"annotations": {names::CREATED_BY: owner}}, "spec": {}});
        for (user, to, expected) in [
            ("bob", "bob", true),
            ("bob", "carol", true),
            ("bob", "alice", false),
            ("alice", "bob", false),
        ] {
            let request = update(user, &of("alice"), &of(to));
            assert_eq!(
                is_checked(&request, &Changes::from_request(&request)),
                expected,
                "{user} to {to}"
            );
        }
    }

    #[test]
    fn it_is_checked_at_a_restart_which_applies_changes_to_the_pod() {
        let restart = json!({"metadata": {"annotations": {RESTARTED_AT: "2026-01-01T00:00:00Z"}}});
        let request = update("alice", &json!({}), &restart);
        assert!(is_checked(&request, &Changes::from_request(&request)));
    }

    #[test]
    fn a_profile_that_the_template_names_needs_no_right_of_its_own() {
        let template: WorkspaceTemplate = serde_json::from_value(json!({
            "metadata": {"name": "prod"},
            "spec": {"displayName": "t", "defaultImage": "uv", "executionProfileRef": "standard", "managerRef": "main"},
        }))
        .unwrap();
        let fields = |spec: Value| {
            let mut spec = spec;
            spec["displayName"] = json!("d");
            let workspace: Workspace =
                serde_json::from_value(json!({"metadata": {"name": "w"}, "spec": spec})).unwrap();
            let all = references(&workspace, Some(&template));
            all.into_iter()
                .map(|reference| format!("{}={}", reference.field, reference.name))
                .collect::<Vec<_>>()
        };
        assert_eq!(fields(json!({"templateRef": "prod"})), ["spec.templateRef=prod"]);
        assert_eq!(
            fields(json!({"executionProfileRef": "standard"})),
            Vec::<String>::new()
        );
        assert_eq!(
            fields(json!({"executionProfileRef": "admin", "managerRef": "main"})),
            ["spec.managerRef=main", "spec.executionProfileRef=admin"]
        );
    }
}
