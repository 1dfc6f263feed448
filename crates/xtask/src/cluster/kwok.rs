//! Number of fake nodes -> their objects, and the kwok process that simulates kubelets (IO).
//!
//! A pod on such a node is Running and Ready at once, and gone as soon as it is deleted; nothing of it runs. It serves tests of scale, and
//! of states that a real node cannot reach. A taint keeps other pods away from fake nodes. The addresses of its pods lead nowhere.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::layout::Layout;
use super::node::{self, Network};
use super::process::Service;
use crate::components::KWOK;
use crate::paths::Paths;
use crate::progress::Progress;

/// Process that simulates the kubelets of fake nodes.
pub(crate) const FAKE_NODES: &str = "kwok";
/// Annotation and taint of a fake node, as kwok names them.
pub(crate) const MARK: &str = "kwok.x-k8s.io/node";
/// Value of [`MARK`].
const FAKE: &str = "fake";
/// How a fake node becomes ready.
pub(crate) const STAGES: &str = include_str!("../../manifests/kwok.yaml");

/// Starts the process unless it was, and creates so many nodes. It also handles nodes that tests create themselves. Both end with the node.
///
/// # Errors
/// When no local node is up.
pub(crate) fn up(paths: &Paths, nodes: u32, progress: &Progress) -> anyhow::Result<()> {
    let layout = Layout::new(paths);
    node::check_running(&layout)?;
    let program = KWOK.ensure(paths, progress)?;
    let config = layout.file("kwok.yaml");
    if !config.exists() {
        let service = Service {
            name: FAKE_NODES,
            args: args(&layout.kubeconfig("admin"), &config),
            program,
        };
        fs::write(&config, STAGES)?;
        node::start_inside(&service, Network::Node, &layout)?;
        progress.line("started kwok");
    }
    if nodes > 0 {
        let list: Vec<Value> = (0..nodes)
            .map(|number| fake_node(&format!("fake-{number}"), &Value::Null))
            .collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": list});
        let kubectl = node::kubectl(&layout, paths).args(["apply", "--server-side", "-f", "-"]);
        kubectl.stdin(list.to_string()).run()?;
        progress.line(format_args!("{nodes} fake nodes are there"));
    }
    Ok(())
}

/// The process's arguments: it handles only annotated nodes, and renews their leases.
pub(crate) fn args(kubeconfig: &Path, config: &Path) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--config={}", config.display()),
        "--manage-all-nodes=false".to_owned(),
        format!("--manage-nodes-with-annotation-selector={MARK}={FAKE}"),
        // Range for nodes without one.
        "--cidr=10.200.0.0/16".to_owned(),
        "--node-ip=10.250.0.3".to_owned(),
        "--node-lease-duration-seconds=40".to_owned(),
        "--server-address=127.0.0.1:10247".to_owned(),
    ]
}

/// A fake node; `allocatable` replaces the large defaults, such as `{"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": "2", "pods": "50"}`.
pub(crate) fn fake_node(name: &str, allocatable: &Value) -> Value {
    let mut node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {MARK: FAKE},
            "labels": {"type": "kwok", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
        },
        "spec": {"taints": [{"key": MARK, "value": FAKE, "effect": "NoSchedule"}]},
    });
    if allocatable.as_object().is_some_and(|all| !all.is_empty()) {
        node["status"] = json!({"allocatable": allocatable, "capacity": allocatable});
    }
    node
}
