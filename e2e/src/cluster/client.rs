//! Kubeconfig, token or user name -> client of the API server (IO).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::Context as _;
use http::{Method, Request, Response, Uri};
use kube::{
    Client, Config,
    client::Body,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tower::service_fn;

use crate::Environment;

/// A client with the identity of `kubeconfig`.
pub async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    client_of(config(kubeconfig).await?)
}

/// What a client needs to know, as `kubeconfig` says.
async fn config(kubeconfig: &Path) -> anyhow::Result<Config> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

/// Address of the API server.
///
/// # Errors
/// The administrator's kubeconfig cannot be read.
pub async fn address() -> anyhow::Result<Uri> {
    Ok(config(&Environment::get()?.kubeconfig).await?.cluster_url)
}

/// A client that sends a GET again when its connection ends before the answer: the API server closes unused connections, some of them
/// just when they are used again.
fn client_of(config: Config) -> anyhow::Result<Client> {
    let client = Client::try_from(config)?;
    let (namespace, valid_until) = (client.default_namespace().to_owned(), *client.valid_until());
    let service = service_fn(move |request| send(client.clone(), request));
    Ok(Client::new(service, namespace).with_valid_until(valid_until))
}

async fn send(client: Client, request: Request<Body>) -> Result<Response<Body>, kube::Error> {
    let (parts, body) = request.into_parts();
    let again = (parts.method == Method::GET).then(|| Request::from_parts(parts.clone(), Body::empty()));
    match (client.send(Request::from_parts(parts, body)).await, again) {
        (Err(kube::Error::Service(_)), Some(again)) => client.send(again).await,
        (answer, _) => answer,
    }
}

/// A client with the identity of an administrator.
pub async fn admin() -> anyhow::Result<Client> {
    shared(&Environment::get()?.kubeconfig).await
}

/// A client with the identity of `user`.
pub async fn user(user: &str) -> anyhow::Result<Client> {
    shared(&Environment::get()?.user(user)?.kubeconfig).await
}

/// One client per kubeconfig: a handshake costs CPU time on both sides. A test is a process with one runtime, which the client belongs to.
async fn shared(kubeconfig: &Path) -> anyhow::Result<Client> {
    static CLIENTS: Mutex<BTreeMap<PathBuf, Client>> = Mutex::new(BTreeMap::new());
    let known = || CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    let found = known().get(kubeconfig).cloned();
    if let Some(client) = found {
        return Ok(client);
    }
    let client = Box::pin(client(kubeconfig)).await?;
    known().insert(kubeconfig.to_owned(), client.clone());
    Ok(client)
}

/// A client with a bearer token, and without the certificate of the administrator.
pub async fn with_token(token: &str) -> anyhow::Result<Client> {
    let mut config = config(&Environment::get()?.kubeconfig).await?;
    config.auth_info = AuthInfo {
        token: Some(token.to_owned().into()),
        ..AuthInfo::default()
    };
    client_of(config)
}

/// A kubeconfig with a bearer token, and without the certificate of the administrator.
///
/// # Errors
/// The administrator's kubeconfig names no cluster.
pub fn kubeconfig(token: &str) -> anyhow::Result<Value> {
    let admin = Kubeconfig::read_from(&Environment::get()?.kubeconfig)?;
    let cluster = admin.clusters.into_iter().next().and_then(|one| one.cluster);
    let cluster = cluster.context("a kubeconfig without cluster")?;
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": {
            "server": cluster.server, "certificate-authority-data": cluster.certificate_authority_data,
        }}],
        "users": [{"name": "it", "user": {"token": token}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }))
}

/// A client that impersonates `user` in `groups`, by the administrator's permission. The user need not exist.
pub async fn acting_as(user: &str, groups: &[&str]) -> anyhow::Result<Client> {
    let mut config = config(&Environment::get()?.kubeconfig).await?;
    config.auth_info.impersonate = Some(user.to_owned());
    let groups = groups.iter().copied().chain(["system:authenticated"]);
    config.auth_info.impersonate_groups = Some(groups.map(str::to_owned).collect());
    client_of(config)
}
