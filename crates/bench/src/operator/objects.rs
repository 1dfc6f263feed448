//! Numbers -> namespaces, fake nodes, templates and volumes (pure).

use api::WorkspaceTemplate;
use serde_json::{Value, json};

use super::TEMPLATE;
use crate::full_template::{CLASS, NODE_LABEL, full};

/// Namespace of the plain template's workspaces.
pub(super) const PLAIN: &str = "bench-workspaces";
/// Namespace of the full template's workspaces.
pub(super) const WHOLE: &str = "bench-full";
/// Namespace of the children that the bench makes itself.
pub(super) const BARE: &str = "bench-bare";
/// Mark of a fake node, as kwok names it.
const FAKE: &str = "kwok.x-k8s.io/node";

/// A namespace for workspaces.
pub(crate) fn namespace(name: &str) -> Value {
    let labels = json!({"workspaces.jupyter.org/workspaces": "true"});
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// Name of a fake node.
pub(super) fn node_name(number: usize) -> String {
    format!("bench-fake-{number}")
}

/// Status of a fake node, which has more than its pods need.
pub(super) fn room() -> Value {
    let room = json!({"cpu": "1000", "memory": "1Ti", "ephemeral-storage": "1Ti", "pods": "10000", rules::GPU: "10000"});
    json!({"status": {"allocatable": room, "capacity": room}})
}

/// A volume for any claim of the full template: no provisioner makes one for a fake node.
pub(super) fn volume() -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"generateName": "bench-", "labels": {"type": TEMPLATE}},
        "spec": {
            "capacity": {"storage": "50Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": CLASS,
            "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/nowhere"},
        },
    })
}

/// Namespaces, fake nodes, and templates whose workspaces run there.
pub(super) fn objects(nodes: usize) -> anyhow::Result<Vec<Value>> {
    let [gpu, product] = NODE_LABEL;
    let node = |number: usize| {
        let name = node_name(number);
        let labels = json!({
            "type": TEMPLATE, gpu: product,
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        });
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": labels, "annotations": {FAKE: "fake"}},
            "spec": {"taints": [{"key": FAKE, "value": "fake", "effect": "NoSchedule"}]},
        })
    };
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": CLASS}, "provisioner": "kubernetes.io/no-provisioner",
    });
    let plain = plain()?;
    let templates = [serde_json::to_value(full(&plain)?)?, serde_json::to_value(plain)?];
    let namespaces = [PLAIN, WHOLE, BARE].map(namespace);
    let all = namespaces.into_iter().chain((0..nodes).map(node));
    Ok(all.chain([class]).chain(templates).collect())
}

/// The plain template.
fn plain() -> anyhow::Result<WorkspaceTemplate> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceTemplate",
        "metadata": {"name": TEMPLATE},
        "spec": {
            "displayName": "Bench",
            "defaultImage": "registry.example.org/nothing:1",
            "defaultResources": {
                "requests": {"cpu": "100m", "memory": "128Mi"},
                "limits": {"cpu": "1", "memory": "1Gi"},
            },
            "resourceBounds": {"cpu": {"min": "100m", "max": "2"}, "memory": {"min": "128Mi", "max": "4Gi"}},
            "defaultNodeSelector": {"type": TEMPLATE},
            "defaultTolerations": [{"key": FAKE, "operator": "Exists"}],
        },
    }))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::full_template::{FULL, choices};

    #[test]
    fn the_templates_are_valid_and_a_workspace_may_choose_all_options_of_the_full_one() {
        let settings = rules::Settings::parse(
            "{defaultImage: uv, imageAliases: {uv: 'registry.example.org/jupyter:1'}}",
        )
        .unwrap();
        let plain = plain().unwrap();
        let full = full(&plain).unwrap();
        for template in [&plain, &full] {
            let violations = rules::validate::template(&template.spec, &settings);
            assert_eq!(rules::Violations::from_list(violations), None);
        }
        let mut workspace = testkit::objects::workspace("w");
        let spec = json!({"displayName": "Bench", "templateRef": FULL, "options": choices()});
        workspace.spec = serde_json::from_value(spec).unwrap();
        let manager = testkit::objects::manager("main");
        let references = rules::References::managed_by([&manager]).with_template(Some(&full));
        let valid = rules::admit(&workspace, &references, &settings).unwrap();
        assert_eq!(valid.volume_claims.len(), 2);
    }
}
