//! Plain template -> full template, and choices of its options (pure).

use api::WorkspaceTemplate;
use serde_json::{Value, json};

/// Name of the full template.
pub(crate) const FULL: &str = "bench-full";
/// Storage class of its disks.
pub(crate) const CLASS: &str = "bench";
/// Label of the nodes that its workspaces need.
pub(crate) const NODE_LABEL: [&str; 2] = ["nvidia.com/gpu.product", "A100"];

/// A choice of each option.
pub(crate) fn choices() -> Value {
    json!({"gpu": "a100", "size": "whole", "data": "yes"})
}

/// The plain template with a sidecar, a container that runs before, two further disks and three options.
pub(crate) fn full(plain: &WorkspaceTemplate) -> anyhow::Result<WorkspaceTemplate> {
    let mut object = serde_json::to_value(plain)?;
    object["metadata"]["name"] = json!(FULL);
    let spec = &mut object["spec"];
    spec["resourceBounds"]["gpu"] = json!({"max": 1});
    let small =
        json!({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}});
    spec["podTemplate"] = json!({
        "metadata": {"labels": {"team": "data"}, "annotations": {"example.com/owner": "data"}},
        "spec": {
            "volumes": [{"name": "database", "persistentVolumeClaim": {"claimName": "{pvcs.db}"}}],
            "initContainers": [{"name": "clone", "image": "registry.example.org/git:1", "args": ["clone", "{repository}"], "resources": small}],
            "containers": [
                {
                    "name": "database", "image": "registry.example.org/postgres:17", "resources": small,
                    "ports": [{"name": "sql", "containerPort": 5432}],
                    "volumeMounts": [{"name": "database", "mountPath": "/var/lib/postgresql/data"}],
                },
            ],
        },
    });
    let disk = |size: &str| json!({"accessModes": ["ReadWriteOnce"], "storageClassName": CLASS, "resources": {"requests": {"storage": size}}});
    spec["volumeClaims"] = json!([
        {"name": "db", "spec": disk("2Gi")},
        {"name": "data", "mountPath": "/data", "when": {"data": ["yes"]}, "spec": disk("50Gi")},
    ]);
    let gpu = json!({"limits": {rules::GPU: "1"}});
    let [label, product] = NODE_LABEL;
    spec["options"] = json!([
        {"name": "gpu", "choices": [
            {"name": "none", "default": true},
            {"name": "a100", "set": {"resources": gpu, "nodeSelector": {label: product}, "shmSize": "1Gi"}},
        ]},
        {"name": "size", "choices": [
            {"name": "slice", "when": {"gpu": ["a100"]}, "default": true, "set": {"env": [{"name": "GPU_MEMORY", "value": "10Gi"}]}},
            {"name": "whole", "when": {"gpu": ["a100"]}, "set": {"env": [{"name": "GPU_MEMORY", "value": "80Gi"}]}},
        ]},
        {"name": "data", "choices": [
            {"name": "no", "default": true},
            {"name": "yes", "set": {"variables": {"repository": "https://git.example.org/data"}}},
        ]},
    ]);
    Ok(serde_json::from_value(object)?)
}
