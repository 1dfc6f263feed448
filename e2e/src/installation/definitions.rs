//! Folder in `JUPYTER_K8S_DEFINITIONS` -> other projects' definitions on the cluster (IO).

use std::{env, path::Path};

use anyhow::Context as _;

use crate::{command::administered, wait};

/// The kinds in `gateways.yaml`. Traefik waits for all of them.
const GATEWAY_API: [&str; 7] = [
    "backendtlspolicies.gateway.networking.k8s.io",
    "gatewayclasses.gateway.networking.k8s.io",
    "gateways.gateway.networking.k8s.io",
    "grpcroutes.gateway.networking.k8s.io",
    "httproutes.gateway.networking.k8s.io",
    "referencegrants.gateway.networking.k8s.io",
    "tlsroutes.gateway.networking.k8s.io",
];

/// Installs the definitions in `file`, of that folder or an absolute path, and waits until these are served.
///
/// # Errors
/// The API server refuses.
pub async fn install(file: &str, names: &[&str]) -> anyhow::Result<()> {
    let folder = env::var("JUPYTER_K8S_DEFINITIONS")
        .context("JUPYTER_K8S_DEFINITIONS is not set: run the tests by `./justw test`")?;
    let path = Path::new(&folder).join(file).display().to_string();
    administered(&["apply", "--server-side", "--force-conflicts", "-f", &path], "").await?;
    for name in names {
        let name = format!("crd/{name}");
        // It fails at once for one that has no status yet.
        wait::until(&format!("{name} to be served"), wait::USUAL, || async {
            administered(
                &["wait", "--for=condition=Established", "--timeout=10s", &name],
                "",
            )
            .await
            .map_err(|error| format!("{error:#}"))
        })
        .await?;
    }
    Ok(())
}

/// Removes a definition, and with it every object of its kind.
///
/// # Errors
/// The API server refuses.
pub async fn remove(name: &str) -> anyhow::Result<()> {
    administered(
        &["delete", "crd", name, "--ignore-not-found", "--timeout=60s"],
        "",
    )
    .await?;
    Ok(())
}

/// Installs the Gateway API.
///
/// # Errors
/// The API server refuses.
pub async fn install_gateway_api() -> anyhow::Result<()> {
    install("gateways.yaml", &GATEWAY_API).await
}

/// Removes it.
///
/// # Errors
/// The API server refuses.
pub async fn remove_gateway_api() -> anyhow::Result<()> {
    for kind in GATEWAY_API {
        remove(kind).await?;
    }
    Ok(())
}
