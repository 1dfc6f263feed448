//! Numbers -> the objects of a round: workspaces, and the bare objects beside them (pure).

use api::names;
use serde_json::{Value, json};

/// Namespace of what is measured.
pub(super) const NAMESPACE: &str = "bench";
/// Namespace of the bare objects.
pub(super) const REFERENCE: &str = "reference";
/// Namespace that the operator runs in.
pub(in crate::bench) const SYSTEM: &str = "jupyter-k8s-system";

/// What every workspace refers to: a template and the default manager.
pub(in crate::bench) fn shared() -> [Value; 2] {
    [
        json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1",
            "kind": "WorkspaceTemplate",
            "metadata": {"name": "bench"},
            "spec": {
                "displayName": "Bench",
                "defaultImage": "bench/nothing:1",
                "defaultResources": {
                    "requests": {"cpu": "100m", "memory": "128Mi"},
                    "limits": {"cpu": "1", "memory": "1Gi"},
                },
                "resourceBounds": {"cpu": {"min": "100m", "max": "2"}, "memory": {"min": "128Mi", "max": "4Gi"}},
                "environmentVariables": [{"name": "JUPYTER_ENABLE_LAB", "value": "yes"}],
            },
        }),
        manager(),
    ]
}

/// The default manager.
pub(in crate::bench) fn manager() -> Value {
    json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "WorkspaceManager",
        "metadata": {"name": "bench", "annotations": {names::IS_DEFAULT: "true"}},
        "spec": {
            "routing": {"baseDomain": "workspaces.example.org", "traefik": {}},
            "authentication": {"gateway": {}},
        },
    })
}

/// A workspace as the webhook leaves it, without a disk.
pub(super) fn workspace(name: &str, desired: &str) -> Value {
    json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "Workspace",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "annotations": {names::CREATED_BY: "alice"},
            "finalizers": [names::CLEANUP_FINALIZER],
        },
        "spec": {"displayName": name, "templateRef": "bench", "desiredStatus": desired},
    })
}

/// An Event about a workspace.
pub(super) fn event(name: &str, reason: &str) -> Value {
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": format!("{name}-"), "namespace": NAMESPACE},
        "type": "Normal",
        "reason": reason,
        "action": "Start",
        "note": "What has become of the workspace.",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "regarding": {
            "apiVersion": "workspaces.jupyter.org/v1alpha1",
            "kind": "Workspace",
            "name": name,
            "namespace": NAMESPACE,
        },
        "reportingController": "bench",
        "reportingInstance": "bench",
    })
}

/// The operator's settings of its installation.
pub(super) const SETTINGS: &str = "{defaultImage: bench/nothing:1, admission: true}\n";

#[cfg(test)]
mod tests {
    use api::{Workspace, WorkspaceManager, WorkspaceTemplate};
    use k8s_openapi::api::events::v1::Event;

    use super::*;

    #[test]
    fn the_objects_are_of_the_kinds_they_say() {
        let [template, manager] = shared();
        serde_json::from_value::<WorkspaceTemplate>(template).unwrap();
        serde_json::from_value::<WorkspaceManager>(manager).unwrap();
        let workspace: Workspace = serde_json::from_value(workspace("w-1", "Stopped")).unwrap();
        assert_eq!(workspace.metadata.name.as_deref(), Some("w-1"));
        serde_json::from_value::<Event>(event("w-1", "Ready")).unwrap();
    }
}
