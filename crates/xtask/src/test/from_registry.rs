//! A local node with the product -> an empty one beside a registry with the product, and back (IO).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::Run;
use crate::applications;
use crate::args::Provider;
use crate::cluster::registry::{self, Running};
use crate::cluster::{self, Cluster, write_secret};
use crate::exec::Cmd;
use crate::images::{self, PLUGIN};
use crate::{apt, demo, helm};

/// Domain of the workspaces, known to the cluster's DNS, and host of the identity provider.
const HOSTS: (&str, &str) = ("workspaces.test", "identity.test");
/// Path of the images' names in the registry.
const TEAM: &str = "team";
/// The same for copies.
const COPIES: &str = "copies";
/// Default image of workspaces.
const APPLICATION: &str = "jk8s-application-jupyter-uv";

/// Publishes the product of the cluster to a registry in the node's network, and copies the image of workspaces there, by the commands of docs/install.md. Then
/// removes everything from the cluster: the release, its CRDs and namespaces, with `remove`, and all images except the node's own. Returns
/// the file with this information for the tests.
///
/// # Errors
/// When the cluster is not a local node, a push fails, or an object remains.
pub(super) fn begin(
    run: &mut Run<'_>,
    access_file: &Path,
    remove: impl FnOnce(&mut Run<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let paths = run.paths;
    if Cluster::current(paths)?.provider() != Provider::Node {
        bail!("the stage `from a registry` empties the cluster: it needs the local node (`./justw demo`)");
    }
    apt::ensure(&super::REGISTRY, &run.progress)?;
    let plugin = demo::build_plugin(paths)?;
    let registry = registry::start(paths, &run.progress)?;
    // What is published has the identity provider's other half, too.
    images::ensure_of_tests(true, paths, &run.progress)?;
    let images = paths.images();
    fs::copy(plugin, images.join(PLUGIN)).context("cannot copy the plugin")?;
    let (registry_name, version) = (&registry.address, env!("CARGO_PKG_VERSION"));
    let out = paths.cluster().join("release");
    Cmd::new(paths.clone_root().join("deploy/publish.sh"))
        .env("OUT", &out)
        .env("PLAIN_HTTP", "1")
        .env("HELM", helm::ensure(paths, &run.progress)?)
        .env("REGISTRY_AUTH_FILE", &registry.credentials)
        .env("HELM_REGISTRY_CONFIG", &registry.credentials)
        .arg(format!("{registry_name}/{TEAM}"))
        .arg(version)
        .arg(images)
        .run()?;
    let name = format!("{APPLICATION}:{version}");
    Cmd::new("skopeo")
        .env("REGISTRY_AUTH_FILE", &registry.credentials)
        .args([
            "copy",
            "--all",
            "--preserve-digests",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
        ])
        .arg(format!("docker://{registry_name}/{TEAM}/{name}"))
        .arg(format!("docker://{registry_name}/{COPIES}/{name}"))
        .run()?;
    run.progress.line("published images and chart");
    let chart = format!("oci://{registry_name}/{TEAM}/jupyter-k8s");
    remove(run)?;
    cluster::remove_images(paths)?;
    run.progress.line("the cluster is empty");

    let text =
        fs::read_to_string(access_file).with_context(|| format!("cannot read {}", access_file.display()))?;
    let authority = paths.cluster().join("registry-ca.crt");
    let _ = fs::remove_file(&authority);
    let access = access(
        serde_json::from_str(&text)?,
        &chart,
        version,
        &registry,
        &authority,
    );
    let file = paths.cluster().join("access-registry.json");
    write_secret(&file, &serde_json::to_string_pretty(&access)?)?;
    Ok(file)
}

/// The values for the tests of the stage, which replace those of the installed release (pure).
fn access(mut access: Value, chart: &str, version: &str, registry: &Running, authority: &Path) -> Value {
    access["baseDomain"] = json!(HOSTS.0);
    access["identityHost"] = json!(HOSTS.1);
    // The tests write this file, once the installation has created it.
    access["caFile"] = json!(authority);
    access["published"] = json!({
        "chart": chart,
        "version": version,
        "registry": registry.address,
        "copies": format!("{}/{COPIES}", registry.address),
        "credentials": registry.credentials,
    });
    access
}

/// Replaces the node by one with the product, if one existed before the run. Otherwise the run takes it down.
///
/// # Errors
/// When the product cannot be installed again.
pub(super) fn end(run: &mut Run<'_>, ok: bool) -> anyhow::Result<()> {
    if !run.cluster_was_there {
        return Ok(());
    }
    let paths = run.paths;
    if !ok && let Some(file) = demo::diagnose::collect(&Cluster::current(paths)?, paths) {
        println!("state of pods, and events: {}", file.display());
    }
    run.progress.line("replacing the emptied cluster");
    cluster::down(paths)?;
    let _lock = cluster::lock::of_installation(paths, &run.progress)?;
    let (cluster, references) = demo::start(&applications::images(), paths, &run.progress)?;
    demo::deploy(&cluster, &references?, paths, &run.progress)?;
    run.cluster = Some(cluster);
    Ok(())
}
