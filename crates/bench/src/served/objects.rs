//! Numbers -> workspaces, their pods and shares, as a cluster that is in use has them (pure).

use api::{Workspace, WorkspaceShare, names};
use k8s_openapi::api::core::v1::Pod;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Workspaces that each user owns.
const OWNED: usize = 3;

/// Namespaces over which workspaces are spread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Namespaces(pub(super) usize);

impl Namespaces {
    /// Namespace and name of workspace `number`.
    pub(super) fn place(self, number: usize) -> [String; 2] {
        [format!("team-{}", number % self.0), format!("lab-{number:05}")]
    }

    /// Its owner, who has others in the same namespace.
    pub(super) fn owner(self, number: usize) -> String {
        format!("user-{}-{}", number % self.0, number / self.0 / OWNED)
    }

    /// A running one, of the template `jupyterlab`.
    pub(super) fn workspace(self, number: usize) -> anyhow::Result<Workspace> {
        let [namespace, name] = self.place(number);
        let owner = self.owner(number);
        let condition = |kind: &str, status: &str, reason: &str| {
            json!({
                "type": kind, "status": status, "reason": reason, "message": "", "observedGeneration": 1,
                "lastTransitionTime": "2026-01-02T03:04:05Z",
            })
        };
        object(json!({
            "metadata": {
                "name": name, "namespace": namespace, "uid": uid(number), "generation": 1,
                "creationTimestamp": "2026-01-02T03:04:05Z",
                "annotations": {names::CREATED_BY: owner}, "finalizers": [names::CLEANUP_FINALIZER],
            },
            "spec": {
                "displayName": name, "templateRef": "jupyterlab", "desiredStatus": "Running", "storage": {"size": "5Gi"},
                "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}},
            },
            "status": {
                "observedGeneration": 1, "phase": "Running", "reason": "Ready", "message": "The workspace is ready.",
                "url": format!("https://{name}.workspaces.localhost:8443/"),
                "runID": "b5c1d7", "owner": owner, "startedAt": "2026-01-02T03:04:05Z",
                "endpoint": {"podName": format!("workspace-{name}"), "podIP": "10.0.0.1", "port": 8888},
                "resolved": {
                    "manager": "main", "accessType": "OwnerOnly", "ownershipType": "OwnerOnly", "image": "registry.example.org/jupyter:1",
                },
                "conditions": [
                    condition("Valid", "True", "AllRulesHold"), condition("Available", "True", "Ready"),
                    condition("Progressing", "False", "Ready"), condition("Degraded", "False", "AsExpected"),
                    condition("Stopped", "False", "Ready"),
                ],
            },
        }))
    }

    /// The pod of a workspace.
    pub(super) fn pod(self, number: usize) -> anyhow::Result<Pod> {
        let [namespace, name] = self.place(number);
        object(json!({
            "metadata": {
                "name": format!("workspace-{name}"), "namespace": namespace, "uid": format!("pod-of-{}", uid(number)),
                "labels": {names::WORKSPACE_LABEL: name},
            },
            "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]},
        }))
    }

    /// A share of a workspace with a user of the next namespace, and a group.
    pub(super) fn share(self, number: usize) -> anyhow::Result<WorkspaceShare> {
        let [namespace, name] = self.place(number);
        let subjects = [
            json!({"kind": "User", "name": self.owner(number + 1)}),
            json!({"kind": "Group", "name": format!("oidc:project-{}", number % 500)}),
        ];
        object(json!({
            "metadata": {
                "name": format!("{name}-share"), "namespace": namespace, "uid": format!("share-{number}"), "generation": 1,
                "creationTimestamp": "2026-01-02T03:04:05Z", "annotations": {names::CREATED_BY: self.owner(number)},
            },
            "spec": {"workspaceRef": name, "workspaceUID": uid(number), "role": "Connect", "subjects": subjects},
            "status": {"observedGeneration": 1, "workspaceUID": uid(number), "conditions": [{
                "type": "Active", "status": "True", "reason": "Shared", "message": "Two subjects may connect.",
                "observedGeneration": 1, "lastTransitionTime": "2026-01-02T03:04:06Z",
            }]},
        }))
    }
}

/// UID of workspace `number`.
pub(super) fn uid(number: usize) -> String {
    format!("7f3c1a52-9d0e-4b7b-8a3e-{number:012}")
}

fn object<T: DeserializeOwned + kube::Resource<DynamicType = ()>>(mut value: Value) -> anyhow::Result<T> {
    value["apiVersion"] = json!(T::api_version(&()));
    value["kind"] = json!(T::kind(&()));
    Ok(serde_json::from_value(value)?)
}
