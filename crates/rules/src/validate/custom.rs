//! Fields of a workspace that only some templates allow -> violations (pure).

use api::{WorkspaceSpec, WorkspaceTemplateSpec};
use serde::Serialize;

use crate::violation::Violation;

/// Reports fields that only the template may set. A value that equals the template's is always allowed.
pub(super) fn violations(given: &WorkspaceSpec, template: &WorkspaceTemplateSpec) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut check = |allowed: bool, is_set: bool, is_default: bool, field: &str, switch: &str| {
        if is_set && !is_default && !allowed {
            let rule = format!("is the template's to decide ({switch} is false): leave it out");
            found.push(Violation::new(field, "", rule));
        }
    };
    check(
        template.allow_custom_init_containers,
        !given.init_containers.is_empty(),
        same(&given.init_containers, &template.default_init_containers),
        "spec.initContainers",
        "allowCustomInitContainers",
    );
    check(
        template.allow_secondary_storages,
        !given.volumes.is_empty(),
        given.volumes == template.default_volumes,
        "spec.volumes",
        "allowSecondaryStorages",
    );
    let scheduling = "allowCustomScheduling";
    check(
        template.allow_custom_scheduling,
        !given.node_selector.is_empty(),
        given.node_selector == template.default_node_selector,
        "spec.nodeSelector",
        scheduling,
    );
    check(
        template.allow_custom_scheduling,
        given.affinity.is_some(),
        given.affinity == template.default_affinity,
        "spec.affinity",
        scheduling,
    );
    check(
        template.allow_custom_scheduling,
        !given.tolerations.is_empty(),
        given.tolerations == template.default_tolerations,
        "spec.tolerations",
        scheduling,
    );
    let security = "allowCustomSecurityContext";
    check(
        template.allow_custom_security_context,
        given.pod_security_context.is_some(),
        given.pod_security_context == template.default_pod_security_context,
        "spec.podSecurityContext",
        security,
    );
    check(
        template.allow_custom_security_context,
        given.container_security_context.is_some(),
        given.container_security_context == template.default_container_security_context,
        "spec.containerSecurityContext",
        security,
    );
    // Init containers use the same disks. So they need the same limits on security settings as the application.
    let defaults = &template.default_init_containers;
    for (index, container) in given.init_containers.iter().enumerate() {
        check(
            template.allow_custom_security_context,
            container.security_context.is_some(),
            defaults.iter().any(|it| same(it, container)),
            &format!("spec.initContainers[{index}].securityContext"),
            security,
        );
    }
    found
}

/// Whether both are written alike.
pub(super) fn same<T: Serialize>(left: &T, right: &T) -> bool {
    serde_json::to_value(left).ok() == serde_json::to_value(right).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields(template: Value) -> Vec<String> {
        let given: WorkspaceSpec = serde_json::from_value(json!({
            "displayName": "d",
            "initContainers": [{"name": "a", "image": "i"}],
            "volumes": [{"name": "v", "persistentVolumeClaimName": "c", "mountPath": "/v"}],
            "nodeSelector": {"a": "b"},
            "affinity": {},
            "tolerations": [{"operator": "Exists"}],
            "podSecurityContext": {},
            "containerSecurityContext": {},
        }))
        .unwrap();
        let mut spec = json!({"displayName": "t", "defaultImage": "i"});
        for (key, value) in template.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let template: WorkspaceTemplateSpec = serde_json::from_value(spec).unwrap();
        violations(&given, &template)
            .into_iter()
            .map(|it| it.field)
            .collect()
    }

    #[test]
    fn custom_fields_are_refused_unless_the_template_allows_them() {
        assert_eq!(
            fields(json!({})),
            [
                "spec.initContainers",
                "spec.nodeSelector",
                "spec.affinity",
                "spec.tolerations",
                "spec.podSecurityContext",
                "spec.containerSecurityContext",
            ]
        );
        assert_eq!(
            fields(json!({
                "allowCustomInitContainers": true, "allowCustomScheduling": true, "allowCustomSecurityContext": true,
                "allowSecondaryStorages": false,
            })),
            ["spec.volumes"]
        );
    }

    #[test]
    fn custom_init_containers_do_not_include_a_custom_security_context() {
        let message = |template: Value| {
            let mut spec =
                json!({"displayName": "t", "defaultImage": "i", "allowCustomInitContainers": true});
            for (key, value) in template.as_object().unwrap() {
                spec[key] = value.clone();
            }
            let template: WorkspaceTemplateSpec = serde_json::from_value(spec).unwrap();
            let given: WorkspaceSpec = serde_json::from_value(json!({"displayName": "d", "initContainers": [
                {"name": "plain", "image": "i"},
                {"name": "root", "image": "i", "securityContext": {"runAsUser": 0}},
                {"name": "other", "image": "i", "securityContext": {"runAsUser": 1001}},
            ]}))
            .unwrap();
            let found = violations(&given, &template).into_iter();
            found.map(|it| it.to_string()).collect::<Vec<_>>()
        };
        let rule = "is the template's to decide (allowCustomSecurityContext is false): leave it out";
        let at = |index: usize| format!("spec.initContainers[{index}].securityContext: {rule}");
        assert_eq!(message(json!({"podSecurity": "Baseline"})), [at(1), at(2)]);
        let of_template = |image: &str| {
            let other = json!({"name": "other", "image": image, "securityContext": {"runAsUser": 1001}});
            message(json!({"defaultInitContainers": [other]}))
        };
        assert_eq!(of_template("i"), [at(1)], "what the template says anyway");
        assert_eq!(of_template("x"), [at(1), at(2)], "nor what else they run");
        assert_eq!(message(json!({"allowCustomSecurityContext": true})), [""; 0]);
    }

    #[test]
    fn values_equal_to_the_template_s_are_accepted() {
        assert_eq!(
            fields(json!({
                "defaultInitContainers": [{"name": "a", "image": "i"}],
                "defaultNodeSelector": {"a": "b"}, "defaultAffinity": {}, "defaultTolerations": [{"operator": "Exists"}],
                "defaultPodSecurityContext": {}, "defaultContainerSecurityContext": {},
            })),
            [""; 0]
        );
    }
}
