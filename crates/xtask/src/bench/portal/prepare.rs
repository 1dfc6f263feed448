//! Objects and settings -> objects on the API server, and the portal's files (IO).

use std::fs;

use anyhow::Context as _;
use futures::stream::{self, TryStreamExt as _};
use kube::Client;
use kube::api::{GroupVersionKind, Patch, PatchParams};
use serde_json::Value;

use super::{BARE, LISTEN, objects};
use crate::args::BenchPortal;
use crate::bench::operator::instance::{Instance, wait_for};
use crate::bench::operator::requests::{PARALLEL, api, make, resource};
use crate::cluster::kubeconfig::{self, write_secret};
use crate::cluster::pki::Pair;
use crate::paths::Paths;
use crate::progress::Progress;

/// Kinds, the installation, workspaces and shares; gives the installation's settings.
pub(super) async fn prepare(
    client: &Client,
    args: &BenchPortal,
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<String> {
    for crd in ::api::crds() {
        make(client, &serde_json::to_value(crd)?).await?;
    }
    for kind in [
        "workspaces",
        "workspaceshares",
        "workspacetemplates",
        "workspacemanagers",
    ] {
        wait_for(client, &format!("/apis/workspaces.jupyter.org/v1alpha1/{kind}")).await?;
    }
    let (objects, settings) = objects::installation(args.namespaces, paths, progress)?;
    for object in &objects {
        make(client, object).await?;
    }
    progress.line("the control plane is ready; making workspaces and shares");
    let numbers = stream::iter((0..args.workspaces).map(anyhow::Ok));
    numbers
        .try_for_each_concurrent(PARALLEL, async |number| {
            let workspace = objects::workspace(number, args.namespaces);
            let uid = put(client, "Workspace", workspace).await?;
            put(
                client,
                "WorkspaceShare",
                objects::share(number, args.namespaces, &uid),
            )
            .await?;
            Ok(())
        })
        .await?;
    progress.line(format_args!(
        "{} workspaces and shares are there",
        args.workspaces
    ));
    Ok(settings)
}

/// Makes an object with its status, for its UID.
async fn put(client: &Client, kind: &str, (object, status): (Value, Value)) -> anyhow::Result<String> {
    let uid = make(client, &object).await?;
    let kind = resource(&GroupVersionKind::gvk(
        ::api::names::GROUP,
        ::api::names::VERSION,
        kind,
    ));
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    api(client, &kind, Some(text("namespace")))
        .patch_status(text("name"), &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(uid)
}

/// What the portal reads, and kubeconfigs of its clients and of the bare server's, named by their ports.
pub(super) fn write_files(instance: &Instance, settings: &str, keys: &str) -> anyhow::Result<()> {
    let file = |name: &str| instance.layout().file(name);
    let pki = |name: &str| fs::read_to_string(file("pki").join(name)).with_context(|| name.to_owned());
    fs::write(file("settings.yaml"), settings)?;
    fs::write(file("jwks.json"), keys)?;
    for (name, from) in [
        ("tls.crt", "apiserver.crt"),
        ("tls.key", "apiserver.key"),
        ("ca.crt", "ca.crt"),
    ] {
        write_secret(&file("tls").join(name), &pki(from)?)?;
    }
    let proxy = Pair {
        certificate: pki("load.crt")?,
        key: pki("load.key")?,
    };
    for address in [LISTEN, BARE] {
        let cluster = kubeconfig::cluster(&format!("https://{address}"), &pki("ca.crt")?);
        let client = kubeconfig::render(&cluster, &proxy, "default")?;
        write_secret(
            &instance.layout().kubeconfig(&address.port().to_string()),
            &client,
        )?;
    }
    Ok(())
}
