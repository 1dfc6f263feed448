//! Name -> what a Traefik of a test needs around its pod: namespace, account with rights, class of Ingresses (pure); its image (IO).

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{cluster, process};

/// The image of the chart's proxy.
///
/// # Errors
/// The proxy has no pod.
pub async fn image() -> anyhow::Result<String> {
    let proxies = cluster::component_pods(cluster::admin().await?, "proxy").await?;
    let image = proxies
        .first()
        .and_then(|pod| pod.spec.as_ref()?.containers.first()?.image.clone());
    image.context("the chart's proxy has no pod")
}

/// Objects that are all called `name`. `rules`: those of a `ClusterRole`, which the account gets.
///
/// # Errors
/// This process cannot be named.
pub fn surroundings(name: &str, rules: &Value) -> anyhow::Result<Vec<Value>> {
    Ok(vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": name, "labels": {"e2e.test/scratch": "true", process::LABEL: process::own()?},
        }}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": name}}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules,
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": name}],
        }),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": name},
            "spec": {"controller": "traefik.io/ingress-controller"},
        }),
    ])
}
