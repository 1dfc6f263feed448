//! Pinned Go modules -> what tests need of other projects, in the cache folder (IO).
//!
//! `pod-security` has the pods by which Kubernetes tests Pod Security; `definitions` has these kinds:
//!
//! | file | definitions |
//! |---|---|
//! | `traefik.yaml` | every kind of Traefik; its provider waits until all of them exist |
//! | `gateways.yaml` | every kind of the Gateway API that Traefik waits for |
//! | `cert-manager.yaml` | cert-manager's certificates, their requests and issuers |
//! | `podmonitors.yaml`, `prometheusrules.yaml` | the Prometheus operator's kinds |

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;

/// The module whose tests say what Pod Security refuses and takes. Version and hash are those of the node's programs.
const POD_SECURITY: (&str, &str) = (
    "k8s.io/pod-security-admission@v0.36.3",
    "h1:nWRx42eQwSkapa0TPwtho35adfSziRmPYuzwU+4xPpo=",
);

/// Files of a Go module.
struct Definition {
    /// Name in the cache folder.
    name: &'static str,
    /// Module and version.
    module: &'static str,
    /// Go's hash of the module's content.
    sum: &'static str,
    /// The folder in it.
    folder: &'static str,
    /// The files in that.
    files: &'static [&'static str],
}

const GATEWAY_API: (&str, &str) = (
    "sigs.k8s.io/gateway-api@v1.6.1",
    "h1:mock6phZbI6rvZerwrVNk7hVNymQgHo+6sJ81Ia7ftY=",
);
const CERT_MANAGER: (&str, &str) = (
    "github.com/cert-manager/cert-manager@v1.21.2",
    "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
);
const PROMETHEUS_OPERATOR: (&str, &str) = (
    "github.com/prometheus-operator/prometheus-operator@v0.85.0",
    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
);

const ALL: [Definition; 5] = [
    Definition {
        name: "traefik.yaml",
        module: "github.com/traefik/traefik/v3@v3.7.13",
        sum: "h1:T8wy9KuaFzCkmXCqAzDy7t73pBDR1DHrJe3pqXpNXTw=",
        folder: "docs/content/reference/dynamic-configuration",
        files: &["kubernetes-crd-definition-v1.yml"],
    },
    Definition {
        name: "gateways.yaml",
        module: GATEWAY_API.0,
        sum: GATEWAY_API.1,
        folder: "config/crd/standard",
        files: &[
            "gateway.networking.k8s.io_backendtlspolicies.yaml",
            "gateway.networking.k8s.io_gatewayclasses.yaml",
            "gateway.networking.k8s.io_gateways.yaml",
            "gateway.networking.k8s.io_grpcroutes.yaml",
            "gateway.networking.k8s.io_httproutes.yaml",
            "gateway.networking.k8s.io_referencegrants.yaml",
            "gateway.networking.k8s.io_tlsroutes.yaml",
        ],
    },
    Definition {
        name: "cert-manager.yaml",
        module: CERT_MANAGER.0,
        sum: CERT_MANAGER.1,
        folder: "deploy/crds",
        files: &[
            "cert-manager.io_certificaterequests.yaml",
            "cert-manager.io_certificates.yaml",
            "cert-manager.io_clusterissuers.yaml",
            "cert-manager.io_issuers.yaml",
        ],
    },
    Definition {
        name: "podmonitors.yaml",
        module: PROMETHEUS_OPERATOR.0,
        sum: PROMETHEUS_OPERATOR.1,
        folder: "example/prometheus-operator-crd",
        files: &["monitoring.coreos.com_podmonitors.yaml"],
    },
    Definition {
        name: "prometheusrules.yaml",
        module: PROMETHEUS_OPERATOR.0,
        sum: PROMETHEUS_OPERATOR.1,
        folder: "example/prometheus-operator-crd",
        files: &["monitoring.coreos.com_prometheusrules.yaml"],
    },
];

/// Returns the folder with the definitions. Fills it when it is empty or has other versions.
///
/// # Errors
/// When Go cannot fetch a module, or its content differs from the pinned one.
pub(crate) fn ensure(paths: &Paths, progress: &Progress) -> anyhow::Result<PathBuf> {
    let folder = paths.cache().join("definitions");
    let stamp = folder.join("sums");
    let wanted = sums();
    if fs::read_to_string(&stamp).is_ok_and(|present| present == wanted) {
        return Ok(folder);
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    progress.line(format_args!(
        "fetching definitions for tests into {}",
        folder.display()
    ));
    for definition in &ALL {
        let text = fetch(definition, paths).with_context(|| format!("cannot fetch {}", definition.module))?;
        fs::write(folder.join(definition.name), text)?;
    }
    // Written last: without it the folder is filled again.
    fs::write(&stamp, wanted)?;
    Ok(folder)
}

/// Makes `pod-security` in the cache folder: a link to the pods by which Kubernetes tests its Pod Security admission.
///
/// # Errors
/// When Go cannot fetch the module, or its content differs from the pinned one.
pub(crate) fn ensure_pod_security(paths: &Paths) -> anyhow::Result<()> {
    let (module, sum) = POD_SECURITY;
    let pods = download(module, sum, paths)
        .with_context(|| format!("cannot fetch {module}"))?
        .join("test/testdata");
    let link = paths.cache().join("pod-security");
    if fs::read_link(&link).is_ok_and(|target| target == pods) {
        return Ok(());
    }
    // It may point to another version.
    let _ = fs::remove_file(&link);
    symlink(&pods, &link).with_context(|| format!("cannot make {}", link.display()))
}

fn fetch(definition: &Definition, paths: &Paths) -> anyhow::Result<String> {
    let folder = download(definition.module, definition.sum, paths)?.join(definition.folder);
    let read = |name: &&str| {
        let file = folder.join(name);
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    };
    let texts: anyhow::Result<Vec<_>> = definition.files.iter().map(read).collect();
    Ok(texts?.join("\n---\n"))
}

/// The folder of a module in Go's cache, which has that content.
fn download(module: &str, sum: &str, paths: &Paths) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(paths.go())?;
    let download = Cmd::new("go").args(["mod", "download", "-json", module]);
    let output = download.env("GOWORK", "off").dir(paths.go()).output()?;
    let output: Value = serde_json::from_str(&output)?;
    let found = output["Sum"].as_str().unwrap_or_default();
    ensure!(found == sum, "its hash is {found:?}, not {sum:?}");
    Ok(PathBuf::from(output["Dir"].as_str().unwrap_or_default()))
}

fn sums() -> String {
    ALL.iter().fold(String::new(), |mut text, definition| {
        let _ = writeln!(
            text,
            "{} {} {} {}",
            definition.name,
            definition.module,
            definition.sum,
            definition.files.join(",")
        );
        text
    })
}
