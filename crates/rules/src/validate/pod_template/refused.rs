//! Spec of a `podTemplate` -> fields that would be lost, each with the field to use instead (pure).
//!
//! `crates/operator/src/plan/overlay/property_tests.rs` finds a field that is missing here: each field of Kubernetes reaches the pod
//! unchanged, or is refused by name.

use api::names::APPLICATION_CONTAINER;
use k8s_openapi::api::core::v1::PodSpec;
use serde_json::Value;

use super::PATH;
use crate::violation::Violation;

/// Fields of the pod, and what to do instead.
pub(super) const OF_POD: [(&str, &str); 19] = [
    (
        "activeDeadlineSeconds",
        "use spec.defaultLimits.maxAgeMinutes, which stops the workspace",
    ),
    ("affinity", "use spec.defaultAffinity"),
    (
        "automountServiceAccountToken",
        "use automountToken of an execution profile",
    ),
    (
        "enableServiceLinks",
        "leave it out, no workspace has such variables",
    ),
    (
        "ephemeralContainers",
        "use containers, or kubectl debug for a pod that runs",
    ),
    ("hostUsers", "use spec.hostUsers"),
    (
        "nodeName",
        "use spec.defaultNodeSelector or spec.defaultAffinity, which leave it to the scheduler whether the node has room",
    ),
    ("nodeSelector", "use spec.defaultNodeSelector"),
    (
        "overhead",
        "use runtimeClassName of an execution profile, whose RuntimeClass has it",
    ),
    (
        "preemptionPolicy",
        "use priorityClassName of an execution profile, whose PriorityClass has it",
    ),
    (
        "priority",
        "use priorityClassName of an execution profile, whose PriorityClass has it",
    ),
    (
        "priorityClassName",
        "use priorityClassName of an execution profile",
    ),
    (
        "resources",
        "use spec.defaultResources for the application, and resources of each other container",
    ),
    ("restartPolicy", "leave it out, it is Always"),
    ("runtimeClassName", "use runtimeClassName of an execution profile"),
    ("securityContext", "use spec.defaultPodSecurityContext"),
    ("serviceAccount", "use serviceAccount of an execution profile"),
    ("serviceAccountName", "use serviceAccount of an execution profile"),
    ("tolerations", "use spec.defaultTolerations"),
];

/// Fields of the application's container, and what to do instead.
pub(super) const OF_APPLICATION: [(&str, &str); 11] = [
    ("args", "use spec.defaultContainerConfig.args"),
    ("command", "use spec.defaultContainerConfig.command"),
    ("env", "use spec.environmentVariables"),
    ("image", "use spec.defaultImage"),
    ("imagePullPolicy", "leave it out, the installation decides it"),
    ("lifecycle", "use spec.defaultLifecycle"),
    ("readinessProbe", "use spec.defaultReadinessProbe"),
    ("resources.limits", "use spec.defaultResources.limits"),
    ("resources.requests", "use spec.defaultResources.requests"),
    ("securityContext", "use spec.defaultContainerSecurityContext"),
    (
        "terminationMessagePath",
        "leave it out, the command stop-workspace writes to the usual path",
    ),
];

/// Kinds of volumes that the operator mounts. The admission policy of the chart has the same list.
const VOLUMES: [&str; 6] = [
    "configMap",
    "downwardAPI",
    "emptyDir",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

pub(super) fn violations(pod: &PodSpec) -> Vec<Violation> {
    let json = serde_json::to_value(pod).unwrap_or_default();
    let path = format!("{PATH}.spec");
    let mut found = fields(&path, &json, &OF_POD);
    for (index, container) in list(&json, "containers") {
        if container["name"] == APPLICATION_CONTAINER {
            found.extend(fields(
                &format!("{path}.containers[{index}]"),
                container,
                &OF_APPLICATION,
            ));
        }
    }
    for (index, volume) in list(&json, "volumes") {
        let kinds = volume.as_object().into_iter().flat_map(|fields| fields.keys());
        for kind in kinds.filter(|kind| *kind != "name" && !VOLUMES.contains(&kind.as_str())) {
            let rule = match kind.as_str() {
                "ephemeral" => {
                    "must not be mounted: list a disk in spec.volumeClaims, and mount its claim {pvcs.NAME}"
                        .to_owned()
                }
                _ => format!("must not be mounted: use one of {}", VOLUMES.join(", ")),
            };
            found.push(Violation::new(
                format!("{path}.volumes[{index}].{kind}"),
                "",
                rule,
            ));
        }
    }
    found
}

/// The fields of the table that `object` has.
fn fields(path: &str, object: &Value, table: &[(&str, &str)]) -> Vec<Violation> {
    let set = table.iter().filter_map(|(field, remedy)| {
        let value = field.split('.').try_fold(object, |value, key| value.get(key))?;
        let written = match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => String::new(),
        };
        let rule = format!("must not be set in a podTemplate: {remedy}");
        Some(Violation::new(format!("{path}.{field}"), written, rule))
    });
    set.collect()
}

fn list<'a>(json: &'a Value, field: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    json[field].as_array().into_iter().flatten().enumerate()
}
