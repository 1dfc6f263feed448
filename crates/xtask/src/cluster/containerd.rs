//! Layout -> containerd's configuration, the pods' network and containerd's client, `ctr` (pure).

use std::path::PathBuf;

use serde_json::json;

use super::control_plane::service;
use super::layout::{Layout, NODE_POD_RANGE};
use super::process::Service;
use crate::exec::Cmd;

/// Namespace of containerd that Kubernetes' images and containers live in.
const NAMESPACE: &str = "k8s.io";
/// Its socket, in the state folder.
pub(crate) const SOCKET: &str = "containerd.sock";

/// containerd's configuration file.
pub(crate) fn config(layout: &Layout, sandbox_image: &str) -> String {
    let cri = r#"plugins."io.containerd.grpc.v1.cri""#;
    format!(
        r#"version = 2
root = "{root}"
state = "{state}"
# Snapshotters that a test node has no use for, and plugins that write to /opt and /var/run.
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri",
  "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
address = "{socket}"
[{cri}]
sandbox_image = "{sandbox_image}"
netns_mounts_under_state_dir = true
# A root without CAP_SYS_RESOURCE cannot go below its own oom_score_adj, and then no sandbox starts.
restrict_oom_score_adj = true
[{cri}.cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{network}"
[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
Root = "{runc}"
"#,
        root = layout.containerd_root().display(),
        state = layout.text("containerd"),
        socket = layout.text(SOCKET),
        network = layout.text("cni"),
        runc = layout.text("runc"),
    )
}

/// The pods' network: a bridge in the node's namespace, addresses from the node's range, and host ports.
pub(crate) fn pod_network(layout: &Layout) -> String {
    let addresses = json!({
        "type": "host-local",
        "dataDir": layout.text("cni-addresses"),
        "ranges": [[{"subnet": NODE_POD_RANGE}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    });
    let plugins = json!([
        {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true, "ipam": addresses},
        {"type": "portmap", "capabilities": {"portMappings": true}},
    ]);
    json!({"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}).to_string()
}

/// containerd.
pub(crate) fn containerd(layout: &Layout) -> Service {
    let args = vec!["--config".to_owned(), layout.text("containerd.toml")];
    service("containerd", PathBuf::from("/usr/bin/containerd"), args)
}

/// A call of containerd's client.
pub(crate) fn ctr(layout: &Layout) -> Cmd {
    Cmd::new("ctr")
        .arg("--address")
        .arg(layout.file(SOCKET))
        .args(["--namespace", NAMESPACE])
}
