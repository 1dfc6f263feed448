//! A user -> their running workspace, created with the kubectl plugin, and its URL (IO).

use std::env;
use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::kubectl;
use super::site::{TEMPLATE, USER_NAMESPACE, WORKSPACE};
use crate::exec::Cmd;
use crate::paths::Paths;

/// Creates the workspace as the holder of `kubeconfig`, or starts it if it was stopped, and waits until it is available.
///
/// # Errors
/// The plugin's own message, when the workspace is refused or cannot start.
pub(super) fn ensure_running(plugin: &Path, kubeconfig: &Path, paths: &Paths) -> anyhow::Result<String> {
    let workspace = |verb| kubectl(verb, kubeconfig, paths);
    let get = |path: &str| get(path, kubeconfig, paths);
    if !exists(kubeconfig, paths)? {
        with_plugin(workspace("create"), plugin)?
            .args(["--template", TEMPLATE, "--wait"])
            .run()?;
    } else if get(".spec.desiredStatus")? == "Stopped" {
        workspace("patch")
            .args(["--type=merge", "-p", r#"{"spec":{"desiredStatus":"Running"}}"#])
            .run()?;
    }
    workspace("wait")
        .args(["--for=condition=Available", "--timeout=180s"])
        .run()?;
    let url = get(".status.url")?;
    ensure!(
        !url.is_empty(),
        "the workspace {WORKSPACE} is available but has no URL"
    );
    Ok(url)
}

/// Whether the holder of `kubeconfig` has the workspace, running or not.
pub(super) fn exists(kubeconfig: &Path, paths: &Paths) -> anyhow::Result<bool> {
    Ok(!get(".metadata.name", kubeconfig, paths)?.is_empty())
}

/// Deletes the workspace and waits until it is gone.
pub(super) fn delete(kubeconfig: &Path, paths: &Paths) -> anyhow::Result<()> {
    kubectl("delete", kubeconfig, paths).arg("--timeout=120s").run()
}

/// The field at `path`; empty: it or the workspace is missing.
fn get(path: &str, kubeconfig: &Path, paths: &Paths) -> anyhow::Result<String> {
    kubectl("get", kubeconfig, paths)
        .args(["--ignore-not-found", "-o", &format!("jsonpath={{{path}}}")])
        .output()
}

fn kubectl(verb: &str, kubeconfig: &Path, paths: &Paths) -> Cmd {
    kubectl::as_holder_of(kubeconfig, paths).args([verb, "workspace", WORKSPACE, "-n", USER_NAMESPACE])
}

/// kubectl finds plugins on its path.
fn with_plugin(command: Cmd, plugin: &Path) -> anyhow::Result<Cmd> {
    let mut path = OsString::from(plugin.parent().context("the plugin has no folder")?);
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    Ok(command.env("PATH", path))
}
