//! Provider `kind` -> a cluster in the container engine of this machine (IO).
//!
//! For developers with an engine. CI uses provider `node` and does not run this code.

use std::path::Path;

use anyhow::Context as _;
use serde_json::json;

use super::images;
use super::layout::PROXY_PORT;
use crate::components::ensure_kubectl;
use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;

/// Name of the cluster.
const NAME: &str = "jupyter-k8s";

/// Creates the cluster unless it is there; returns its kubeconfig.
pub(crate) fn up(paths: &Paths, progress: &Progress) -> anyhow::Result<String> {
    ensure_kubectl(paths, progress)?;
    let clusters = kind(&["get", "clusters"]).output();
    let clusters = clusters.context("kind (https://kind.sigs.k8s.io) needs a running container engine")?;
    if !clusters.lines().any(|name| name == NAME) {
        progress.line("creating a cluster with kind");
        kind(&[
            "create", "cluster", "--name", NAME, "--wait", "180s", "--config", "-",
        ])
        .stdin(config())
        .run()?;
    }
    kind(&["get", "kubeconfig", "--name", NAME]).output()
}

/// Deletes the cluster.
pub(crate) fn down() -> anyhow::Result<()> {
    kind(&["delete", "cluster", "--name", NAME]).run()
}

/// Loads all archives but those of a local node; kind skips what the cluster has.
pub(crate) fn load(folder: &Path, progress: &Progress) -> anyhow::Result<()> {
    let archives = images::archives(folder)?;
    for archive in archives.iter().filter(|archive| !images::is_of_node(archive)) {
        kind(&["load", "image-archive", "--name", NAME])
            .arg(archive)
            .run()?;
        progress.line(format_args!("loaded {}", archive.display()));
    }
    Ok(())
}

/// One node, with the proxy's port on the host's loopback (JSON, which is YAML).
fn config() -> String {
    let port = json!({"containerPort": PROXY_PORT, "hostPort": PROXY_PORT, "listenAddress": "127.0.0.1"});
    let nodes = json!([{"role": "control-plane", "extraPortMappings": [port]}]);
    json!({"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": nodes}).to_string()
}

fn kind(args: &[&str]) -> Cmd {
    Cmd::new("kind").args(args)
}
