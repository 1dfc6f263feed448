//! A local node with the product -> an empty one beside a registry with the product, and back (IO).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::Run;
use crate::args::ImageName;
use crate::args::Provider;
use crate::cluster::registry::{self, Running};
use crate::cluster::{self, Cluster, write_secret};
use crate::images::copy;
use crate::registry::Registries;
use crate::{apt, demo, release};

/// Domain of the workspaces, known to the cluster's DNS, and host of the identity provider.
const HOSTS: (&str, &str) = ("workspaces.test", "identity.test");
/// Path of the images' names in the registry.
const TEAM: &str = "team";
/// The same for copies.
const COPIES: &str = "copies";

/// Publishes the product of the cluster to a registry in the node's network, and copies an image there as `./justw images copy` does. Then
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
    let out = paths.cluster().join("release");
    let _ = fs::remove_dir_all(&out);
    let registries = Registries {
        auth_file: Some(registry.credentials.clone()),
    };
    let prefix = format!("{}/{TEAM}", registry.address);
    let (chart, version) = release::publish_local(&prefix, &plugin, &out, &registries, paths, &run.progress)?;
    let list = fs::read_to_string(out.join(release::IMAGE_LIST))?;
    let copies = format!("{}/{COPIES}", registry.address);
    copy::copy(application(&list)?, &copies, &registries, &run.progress)?;
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

/// The line with the default image of workspaces, in the image list of a release (pure).
fn application(list: &str) -> anyhow::Result<&str> {
    let reference = ImageName::Application.recipe().reference("");
    let of_registry = reference.rsplit('/').next().unwrap_or(&reference);
    let name = of_registry.split(':').next().unwrap_or(of_registry);
    let is_it = |line: &&str| line.contains(&format!("/{name}:"));
    let line = list.lines().find(is_it);
    line.with_context(|| format!("the release has no image {name}: {list}"))
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
    let cluster = demo::start(paths)?;
    demo::deploy(&cluster, paths, &run.progress)?;
    run.cluster = Some(cluster);
    Ok(())
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn the_image_that_is_copied_is_the_one_that_workspaces_run() {
        let line = "127.0.0.1:1/team/jk8s-application-jupyter-uv:1.0.0@sha256:0a";
        let list = format!("127.0.0.1:1/team/gateway:1.0.0@sha256:0b\n{line}\n");
        assert_eq!(application(&list).unwrap(), line);
        let error = application("127.0.0.1:1/team/gateway:1.0.0\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("jk8s-application-jupyter-uv"), "{error}");
    }

    #[test]
    fn tests_of_the_stage_get_the_registry_and_keep_the_accounts_of_users() {
        let registry = Running {
            address: "127.0.0.1:1".to_owned(),
            credentials: "/state/config.json".into(),
        };
        let before = json!({"baseDomain": "workspaces.localhost", "users": {"alice": {"password": "p"}}});
        let access = access(
            before,
            "oci://127.0.0.1:1/team/c",
            "1.0.0",
            &registry,
            Path::new("/state/ca.crt"),
        );
        assert_eq!(access["users"]["alice"]["password"], "p");
        assert_eq!(
            (&access["baseDomain"], &access["caFile"]),
            (&json!(HOSTS.0), &json!("/state/ca.crt"))
        );
        assert_eq!(
            access["published"],
            json!({
                "chart": "oci://127.0.0.1:1/team/c", "version": "1.0.0", "registry": "127.0.0.1:1",
                "copies": "127.0.0.1:1/copies", "credentials": "/state/config.json",
            })
        );
    }
}
