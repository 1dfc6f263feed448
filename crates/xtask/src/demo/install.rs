//! A running cluster and images -> the release of the chart, with its requirements (IO).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::authority::{self, ServerTls};
use super::credentials::{self, Credentials};
use super::kubectl;
use super::site::{RELEASE, SYSTEM_NAMESPACE, USERS, hosts, secret};
use crate::applications;
use crate::cluster::{Cluster, write_secret};
use crate::exec::Cmd;
use crate::helm;
use crate::images;
use crate::paths::Paths;
use crate::progress::Progress;

/// Timeout for all pods of a release to be ready. The identity provider takes about half a minute of it.
const TIMEOUT: &str = "5m";

/// The installation, as far as users need it.
#[derive(Debug)]
pub(super) struct Installed {
    pub(super) tls: ServerTls,
    pub(super) credentials: Credentials,
    pub(super) helm: PathBuf,
    pub(super) chart: PathBuf,
    /// Values files; later ones override earlier ones.
    pub(super) values: Vec<PathBuf>,
}

/// A release of the chart in this checkout.
#[derive(Debug)]
struct Release<'a> {
    helm: &'a Path,
    kubeconfig: &'a Path,
    namespace: &'a str,
    name: &'a str,
}

impl Release<'_> {
    /// Installs or upgrades the release, and waits until its pods are ready. Changes nothing when chart and values are the installed ones.
    /// Later values files override earlier ones.
    fn install(&self, chart: &Path, values: &[PathBuf]) -> anyhow::Result<()> {
        let mut helm = kubectl::direct(Cmd::new(self.helm), self.kubeconfig)
            .args(["upgrade", "--install", "--namespace", self.namespace, self.name])
            .arg(chart);
        for file in values {
            helm = helm.arg("--values").arg(file);
        }
        helm.args(["--wait", "--timeout", TIMEOUT]).run()
    }
}

/// Installs or upgrades the release; `references` are the images' names on the cluster.
///
/// # Errors
/// When an object is refused or pods do not become ready.
pub(super) fn install(
    cluster: &Cluster,
    references: &BTreeMap<String, String>,
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<Installed> {
    let helm = helm::ensure(paths, progress)?;
    let tls = authority::ensure(&paths.cache().join("ca"), &hosts())?;
    let credentials = credentials::ensure(&paths.cache().join("demo/credentials.json"), &USERS)?;
    kubectl::apply(cluster, &[namespace(SYSTEM_NAMESPACE)])?;
    kubectl::apply(cluster, &secrets(&tls, &credentials))?;
    let chart = paths.clone_root().join("charts/jupyter-k8s");
    // helm installs CRDs once and never changes them.
    let crds = chart.join("crds");
    apply_folder(cluster, &crds).context("installing the CRDs")?;
    let release = Release {
        helm: &helm,
        kubeconfig: cluster.kubeconfig(),
        namespace: SYSTEM_NAMESPACE,
        name: RELEASE,
    };
    let images = values_of_images(paths);
    write_secret(
        &images,
        &serde_json::to_string_pretty(&images::values(references)?)?,
    )?;
    let values = vec![chart.join("values-local.yaml"), images];
    forget_interrupted(cluster)?;
    release.install(&chart, &values)?;
    Ok(Installed {
        tls,
        credentials,
        helm,
        chart,
        values,
    })
}

/// Deletes Helm's records of operations that were killed: Helm refuses every upgrade while there is one. The caller has the lock.
fn forget_interrupted(cluster: &Cluster) -> anyhow::Result<()> {
    let pending =
        format!("owner=helm,name={RELEASE},status in (pending-install,pending-upgrade,pending-rollback)");
    let delete = [
        "delete",
        "secrets",
        "--namespace",
        SYSTEM_NAMESPACE,
        "--selector",
        &pending,
    ];
    cluster.kubectl().args(delete).run()
}

/// The values of images, which only a running cluster has.
fn values_of_images(paths: &Paths) -> PathBuf {
    paths.cluster().join("values.json")
}

/// Images of the applications that the release on the running cluster offers.
pub(super) fn offered(paths: &Paths) -> Vec<&'static str> {
    let text = fs::read_to_string(values_of_images(paths)).unwrap_or_default();
    let values: Value = serde_json::from_str(&text).unwrap_or_default();
    applications::images()
        .into_iter()
        .filter(|name| values["images"].get(name).is_some())
        .collect()
}

fn apply_folder(cluster: &Cluster, folder: &Path) -> anyhow::Result<()> {
    cluster
        .kubectl()
        .args(["apply", "--server-side", "--force-conflicts", "-f"])
        .arg(folder)
        .run()?;
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "-f"];
    cluster.kubectl().args(wait).arg(folder).run()
}

fn namespace(name: &str) -> Value {
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// The Secrets that values-local.yaml expects.
fn secrets(tls: &ServerTls, credentials: &Credentials) -> Vec<Value> {
    let object = |part: &str, kind: &str, data: Value| {
        let metadata = json!({"name": secret(part), "namespace": SYSTEM_NAMESPACE});
        json!({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata, "stringData": data})
    };
    let certificate = json!({"tls.crt": tls.certificate, "tls.key": tls.key, "ca.crt": tls.authority});
    vec![
        object("proxy-tls", "kubernetes.io/tls", certificate),
        object(
            "oidc",
            "Opaque",
            json!({"clientSecret": credentials.client_secret}),
        ),
        object("identity", "Opaque", json!(credentials.passwords)),
    ]
}
