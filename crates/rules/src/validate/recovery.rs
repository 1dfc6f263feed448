//! Workspace in recovery, its template, manager and settings -> violations (pure).

use api::workspace::Resolved;
use api::{WorkspaceManager, WorkspaceSpec, WorkspaceTemplate, WorkspaceTemplateSpec};
use kube::ResourceExt as _;

use crate::effective::{Effective, Home};
use crate::settings::Settings;
use crate::violation::Violation;

/// The rules for recovery. A manager that is missing is reported as such.
pub(crate) fn violations(
    given: &WorkspaceSpec,
    effective: &Effective,
    template: Option<&WorkspaceTemplateSpec>,
    manager: Option<&WorkspaceManager>,
    settings: &Settings,
) -> Vec<Violation> {
    if !given.recovery_mode {
        return Vec::new();
    }
    let mut rules = Vec::new();
    if template.is_some_and(|template| !template.allow_recovery) {
        rules.push(
            "must not be true, because the template does not allow it (allowRecovery is false): leave it out"
                .to_owned(),
        );
    }
    if settings.recovery_image.is_none() {
        rules.push(
            "must not be true, because this installation has no image for it (the setting recoveryImage): leave it out".to_owned(),
        );
    }
    if matches!(effective.home, Home::Ephemeral { .. }) {
        rules.push(
            "must not be true without a disk, because nothing outlives the pod: leave it out".to_owned(),
        );
    }
    rules.extend(manager.and_then(unprotected));
    rules
        .into_iter()
        .map(|rule| Violation::new("spec.recoveryMode", "true", rule))
        .collect()
}

/// Whether a workspace with these resolved values may start in recovery, as far as users can see. The settings may still refuse it.
pub fn may_recover(
    resolved: &Resolved,
    template: Option<&WorkspaceTemplate>,
    manager: Option<&WorkspaceManager>,
) -> bool {
    resolved
        .storage
        .as_ref()
        .is_some_and(|storage| !storage.ephemeral)
        && template.is_none_or(|template| template.spec.allow_recovery)
        && manager.is_some_and(|manager| unprotected(manager).is_none())
}

/// Why the recovery image, which signs nobody in, would be open to everybody whom the manager sends.
fn unprotected(manager: &WorkspaceManager) -> Option<String> {
    let authentication = &manager.spec.authentication;
    if authentication.gateway.is_some() || authentication.forward_auth.is_some() {
        return None;
    }
    let way = if authentication.application.is_some() {
        "application"
    } else {
        "none"
    };
    Some(format!(
        "must not be true with manager {:?}, whose authentication is {way}: the recovery image signs nobody in. Name a manager with gateway \
         or forwardAuth in spec.managerRef, or leave it out; a hub can offer a template with an image for recovery instead",
        manager.name_any()
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::effective::effective;

    fn manager(way: &str) -> WorkspaceManager {
        let way = json!({way: if way == "forwardAuth" { json!({"address": "http://a.b/verify"}) } else { json!({}) }});
        serde_json::from_value(json!({
            "metadata": {"name": "main"},
            "spec": {"routing": {"baseDomain": "b.org", "custom": {"resources": []}}, "authentication": way},
        }))
        .unwrap()
    }

    fn template(more: Value) -> WorkspaceTemplate {
        let mut spec = more;
        spec["displayName"] = json!("t");
        spec["defaultImage"] = json!("i");
        serde_json::from_value(json!({"metadata": {"name": "t"}, "spec": spec})).unwrap()
    }

    /// The violations of a workspace in recovery, or not.
    fn found(
        in_recovery: bool,
        storage: Value,
        template: &WorkspaceTemplate,
        way: &str,
        settings: &str,
    ) -> Vec<String> {
        let settings = Settings::parse(settings).unwrap();
        let spec: WorkspaceSpec = serde_json::from_value(
            json!({"displayName": "d", "recoveryMode": in_recovery, "storage": storage}),
        )
        .unwrap();
        let effective = effective(&spec, Some(&template.spec), &settings);
        let all = violations(
            &spec,
            &effective,
            Some(&template.spec),
            Some(&manager(way)),
            &settings,
        );
        all.iter().map(ToString::to_string).collect()
    }

    const WITH_IMAGE: &str = "{defaultImage: i, recoveryImage: r:1}";

    #[test]
    fn recovery_needs_template_image_disk_and_a_manager_that_signs_users_in() {
        let open = template(json!({}));
        let closed = template(json!({"allowRecovery": false}));
        assert!(open.spec.allow_recovery, "stored templates allow it");
        for (storage, template, way, settings, part) in [
            (
                json!({}),
                &closed,
                "gateway",
                WITH_IMAGE,
                "allowRecovery is false",
            ),
            (
                json!({}),
                &open,
                "application",
                WITH_IMAGE,
                "authentication is application",
            ),
            (json!({}), &open, "none", WITH_IMAGE, "authentication is none"),
            (json!(null), &open, "gateway", WITH_IMAGE, "without a disk"),
            (json!({}), &open, "gateway", "{defaultImage: i}", "recoveryImage"),
        ] {
            let refused = found(true, storage.clone(), template, way, settings);
            assert!(
                refused.len() == 1
                    && refused[0].starts_with("spec.recoveryMode: \"true\" must not be")
                    && refused[0].contains(part),
                "{part}: {refused:?}"
            );
            assert_eq!(
                found(false, storage, template, way, settings),
                [""; 0],
                "not in recovery: {part}"
            );
        }
        for way in ["gateway", "forwardAuth"] {
            assert_eq!(found(true, json!({}), &open, way, WITH_IMAGE), [""; 0], "{way}");
        }
    }

    #[test]
    fn what_users_are_offered_is_what_the_rules_allow() {
        let resolved = |ephemeral: bool| -> Resolved {
            serde_json::from_value(json!({"storage": {"mountPath": "/h", "ephemeral": ephemeral}})).unwrap()
        };
        let (open, closed) = (template(json!({})), template(json!({"allowRecovery": false})));
        let gateway = manager("gateway");
        assert!(may_recover(&resolved(false), Some(&open), Some(&gateway)));
        assert!(may_recover(&resolved(false), None, Some(&gateway)));
        assert!(!may_recover(&resolved(true), Some(&open), Some(&gateway)));
        assert!(!may_recover(&resolved(false), Some(&closed), Some(&gateway)));
        for way in ["application", "none"] {
            assert!(
                !may_recover(&resolved(false), Some(&open), Some(&manager(way))),
                "{way}"
            );
        }
        assert!(!may_recover(&resolved(false), Some(&open), None));
    }
}
