//! Service account of a namespace -> its rights and tokens (IO).

use anyhow::Context as _;
use k8s_openapi::api::{authentication::v1::TokenRequest, core::v1::ServiceAccount};
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::{
    Environment,
    cluster::{self, Scratch},
    command::{administered, apply},
    test_run::process,
};

/// Name of the account.
pub const NAME: &str = "robot";

/// Creates the account.
///
/// # Errors
/// The API server refuses.
pub async fn make(scratch: &Scratch) -> anyhow::Result<()> {
    let service_account = json!({"metadata": {"name": NAME}});
    let accounts = scratch.api::<ServiceAccount>();
    accounts
        .create(&PostParams::default(), &serde_json::from_value(service_account)?)
        .await?;
    Ok(())
}

/// Gives the account these rights in the whole cluster, by a role with the name of its namespace.
///
/// # Errors
/// The API server refuses.
pub async fn grant(scratch: &Scratch, rules: &Value) -> anyhow::Result<()> {
    let name = scratch.namespace.as_str();
    let metadata =
        json!({"name": name, "labels": {"e2e.test/scratch": "true", process::LABEL: process::own()?}});
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules,
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": name}],
    });
    apply(&[role, binding]).await
}

/// Takes them back.
///
/// # Errors
/// The API server refuses.
pub async fn revoke(namespace: &str) -> anyhow::Result<()> {
    let rights = [
        "delete",
        "clusterrole,clusterrolebinding",
        namespace,
        "--ignore-not-found",
    ];
    administered(&rights, "").await.map(drop)
}

/// A kubeconfig with a token of the account.
///
/// # Errors
/// The API server refuses, or the administrator's kubeconfig names no cluster.
pub async fn kubeconfig(scratch: &Scratch) -> anyhow::Result<Value> {
    cluster::kubeconfig(&token(scratch, None).await?)
}

/// Audience of tokens for this installation.
///
/// # Errors
/// The installation is unknown.
pub fn audience() -> anyhow::Result<String> {
    let environment = Environment::get()?;
    Ok(environment.origin(&environment.auth_host()))
}

/// Creates a token of the account. Without an audience, it is for the API server.
///
/// # Errors
/// The API server refuses.
pub async fn token(scratch: &Scratch, audience: Option<&str>) -> anyhow::Result<String> {
    let audiences: Vec<&str> = audience.into_iter().collect();
    let request: TokenRequest = serde_json::from_value(json!({
        "spec": {"audiences": audiences, "expirationSeconds": 600},
    }))?;
    let accounts = scratch.api::<ServiceAccount>();
    let made = accounts
        .create_token_request(NAME, &PostParams::default(), &request)
        .await?;
    Ok(made.status.context("no token")?.token)
}
