//! Names -> initial objects for tests (pure).

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate, names};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::Pod,
};
use kube::{Resource as _, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Namespace of all namespaced objects here.
pub const NAMESPACE: &str = "team";

/// Owner of all workspaces here.
pub const OWNER: &str = "alice";

#[expect(
    clippy::panic,
    reason = "only tests run this, and they are to fail where a builder is wrong"
)]
fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap_or_else(|error| panic!("a builder of objects is wrong: {error}"))
}

/// A workspace as the webhook stores it: generation 1, without template, with a disk of 1Gi.
pub fn workspace(name: &str) -> Workspace {
    object(json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "Workspace",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": format!("uid-of-{name}"),
            "generation": 1,
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {names::CREATED_BY: OWNER},
            "finalizers": [names::CLEANUP_FINALIZER],
        },
        "spec": {"displayName": name, "storage": {"size": "1Gi"}},
    }))
}

/// A template with bounds of 100m to 2 CPUs, 128Mi to 2Gi of memory and 1Gi to 5Gi of disk.
pub fn template(name: &str) -> WorkspaceTemplate {
    object(json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "WorkspaceTemplate",
        "metadata": {"name": name, "uid": format!("uid-of-{name}"), "generation": 1},
        "spec": {
            "displayName": name,
            "defaultImage": "uv",
            "resourceBounds": {
                "cpu": {"min": "100m", "max": "2"},
                "memory": {"min": "128Mi", "max": "2Gi"},
            },
            "primaryStorage": {"defaultSize": "1Gi", "minSize": "1Gi", "maxSize": "5Gi"},
        },
    }))
}

/// The default manager. Hosts of its workspaces are under `workspaces.localhost:8443`.
pub fn manager(name: &str) -> WorkspaceManager {
    object(json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "WorkspaceManager",
        "metadata": {
            "name": name,
            "uid": format!("uid-of-{name}"),
            "generation": 1,
            "annotations": {names::IS_DEFAULT: "true"},
        },
        "spec": {
            "routing": {"baseDomain": "workspaces.localhost", "port": 8443, "traefik": {}},
            "authentication": {"gateway": {}},
        },
    }))
}

/// An execution profile with this spec.
pub fn execution_profile(name: &str, spec: &Value) -> WorkspaceExecutionProfile {
    object(json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "WorkspaceExecutionProfile",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": format!("uid-of-{name}"), "generation": 1},
        "spec": spec,
    }))
}

/// The replica set that the deployment controller creates for `deployment`.
pub fn replica_set_of(deployment: &Deployment) -> ReplicaSet {
    let spec = deployment.spec.clone().unwrap_or_default();
    let labels = spec
        .template
        .metadata
        .as_ref()
        .and_then(|meta| meta.labels.clone());
    object(json!({
        "metadata": {
            "name": format!("{}-5d8f", deployment.name_any()),
            "namespace": deployment.namespace(),
            "uid": format!("{}-rs", deployment.uid().unwrap_or_default()),
            "generation": 1,
            "labels": labels,
            "annotations": deployment.annotations(),
            "ownerReferences": [deployment.controller_owner_ref(&())],
        },
        "spec": {"replicas": spec.replicas, "selector": spec.selector, "template": spec.template},
        "status": {"replicas": 0, "observedGeneration": 1},
    }))
}

/// The pod that the replica set controller creates for `replica_set`: pending, without an address.
pub fn pod_of(replica_set: &ReplicaSet) -> Pod {
    let template = replica_set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.clone())
        .unwrap_or_default();
    let meta = template.metadata.unwrap_or_default();
    object(json!({
        "metadata": {
            "name": format!("{}-abcde", replica_set.name_any()),
            "namespace": replica_set.namespace(),
            "uid": format!("{}-pod", replica_set.uid().unwrap_or_default()),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": meta.labels,
            "annotations": meta.annotations,
            "ownerReferences": [replica_set.controller_owner_ref(&())],
        },
        "spec": template.spec,
        "status": {"phase": "Pending"},
    }))
}

/// The same pod, running and ready at `ip`.
pub fn ready(mut pod: Pod, ip: &str) -> Pod {
    pod.status = object(json!({
        "phase": "Running",
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"},
        ],
        "containerStatuses": [{
            "name": "workspace", "ready": true, "restartCount": 0, "image": "", "imageID": "", "started": true,
            "state": {"running": {"startedAt": "2026-01-01T00:00:04Z"}},
        }],
    }));
    pod
}
