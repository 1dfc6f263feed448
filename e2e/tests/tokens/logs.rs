//! Credentials, and the logs of the product: no log contains a credential.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use api::{Workspace, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::{HttpSession, send_with_token, socket},
    objects::workspace,
};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, LogParams},
};
use reqwest::{Method, StatusCode, Url, header};
use serde_json::Value;

/// Minimum length of a secret: a key has 32 bytes, and a password of the test's accounts 16 letters.
const SHORTEST: usize = 16;
/// A secret that a user sends by mistake.
const MISTYPED: &str = "text-sent-in-place-of-a-token";

/// Users and a script do everything that is possible: they sign in, are refused, start workspaces and sign out.
pub(crate) async fn contain_no_credential(scratch: &Scratch, url: &str, token: &str) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let auth = environment.origin(&environment.auth_host());
    let (alice, bob) = (HttpSession::new()?, HttpSession::new()?);
    let page = alice.enter(url, "alice").await?.text().await?;
    let mut secrets = assertions(&page)?;
    ensure!(!secrets.is_empty(), "no assertion reached the pod: {page}");
    let ws: Workspace = scratch.api().get("private").await?;
    let private = workspace::url(&ws)?;
    alice.enter(&private, "alice").await?;
    let refused = bob.sign_in(&private, "bob").await?;
    ensure!(refused.status() == StatusCode::FORBIDDEN, "{}", refused.status());
    for (token, expected) in [(token, StatusCode::OK), (MISTYPED, StatusCode::UNAUTHORIZED)] {
        let answer = send_with_token(url, token).await?;
        ensure!(answer.status() == expected, "{}", answer.status());
    }
    let target = format!("{}ws", url.replacen("https", "wss", 1));
    let by_token = socket::connect_with_token(&target, token).await?;
    let by_cookie = socket::connect(&target, &alice.cookies(url)?, Some(url.trim_end_matches('/'))).await?;
    for opened in [by_token, by_cookie] {
        let mut opened = opened.map_err(|status| anyhow::anyhow!("the websocket was refused: {status}"))?;
        let response = opened.next().await.context("the websocket said nothing")??;
        secrets.extend(assertions(response.to_text()?)?);
        opened.close(None).await?;
    }

    let workspaces = scratch.api::<Workspace>();
    let stopped = workspace::stop(&workspaces, "private").await?;
    let send = async |session: &HttpSession, way: &str, field: (&str, &str)| {
        let address = format!("{auth}/{way}");
        let form = session
            .without_redirects()?
            .request(Method::POST, &address)
            .header(header::ORIGIN, &auth);
        let answer = form.form(&[field]).send().await?;
        ensure!(
            answer.status() == StatusCode::SEE_OTHER,
            "{way}: {}",
            answer.status()
        );
        Ok(Url::parse(answer.headers()[header::LOCATION].to_str()?)?)
    };
    send(&alice, "start", ("host", &workspace::host(&stopped)?)).await?;
    workspace::reached(&workspaces, "private", Phase::Running).await?;
    // Bob, because alice is used in concurrent tests.
    let provider = send(&bob, "sign-out", ("everywhere", "")).await?;
    let hint = provider.query_pairs().find(|(name, _)| name == "id_token_hint");
    secrets.insert(
        hint.context("the logout request names no session")?
            .1
            .into_owned(),
    );
    bob.open(provider.as_str()).await?;

    secrets.extend(alice.secrets());
    secrets.extend(bob.secrets());
    secrets.extend([MISTYPED, token].map(str::to_owned));
    secrets.extend(token.rsplit('.').next().map(str::to_owned));
    let admin = cluster::admin().await?;
    let system = &environment.system_namespace;
    secrets.extend(stored(&admin, system).await?);
    secrets.retain(|secret| secret.len() >= SHORTEST);
    ensure!(secrets.len() > 20, "only {} secrets are known", secrets.len());

    let mut logs = logs(&admin, system).await?;
    logs.extend(self::logs(&admin, &scratch.namespace).await?);
    // The control: the logs have entries about these requests, from all components.
    for component in ["gateway", "operator", "webhook", "proxy"] {
        let pods = cluster::component_pods(admin.clone(), component).await?;
        ensure!(!pods.is_empty(), "no pod of {component}");
        for pod in pods {
            let name = pod.name_any();
            ensure!(
                logs.keys().any(|source| source.contains(&name)),
                "{name} has no log"
            );
        }
    }
    let all = || logs.values().map(String::as_str);
    for trace in [
        &scratch.namespace,
        "token_refused",
        "/_workspace/callback",
        "\"event\":\"logout\"",
    ] {
        ensure!(all().any(|text| text.contains(trace)), "no log contains {trace}");
    }
    let found: Vec<_> = logs
        .iter()
        .flat_map(|(source, text)| {
            secrets
                .iter()
                .filter_map(move |secret| leak(source, text, secret))
        })
        .collect();
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

/// The line that contains the secret (pure). The message does not show the secret, because a test's output is a log, too.
fn leak(source: &str, text: &str, secret: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains(secret))?;
    Some(format!("{source}: {}", line.replace(secret, "<secret>")))
}

/// Assertions among the headers in the echo server's answer.
fn assertions(response: &str) -> anyhow::Result<BTreeSet<String>> {
    let response: Value = serde_json::from_str(response).with_context(|| response.to_owned())?;
    let headers = response["headers"].as_array().context("no headers")?;
    let named = headers.iter().filter(|pair| {
        let name = pair[0].as_str().unwrap_or_default();
        name.eq_ignore_ascii_case(api::names::ASSERTION_HEADER)
    });
    Ok(named
        .filter_map(|pair| pair[1].as_str().map(str::to_owned))
        .collect())
}

/// Values of the product's Secrets, except for certificates, which are public.
async fn stored(client: &Client, namespace: &str) -> anyhow::Result<BTreeSet<String>> {
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let mut parts = BTreeSet::new();
    for secret in secrets.list(&ListParams::default()).await? {
        // Helm's own record of the release: the chart's text.
        if secret.type_.as_deref() == Some("helm.sh/release.v1") {
            continue;
        }
        for (entry, value) in secret.data.unwrap_or_default() {
            let text = String::from_utf8(value.0).with_context(|| format!("{entry} is no text"))?;
            if text.contains("BEGIN CERTIFICATE") {
                ensure!(!text.contains("PRIVATE KEY"), "{entry} holds both");
                continue;
            }
            let split = text.split(|c: char| c.is_whitespace() || "\"{}[]:,".contains(c));
            parts.extend(split.filter(|part| !is_key_id(part)).map(str::to_owned));
        }
    }
    Ok(parts)
}

/// Names of keys are in metrics and logs, and not secret.
fn is_key_id(part: &str) -> bool {
    part.len() == 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The output of each container of the namespace's pods, by pod and container.
async fn logs(client: &Client, namespace: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let mut logs = BTreeMap::new();
    for pod in pods.list(&ListParams::default()).await? {
        let containers = pod.spec.as_ref().map(|spec| &spec.containers);
        for container in containers.into_iter().flatten() {
            let wanted = LogParams {
                container: Some(container.name.clone()),
                ..LogParams::default()
            };
            let name = pod.name_any();
            let text = pods.logs(&name, &wanted).await;
            let source = format!("{name}/{}", container.name);
            logs.insert(source.clone(), text.with_context(|| source)?);
        }
    }
    Ok(logs)
}
