//! Arguments and objects -> calls of kubectl on the cluster in use (IO).

use std::path::Path;

use serde_json::Value;

use crate::cluster::{Cluster, NODE_ADDRESS};
use crate::exec::Cmd;
use crate::paths::Paths;

/// kubectl as the user of a kubeconfig.
pub(super) fn as_holder_of(kubeconfig: &Path, paths: &Paths) -> Cmd {
    direct(Cmd::new(paths.kubectl()), kubeconfig)
}

/// A client of the API server. A proxy in the caller's environment does not apply to the local node.
pub(super) fn direct(client: Cmd, kubeconfig: &Path) -> Cmd {
    client
        .env("KUBECONFIG", kubeconfig)
        .env("NO_PROXY", NODE_ADDRESS)
        .env("no_proxy", NODE_ADDRESS)
}

/// Writes objects by server-side apply; they go through standard input, so they may hold secrets.
pub(super) fn apply(cluster: &Cluster, objects: &[Value]) -> anyhow::Result<()> {
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=xtask",
        "-f",
        "-",
    ];
    cluster.kubectl().args(apply).stdin(list.to_string()).run()
}
