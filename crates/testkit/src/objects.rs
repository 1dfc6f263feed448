//! Names -> initial objects for tests (pure).

use api::template::{TemplateObject, When};
use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate, names};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Namespace of all namespaced objects here.
pub const NAMESPACE: &str = "team";

/// Owner of all workspaces here.
pub const OWNER: &str = "alice";

/// Maps within each other.
pub fn nested(levels: usize) -> Value {
    (0..levels).fold(json!("x"), |inner, _| {
        Value::Object([("a".to_owned(), inner)].into_iter().collect())
    })
}

/// The same object with managed fields that are nested deeper than `serde_json` reads, as any author of it may write them.
pub fn too_deep<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = Some(vec![ManagedFieldsEntry {
        manager: Some("deep".to_owned()),
        fields_v1: Some(FieldsV1(nested(300))),
        ..ManagedFieldsEntry::default()
    }]);
    object
}

/// A template with such managed fields, and a manifest of this many levels.
pub fn deep_template(name: &str, levels: usize) -> WorkspaceTemplate {
    let mut template = too_deep(template(name));
    template.spec.objects.push(TemplateObject {
        name: "deep".to_owned(),
        manifest: nested(levels),
        when: When::new(),
    });
    template
}

#[expect(
    clippy::panic,
    reason = "only tests run this, and they are to fail where a builder is wrong"
)]
pub(crate) fn object<T: DeserializeOwned>(value: Value) -> T {
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

/// The same pod as the API server stores it: pending, without an address.
pub fn stored(mut pod: Pod) -> Pod {
    let uid = format!("uid-of-{}", pod.name_any());
    pod.metadata.uid.get_or_insert(uid);
    pod.metadata.creation_timestamp = object(json!("2026-01-01T00:00:00Z"));
    pod.status = object(json!({"phase": "Pending"}));
    pod
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
