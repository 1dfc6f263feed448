//! Number of fake nodes -> their objects, and the kwok process that simulates kubelets (IO).
//!
//! A pod on such a node is Running and Ready at once, and gone as soon as it is deleted; nothing of it runs. It serves tests of scale, and
//! of states that a real node cannot reach. A taint keeps other pods away from fake nodes. The addresses of its pods lead nowhere.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::layout::Layout;
use super::process::{self, Network, Service};
pub(crate) use super::state::FAKE_NODES;
use super::state::State;
use super::{lock, node};
use crate::args::KwokCommand;
use crate::components::KWOK;
use crate::paths::Paths;
use crate::progress::Progress;

/// Annotation and taint of a fake node, as kwok names them.
pub(crate) const MARK: &str = "kwok.x-k8s.io/node";
/// Value of [`MARK`].
const FAKE: &str = "fake";
/// Label of a fake node.
const TYPE: (&str, &str) = ("type", "kwok");

/// Runs one `cluster kwok` command.
pub(crate) fn run(command: KwokCommand, paths: &Paths) -> anyhow::Result<()> {
    let progress = Progress::start();
    match command {
        KwokCommand::Up { nodes } => up(paths, nodes, &progress),
        KwokCommand::Down => down(paths, &progress),
    }
}

/// Starts the process unless it runs, and creates so many nodes. It also handles nodes that tests create themselves.
///
/// # Errors
/// When no local node is up.
pub(crate) fn up(paths: &Paths, nodes: u32, progress: &Progress) -> anyhow::Result<()> {
    let program = KWOK.ensure(paths, progress)?;
    let _lock = lock::acquire(paths, "cluster kwok up", progress)?;
    let layout = Layout::new(paths);
    let mut state = State::load(&layout)?.context("no local node is up; run `./justw cluster up`")?;
    let current = state.process(FAKE_NODES).cloned();
    let runs = current
        .as_ref()
        .is_some_and(|process| process.program == program && process.alive());
    if !runs {
        process::stop(current.as_slice(), Duration::from_secs(5))?;
        let config = layout.file("kwok.yaml");
        fs::write(&config, STAGES)?;
        let service = Service {
            name: FAKE_NODES,
            args: args(&layout.kubeconfig("admin"), &config),
            program,
            network: Network::Node,
        };
        state.processes.retain(|process| process.name != FAKE_NODES);
        state.processes.push(service.start(&layout)?);
        state.save(&layout)?;
        progress.line(format_args!("started {FAKE_NODES}"));
    }
    if nodes > 0 {
        let list = (0..nodes).fold(String::new(), |mut list, number| {
            let _ = writeln!(list, "{}", fake_node(&format!("fake-{number}"), &json!({})));
            list
        });
        let kubectl = node::kubectl(&layout, paths).args(["apply", "--server-side", "-f", "-"]);
        kubectl.stdin(list).run()?;
        progress.line(format_args!("{nodes} fake nodes are there"));
    }
    Ok(())
}

/// Deletes all fake nodes, waits until their pods are gone, then ends the process, because nothing else would end the pods.
pub(crate) fn down(paths: &Paths, progress: &Progress) -> anyhow::Result<()> {
    let _lock = lock::acquire(paths, "cluster kwok down", progress)?;
    let layout = Layout::new(paths);
    let Some(mut state) = State::load(&layout)? else {
        return Ok(());
    };
    let Some(process) = state.process(FAKE_NODES).cloned() else {
        return Ok(());
    };
    let kubectl = |args: &[&str]| node::kubectl(&layout, paths).args(args).output();
    let label = format!("{}={}", TYPE.0, TYPE.1);
    let nodes = kubectl(&[
        "get",
        "nodes",
        "-l",
        &label,
        "-o",
        "jsonpath={.items[*].metadata.name}",
    ])?;
    for name in nodes.split_whitespace() {
        // Pods can only end while the process runs, and no new ones may start.
        kubectl(&["cordon", name])?;
        let of_node = format!("spec.nodeName={name}");
        kubectl(&[
            "delete",
            "pods",
            "-A",
            "--field-selector",
            &of_node,
            "--request-timeout=2m",
        ])?;
        kubectl(&["delete", "node", name, "--ignore-not-found"])?;
    }
    process::stop(&[process], Duration::from_secs(5))?;
    state.processes.retain(|process| process.name != FAKE_NODES);
    state.save(&layout)?;
    progress.line(format_args!("{FAKE_NODES} is down"));
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

/// How a fake node becomes ready: its stated allocatable values stay, and all others are large. Its lease is its heartbeat, so nothing is
/// written again. While it is annotated `kwok.test/lost`, a test sets its conditions. Pods use kwok's own stages.
pub(crate) const STAGES: &str = r#"apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata:
  name: node-alive
spec:
  resourceRef: {apiGroup: v1, kind: Node}
  selector:
    matchExpressions:
    - {key: '.metadata.annotations["kwok.test/lost"]', operator: DoesNotExist}
    - {key: '.status.conditions.[] | select( .type == "Ready" ) | .status', operator: NotIn, values: ["True"]}
  next:
    statusTemplate: |
      {{ $now := Now }}
      phase: Running
      conditions:
      - {type: Ready, status: "True", reason: KubeletReady, message: fake, lastHeartbeatTime: {{ $now | Quote }}, lastTransitionTime: {{ $now | Quote }}}
      addresses:
      - {type: InternalIP, address: {{ NodeIP | Quote }}}
      - {type: Hostname, address: {{ .metadata.name | Quote }}}
      {{ if not .status.allocatable }}
      allocatable: {cpu: "1000", memory: 1Ti, ephemeral-storage: 1Ti, pods: "10000"}
      capacity: {cpu: "1000", memory: 1Ti, ephemeral-storage: 1Ti, pods: "10000"}
      {{ end }}
      nodeInfo:
        architecture: amd64
        bootID: fake
        containerRuntimeVersion: kwok://0
        kernelVersion: fake
        kubeProxyVersion: fake
        kubeletVersion: fake
        machineID: fake
        operatingSystem: linux
        osImage: fake
        systemUUID: fake
"#;

/// A fake node; `allocatable` replaces the large defaults, such as `{"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": "2", "pods": "50"}`.
pub(crate) fn fake_node(name: &str, allocatable: &Value) -> Value {
    let mut node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {MARK: FAKE},
            "labels": {TYPE.0: TYPE.1, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
        },
        "spec": {"taints": [{"key": MARK, "value": FAKE, "effect": "NoSchedule"}]},
    });
    if allocatable.as_object().is_some_and(|all| !all.is_empty()) {
        node["status"] = json!({"allocatable": allocatable, "capacity": allocatable});
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_without_the_toleration_are_not_scheduled_on_fake_nodes() {
        let node = fake_node("fake-0", &json!({"cpu": "4"}));
        assert_eq!(node["spec"]["taints"][0]["effect"], "NoSchedule");
        assert_eq!(node["metadata"]["annotations"][MARK], FAKE);
        assert_eq!(node["status"]["capacity"]["cpu"], "4");
        assert!(fake_node("fake-0", &json!({})).get("status").is_none());
    }
}
