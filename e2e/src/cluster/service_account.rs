//! Service account of a namespace -> its rights and tokens (IO).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use k8s_openapi::api::{
    authentication::v1::TokenRequest, authorization::v1::SelfSubjectRulesReview, core::v1::ServiceAccount,
};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use crate::{
    Environment,
    cluster::{self, Scratch},
    command::{administered, apply},
    test_run::process,
};

/// Name of the account.
pub const NAME: &str = "robot";

/// Resource, or resource and name of one object -> verbs.
type Rights = BTreeMap<String, BTreeSet<String>>;

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
    token_of(&scratch.api(), NAME, audience).await
}

/// The same of any account.
///
/// # Errors
/// The API server refuses.
pub async fn token_of(
    accounts: &Api<ServiceAccount>,
    name: &str,
    audience: Option<&str>,
) -> anyhow::Result<String> {
    let audiences: Vec<&str> = audience.into_iter().collect();
    let request: TokenRequest = serde_json::from_value(json!({
        "spec": {"audiences": audiences, "expirationSeconds": 600},
    }))?;
    let made = accounts
        .create_token_request(name, &PostParams::default(), &request)
        .await?;
    Ok(made.status.context("no token")?.token)
}

/// The permissions of the service account `account` of the namespace `home` in another namespace, from the API server's authorizers.
async fn rights(home: &str, account: &str, namespace: &str) -> anyhow::Result<Rights> {
    let user = format!("system:serviceaccount:{home}:{account}");
    let own = format!("system:serviceaccounts:{home}");
    let client = cluster::acting_as(&user, &["system:serviceaccounts", &own]).await?;
    let review: SelfSubjectRulesReview = serde_json::from_value(json!({"spec": {"namespace": namespace}}))?;
    let answer = Api::<SelfSubjectRulesReview>::all(client)
        .create(&PostParams::default(), &review)
        .await?;
    let status = answer.status.context("no status")?;
    let mut rights = Rights::new();
    for rule in status.resource_rules {
        let names = rule.resource_names.filter(|names| !names.is_empty());
        for group in rule.api_groups.unwrap_or_default() {
            for resource in rule.resources.clone().unwrap_or_default() {
                for name in names.clone().unwrap_or_else(|| vec![String::new()]) {
                    let about = format!("{resource}.{group}");
                    let about = format!("{} {name}", about.trim_end_matches('.'));
                    let verbs = rights.entry(about.trim().to_owned()).or_default();
                    verbs.extend(rule.verbs.iter().cloned());
                }
            }
        }
    }
    for rule in status.non_resource_rules {
        for path in rule.non_resource_urls.unwrap_or_default() {
            rights.entry(path).or_default().extend(rule.verbs.iter().cloned());
        }
    }
    Ok(rights)
}

/// The permissions of the service account `account` of the namespace `home` in another namespace, without those that every account of its
/// own has: a line for each resource.
///
/// # Errors
/// The API server refuses.
pub async fn rights_beyond_others(home: &str, account: &str, namespace: &str) -> anyhow::Result<String> {
    let mut own = rights(home, account, namespace).await?;
    for (about, verbs) in rights(home, "no-such-account", namespace).await? {
        if let Some(held) = own.get_mut(&about) {
            held.retain(|verb| !verbs.contains(verb));
        }
    }
    own.retain(|_, verbs| !verbs.is_empty());
    let lines = own.into_iter().map(|(about, verbs)| {
        let verbs: Vec<String> = verbs.into_iter().collect();
        format!("{about}: {}\n", verbs.join(" "))
    });
    Ok(lines.collect())
}
