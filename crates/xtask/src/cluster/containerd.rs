//! Layout -> containerd's configuration and the pods' network (pure); and its client, `ctr` (IO).

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::control_plane::service;
use super::layout::{Layout, NODE_POD_RANGE, POD_NETWORK};
use super::process::Service;
use crate::exec::Cmd;

/// Namespace of containerd that Kubernetes' images and containers live in.
const NAMESPACE: &str = "k8s.io";

/// containerd's configuration file. All paths that it would otherwise choose elsewhere on the machine are in our own folders, so that a
/// clean-up needs no guesses.
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
        state = layout.containerd_state().display(),
        socket = layout.containerd_socket().display(),
        network = layout.text("cni"),
        runc = layout.run().join("runc").display(),
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
    json!({"cniVersion": "1.0.0", "name": POD_NETWORK, "plugins": plugins}).to_string()
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
        .arg(layout.containerd_socket())
        .args(["--namespace", NAMESPACE])
}

/// Removes all containers and their tasks; returns whether there were any. Images stay.
pub(crate) fn remove_containers(layout: &Layout) -> anyhow::Result<bool> {
    let list = |kind: &str| -> anyhow::Result<Vec<String>> {
        Ok(ctr(layout)
            .args([kind, "list", "--quiet"])
            .output()?
            .lines()
            .map(str::to_owned)
            .collect())
    };
    let tasks = list("tasks")?;
    if !tasks.is_empty() {
        // Each container is removed even if another removal fails; the next call shows what remains.
        let _ = ctr(layout)
            .args(["tasks", "delete", "--force"])
            .args(&tasks)
            .run();
    }
    let containers = list("containers")?;
    if !containers.is_empty() {
        ctr(layout)
            .args(["containers", "delete"])
            .args(&containers)
            .run()?;
    }
    Ok(!containers.is_empty())
}

/// Sockets of this containerd's shims. Each is outside its state folder, at an address that a file in that folder contains.
pub(crate) fn shim_sockets(state: &Path) -> Vec<PathBuf> {
    let tasks = state.join("io.containerd.runtime.v2.task").join(NAMESPACE);
    let address = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("address")).ok();
    let addresses = fs::read_dir(tasks)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(address);
    addresses
        .filter_map(|address| address.trim().strip_prefix("unix://").map(PathBuf::from))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_placed_outside_our_own_folders() {
        let layout = Layout::of_cache(Path::new("/cache"));
        let text = config(&layout, "localhost/pause:1");
        for line in text
            .lines()
            .filter(|line| line.contains("= \"/") && !line.starts_with("bin_dir"))
        {
            assert!(
                line.contains("\"/cache/") || line.contains("\"/run/jupyter-k8s/"),
                "{line}"
            );
        }
        assert!(pod_network(&layout).contains("\"dataDir\":\"/cache/cluster/cni-addresses\""));
    }

    #[test]
    fn sockets_of_shims_are_read_from_their_address_files() {
        let state = std::env::temp_dir().join(format!("xtask-shims-{}", std::process::id()));
        let task = state.join("io.containerd.runtime.v2.task/k8s.io/abc");
        fs::create_dir_all(&task).unwrap();
        fs::write(task.join("address"), "unix:///run/containerd/s/0f\n").unwrap();
        fs::create_dir_all(state.join("io.containerd.runtime.v2.task/k8s.io/without")).unwrap();
        let sockets = shim_sockets(&state);
        fs::remove_dir_all(&state).unwrap();
        assert_eq!(sockets, [PathBuf::from("/run/containerd/s/0f")]);
    }
}
