//! Name -> namespace, account, classes and Gateway of a test's Traefik, and its image (IO).

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{cluster, command::administered, test_run::process};

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

/// Objects that are all called `name`. The account may read what each of Traefik's providers reads.
///
/// # Errors
/// This process cannot be named.
pub fn surroundings(name: &str) -> anyhow::Result<Vec<Value>> {
    let read = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["get", "list", "watch"]});
    let core = [
        "services",
        "secrets",
        "nodes",
        "configmaps",
        "namespaces",
        "pods",
        "endpoints",
    ];
    let rules = json!([
        read("", &core),
        read("discovery.k8s.io", &["endpointslices"]),
        read("networking.k8s.io", &["ingresses", "ingressclasses"]),
        read("traefik.io", &["*"]),
        read("gateway.networking.k8s.io", &["*"]),
        {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["*"], "verbs": ["update"]},
    ]);
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

/// A Gateway of this name in the namespace `class`, which takes routes of all namespaces, and its class of that name. `listener`: name,
/// protocol and `tls` of its listener.
pub fn gateway(class: &str, name: &str, (listener, protocol, tls): (&str, &str, &Value)) -> [Value; 2] {
    let version = "gateway.networking.k8s.io/v1";
    [
        json!({
            "apiVersion": version, "kind": "GatewayClass", "metadata": {"name": class},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        }),
        json!({
            "apiVersion": version, "kind": "Gateway", "metadata": {"name": name, "namespace": class},
            "spec": {
                "gatewayClassName": class,
                "listeners": [{
                    "name": listener, "port": 8443, "protocol": protocol, "tls": tls,
                    "allowedRoutes": {"namespaces": {"from": "All"}},
                }],
            },
        }),
    ]
}

/// Deletes the surroundings, and with their namespace everything in it.
///
/// # Errors
/// The API server refuses.
pub async fn remove(name: &str) -> anyhow::Result<()> {
    let kinds = "clusterrole,clusterrolebinding,ingressclass";
    administered(&["delete", kinds, name, "--ignore-not-found"], "").await?;
    administered(&["delete", "namespace", name, "--timeout=120s"], "")
        .await
        .map(drop)
}
