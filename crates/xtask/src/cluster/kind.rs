//! Provider `kind` -> a cluster in the container engine of this machine (IO).
//!
//! For developers with an engine. The project's own checks use provider `node` and do not run this code.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::layout::PROXY_PORT;
use crate::components::KUBECTL;
use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;

/// Name of the cluster.
const NAME: &str = "jupyter-k8s";

/// Creates the cluster unless it is there; returns its kubeconfig.
pub(crate) fn up(paths: &Paths, progress: &Progress) -> anyhow::Result<String> {
    let engine = engine()?;
    if !Cmd::new("kind").arg("version").succeeds() {
        bail!(
            "kind is not installed: get it from https://kind.sigs.k8s.io, or use `--provider node` as root"
        );
    }
    KUBECTL.ensure(paths, progress)?;
    if !kind(engine)
        .args(["get", "clusters"])
        .output()?
        .lines()
        .any(|name| name == NAME)
    {
        progress.line("creating a cluster with kind");
        kind(engine)
            .args([
                "create", "cluster", "--name", NAME, "--wait", "180s", "--config", "-",
            ])
            .stdin(config())
            .run()?;
        // A new cluster of this name has no images of an earlier one.
        let _ = fs::remove_file(paths.delivered_images());
    }
    kind(engine).args(["get", "kubeconfig", "--name", NAME]).output()
}

/// Deletes the cluster.
pub(crate) fn down() -> anyhow::Result<()> {
    kind(engine()?).args(["delete", "cluster", "--name", NAME]).run()
}

/// Loads an archive's image into the cluster's node, under all its names.
pub(crate) fn load(archive: &Path, names: &[String]) -> anyhow::Result<()> {
    let engine = engine()?;
    kind(engine)
        .args(["load", "image-archive", "--name", NAME])
        .arg(archive)
        .run()?;
    let Some((first, others)) = names.split_first() else {
        return Ok(());
    };
    for other in others {
        let node = format!("{NAME}-control-plane");
        let tag = [
            "ctr",
            "--namespace",
            "k8s.io",
            "images",
            "tag",
            "--force",
            first,
            other,
        ];
        Cmd::new(engine).args(["exec", &node]).args(tag).run()?;
    }
    Ok(())
}

/// One node, with the proxy's port on the host's loopback (JSON, which is YAML).
fn config() -> String {
    let port = json!({"containerPort": PROXY_PORT, "hostPort": PROXY_PORT, "listenAddress": "127.0.0.1"});
    let nodes = json!([{"role": "control-plane", "extraPortMappings": [port]}]);
    json!({"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": nodes}).to_string()
}

fn kind(engine: &str) -> Cmd {
    Cmd::new("kind").env("KIND_EXPERIMENTAL_PROVIDER", engine)
}

/// The engine that runs. An installed client alone is no proof of a running engine.
fn engine() -> anyhow::Result<&'static str> {
    let mut reasons = Vec::new();
    for engine in ["docker", "podman"] {
        if !Cmd::new(engine).arg("--version").succeeds() {
            reasons.push(format!("{engine} is not installed"));
            continue;
        }
        match Cmd::new(engine).arg("info").run() {
            Ok(()) => return Ok(engine),
            Err(error) => reasons.push(format!("{engine} is installed and cannot run: {error}")),
        }
    }
    let what = "kind needs a container engine; start one, or use `--provider node` as root";
    Err(anyhow::anyhow!(reasons.join("\n"))).context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxys_port_is_offered_on_loopback_only() {
        let value: serde_json::Value = serde_json::from_str(&config()).unwrap();
        let port = &value["nodes"][0]["extraPortMappings"][0];
        assert_eq!(
            (port["hostPort"].as_u64(), port["listenAddress"].as_str()),
            (Some(8443), Some("127.0.0.1"))
        );
    }
}
