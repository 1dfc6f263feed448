//! Numbers -> the objects of a round, ours and the bare ones beside them (pure).

use api::names;
use serde_json::{Value, json};

/// Namespace of what is measured.
pub(super) const NAMESPACE: &str = "bench";
/// Namespace of the bare objects.
pub(super) const REFERENCE: &str = "reference";
/// Label of a bare pod: which it is.
pub(super) const NUMBER: &str = "bench";
/// Namespace that the operator runs in.
pub(super) const SYSTEM: &str = "jupyter-k8s-system";

/// What every workspace refers to: a template and the default manager.
pub(super) fn shared() -> [Value; 2] {
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

/// A status as large as the operator's, which says where a phase has led to.
pub(super) fn status(name: &str, phase: &str) -> Value {
    let running = phase != "stop";
    let child = format!("workspace-{name}");
    let truth = |holds: bool| if holds { "True" } else { "False" };
    let condition = |type_: &str, holds: bool, message: &str| {
        json!({
            "type": type_, "status": truth(holds), "reason": "AsExpected", "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
        })
    };
    let mut workspace = json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": name},
        "status": {
            "observedGeneration": 1,
            "phase": if running { "Running" } else { "Stopped" },
            "reason": "AsExpected",
            "message": "The workspace is where it was asked to be.",
            "url": format!("https://{name}.workspaces.example.org/"),
            "deploymentName": child,
            "serviceName": child,
            "owner": "alice",
            "resolved": {
                "image": "bench/nothing:1",
                "resources": {
                    "requests": {"cpu": "100m", "memory": "128Mi"},
                    "limits": {"cpu": "1", "memory": "1Gi"},
                },
                "storage": {"mountPath": "/home/jovyan", "ephemeral": true},
                "manager": "bench",
                "ownershipType": "Public",
                "accessType": "Public",
                "templateUID": "00000000-0000-0000-0000-000000000000",
            },
            "conditions": [
                condition("Valid", true, "The specification is valid."),
                condition("Available", running, "The application listens."),
                condition("Progressing", false, "Nothing is on its way."),
                condition("Degraded", false, "Nothing is wrong."),
                condition("Stopped", !running, "Whether a pod is left."),
            ],
        },
    });
    if running {
        let status = &mut workspace["status"];
        status["endpoint"] =
            json!({"podName": format!("{child}-{phase}"), "podIP": "10.0.0.1", "port": 8888});
        status["runID"] = phase.into();
        status["containers"] = json!({"ready": 1, "total": 1});
    }
    workspace
}

/// An Event about a workspace, one of each reason in a phase.
pub(super) fn event(name: &str, phase: &str, reason: &str) -> Value {
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": format!("{name}.{phase}.{}", reason.to_lowercase()), "namespace": NAMESPACE},
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

/// What a bare client makes in place of a workspace: Deployment, Service and NetworkPolicy of the same kind.
pub(super) fn bare(name: &str) -> [Value; 3] {
    let metadata = json!({"name": name, "namespace": REFERENCE, "labels": {NUMBER: name}});
    let labels = json!({NUMBER: name});
    [
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata,
            "spec": {
                "podSelector": {"matchLabels": labels},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [{"podSelector": {}}]}],
            },
        }),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
        }),
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "strategy": {"type": "Recreate"},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "automountServiceAccountToken": false,
                        "enableServiceLinks": false,
                        "terminationGracePeriodSeconds": 30,
                        "containers": [{
                            "name": "workspace",
                            "image": "bench/nothing:1",
                            "env": [{"name": "JUPYTER_ENABLE_LAB", "value": "yes"}],
                            "ports": [{"name": "http", "containerPort": 8888}],
                            "readinessProbe": {"tcpSocket": {"port": "http"}},
                            "resources": {
                                "requests": {"cpu": "100m", "memory": "128Mi"},
                                "limits": {"cpu": "1", "memory": "1Gi"},
                            },
                            "volumeMounts": [{"name": "home", "mountPath": "/home/jovyan"}],
                        }],
                        "volumes": [{"name": "home", "emptyDir": {}}],
                    },
                },
            },
        }),
    ]
}

/// What the operator is told of its installation.
pub(super) const SETTINGS: &str = "{defaultImage: bench/nothing:1, admission: true}\n";

#[cfg(test)]
mod tests {
    use api::{Workspace, WorkspaceManager, WorkspaceStatus, WorkspaceTemplate};
    use k8s_openapi::api::events::v1::Event;

    use super::*;

    #[test]
    fn the_objects_are_of_the_kinds_they_say() {
        let [template, manager] = shared();
        serde_json::from_value::<WorkspaceTemplate>(template).unwrap();
        serde_json::from_value::<WorkspaceManager>(manager).unwrap();
        let workspace: Workspace = serde_json::from_value(workspace("w-1", "Stopped")).unwrap();
        assert_eq!(workspace.metadata.name.as_deref(), Some("w-1"));
        for phase in ["create", "stop"] {
            let told = status("w-1", phase)["status"].clone();
            let told: WorkspaceStatus = serde_json::from_value(told).unwrap();
            assert_eq!(told.endpoint.is_some(), phase == "create");
            serde_json::from_value::<Event>(event("w-1", phase, "Ready")).unwrap();
        }
    }
}
