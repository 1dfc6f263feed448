//! User name -> a kubeconfig with a client certificate of that name, signed by the cluster (IO).

use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::process::wait_until;
use super::{Cluster, kubeconfig, pki};
use crate::paths::Paths;

/// A kubeconfig for user `name`, in at most one group besides `system:authenticated`, with `namespace` as the default. The certificate is
/// valid for a day and comes from the cluster's own signer, so this works with every provider whose cluster has the signer enabled.
///
/// # Errors
/// When no cluster is up, or its signer does not answer.
pub(crate) fn kubeconfig_for_user(
    paths: &Paths,
    name: &str,
    group: Option<&str>,
    namespace: &str,
) -> anyhow::Result<String> {
    let cluster = Cluster::current(paths)?;
    let request = pki::request(name, group)?;
    let object = json!({
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"generateName": "jupyter-k8s-user-"},
        "spec": {
            "request": BASE64_STANDARD.encode(&request.certificate),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
            "expirationSeconds": 86_400,
        },
    });
    let created = cluster
        .kubectl()
        .args(["create", "-f", "-", "-o", "name"])
        .stdin(object.to_string())
        .output()?;
    let signed = sign(&cluster, &created);
    cluster.kubectl().args(["delete", &created]).run()?;
    let client = pki::Pair {
        certificate: signed.with_context(|| format!("no certificate for {name}"))?,
        key: request.key,
    };
    let config = cluster
        .kubectl()
        .args(["config", "view", "--raw", "--flatten", "--minify", "-o", "json"])
        .output()?;
    let config: Value = serde_json::from_str(&config)?;
    kubeconfig::render(&config["clusters"][0]["cluster"], &client, namespace)
}

fn sign(cluster: &Cluster, request: &str) -> anyhow::Result<String> {
    cluster
        .kubectl()
        .args(["certificate", "approve", request])
        .run()?;
    let mut signed = String::new();
    let issued = wait_until(Duration::from_secs(30), || {
        let certificate = cluster
            .kubectl()
            .args(["get", request, "-o", "jsonpath={.status.certificate}"])
            .output();
        signed = certificate.unwrap_or_default();
        !signed.is_empty()
    });
    ensure!(
        issued,
        "the cluster's signer kubernetes.io/kube-apiserver-client did not sign within 30 s"
    );
    Ok(String::from_utf8(BASE64_STANDARD.decode(signed)?)?)
}
