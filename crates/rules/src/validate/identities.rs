//! Users and groups that a workspace sets, bounds of its template -> violations (pure).

use api::{WorkspaceSpec, WorkspaceTemplateSpec};
use k8s_openapi::api::core::v1::PodSecurityContext;
use serde_json::{Value, json};

use super::custom::same;
use crate::settings::PodIdentifiers;
use crate::violation::Violation;

const OF_POD: &str = "spec.podSecurityContext";

/// Checks the security contexts that are not the template's. `default`: what is filled in where the context of the pod leaves it unset.
pub(super) fn within(
    given: &WorkspaceSpec,
    template: &WorkspaceTemplateSpec,
    default: PodIdentifiers,
) -> Vec<Violation> {
    let mut found = Vec::new();
    let Some(bounds) = &template.security_context_bounds else {
        return found;
    };
    let bounds = json!(bounds);
    for (path, context) in own_contexts(given, template, default) {
        if context["allowPrivilegeEscalation"] == true {
            let rule = "must not be true where the template has securityContextBounds: leave it out";
            found.push(Violation::new(
                format!("{path}.allowPrivilegeEscalation"),
                "true",
                rule,
            ));
        }
        for (field, range) in bounds.as_object().into_iter().flatten() {
            let ids = match &context[field] {
                // What a container leaves unset is the pod's.
                Value::Null if path != OF_POD => continue,
                Value::Array(ids) => ids.clone(),
                id => vec![id.clone()],
            };
            let (min, max) = (range["min"].as_i64(), range["max"].as_i64());
            for id in ids
                .iter()
                .map(Value::as_i64)
                .filter(|id| !(min..=max).contains(id))
            {
                let rule = format!(
                    "must be from {} to {}, the template's securityContextBounds: choose one of these, or leave {path} out",
                    range["min"], range["max"]
                );
                let id = id.map(|id| id.to_string()).unwrap_or_default();
                found.push(Violation::new(format!("{path}.{field}"), id, rule));
            }
        }
    }
    found
}

/// The workspace's own contexts, each with its path.
fn own_contexts(
    given: &WorkspaceSpec,
    template: &WorkspaceTemplateSpec,
    default: PodIdentifiers,
) -> Vec<(String, Value)> {
    let mut own = Vec::new();
    let pod = given.pod_security_context.as_ref();
    if let Some(pod) = pod.filter(|pod| template.default_pod_security_context.as_ref() != Some(*pod)) {
        let filled = PodSecurityContext {
            run_as_user: pod.run_as_user.or(default.run_as_user),
            run_as_group: pod.run_as_group.or(default.run_as_group),
            fs_group: pod.fs_group.or(default.fs_group),
            supplemental_groups: Some(pod.supplemental_groups.clone().unwrap_or_default()),
            ..PodSecurityContext::default()
        };
        own.push((OF_POD.to_owned(), json!(filled)));
    }
    let context = &given.container_security_context;
    if *context != template.default_container_security_context {
        own.push(("spec.containerSecurityContext".to_owned(), json!(context)));
    }
    let defaults = &template.default_init_containers;
    for (index, container) in given.init_containers.iter().enumerate() {
        if !defaults.iter().any(|it| same(it, container)) {
            let path = format!("spec.initContainers[{index}].securityContext");
            own.push((path, json!(container.security_context)));
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(given: Value, default: PodIdentifiers) -> Vec<String> {
        let range = json!({"min": 2000, "max": 2999});
        let template = json!({
            "displayName": "t", "defaultImage": "i", "allowCustomSecurityContext": true,
            "defaultPodSecurityContext": {"runAsUser": 1, "supplementalGroups": [5]},
            "defaultContainerSecurityContext": {"runAsUser": 3},
            "defaultInitContainers": [{"name": "a", "image": "i", "securityContext": {"runAsUser": 4}}],
            "securityContextBounds": {
                "runAsUser": range, "runAsGroup": range, "fsGroup": range, "supplementalGroups": range,
            },
        });
        let mut spec = json!({"displayName": "w"});
        json_patch::merge(&mut spec, &given);
        let (given, template) = (
            serde_json::from_value(spec).unwrap(),
            serde_json::from_value(template).unwrap(),
        );
        let found = within(&given, &template, default).into_iter();
        found.map(|it| format!("{} {}", it.field, it.value)).collect()
    }

    #[test]
    fn users_and_groups_of_a_workspace_are_within_the_template_s_bounds() {
        let jovyan = PodIdentifiers::default();
        let inside = json!({
            "podSecurityContext": {"runAsUser": 2000, "runAsGroup": 2999, "fsGroup": 2001, "supplementalGroups": [2002]},
            "containerSecurityContext": {"runAsUser": 2003, "allowPrivilegeEscalation": false},
            "initContainers": [{"name": "b", "image": "i"}],
        });
        assert_eq!(found(inside, jovyan), [""; 0]);
        let of_template = json!({
            "podSecurityContext": {"runAsUser": 1, "supplementalGroups": [5]},
            "containerSecurityContext": {"runAsUser": 3},
            "initContainers": [{"name": "a", "image": "i", "securityContext": {"runAsUser": 4}}],
        });
        assert_eq!(
            found(of_template, jovyan),
            [""; 0],
            "what the template says anyway"
        );
        assert_eq!(found(json!({}), jovyan), [""; 0]);
        let outside = json!({
            "podSecurityContext": {"runAsUser": 1999, "runAsGroup": 3000, "fsGroup": 0, "supplementalGroups": [2002, 5]},
            "containerSecurityContext": {"runAsUser": 1, "runAsGroup": 2, "allowPrivilegeEscalation": true},
            "initContainers": [{"name": "b", "image": "i", "securityContext": {"runAsUser": 4}}],
        });
        assert_eq!(
            found(outside, jovyan),
            [
                "spec.podSecurityContext.fsGroup 0",
                "spec.podSecurityContext.runAsGroup 3000",
                "spec.podSecurityContext.runAsUser 1999",
                "spec.podSecurityContext.supplementalGroups 5",
                "spec.containerSecurityContext.allowPrivilegeEscalation true",
                "spec.containerSecurityContext.runAsGroup 2",
                "spec.containerSecurityContext.runAsUser 1",
                "spec.initContainers[0].securityContext.runAsUser 4",
            ]
        );
    }

    #[test]
    fn a_context_that_leaves_users_and_groups_out_is_judged_by_what_is_filled_in() {
        let empty = || json!({"podSecurityContext": {}});
        let paths = ["fsGroup", "runAsGroup", "runAsUser"];
        let all = |value: &str| paths.map(|field| format!("spec.podSecurityContext.{field} {value}"));
        assert_eq!(found(empty(), PodIdentifiers::default()), all("1000"));
        let of = |id| PodIdentifiers {
            run_as_user: id,
            run_as_group: id,
            fs_group: id,
        };
        assert_eq!(
            found(empty(), of(None)),
            all(""),
            "the platform's or the image's choice"
        );
        assert_eq!(found(empty(), of(Some(2500))), [""; 0]);
    }
}
