//! The release behind an existing front of the cluster, of each kind that the chart knows.

mod client;
mod front;

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use api::Workspace;
use e2e::{
    Environment,
    browser::Browser,
    cluster::{
        self, Scratch,
        node_network::{self, NodeNetwork},
    },
    http::{HttpSession, socket},
    installation::release,
    jupyter::{kernel, notebook, terminal},
    objects::workspace,
    test_run::finally::always,
    wait,
};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Api;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use client::{Requests, send};
use front::{Front, Kind};

/// Requests for pages of the sign-in host that an address has in a minute, from each replica.
const LIMIT: u16 = 60;
/// More than all replicas allow.
const TOO_MANY: u16 = 5 * LIMIT;

/// The release behind a front.
struct Site {
    scratch: Scratch,
    front: Front,
    kind: Kind,
    /// Runs the echo server.
    echo: Workspace,
}

#[tokio::test]
async fn behind_an_ingress_route_tcp_users_work_and_have_their_own_addresses() -> anyhow::Result<()> {
    behind(Kind::IngressRouteTcp).await
}

#[tokio::test]
async fn behind_a_tls_route_users_work_and_share_one_address() -> anyhow::Result<()> {
    behind(Kind::TlsRoute).await
}

#[tokio::test]
async fn behind_an_ingress_that_ends_tls_users_work_and_no_other_client_reaches_the_plain_port()
-> anyhow::Result<()> {
    behind(Kind::Ingress).await
}

#[tokio::test]
async fn behind_an_http_route_that_ends_tls_users_work_and_no_other_client_reaches_the_plain_port()
-> anyhow::Result<()> {
    behind(Kind::HttpRoute).await
}

async fn behind(kind: Kind) -> anyhow::Result<()> {
    let scratch = Scratch::new("behind", &["alice"]).await?;
    let (echo, front) = tokio::try_join!(workspace::running(&scratch, "ws"), Front::start(kind, &scratch))?;
    let site = Site {
        scratch,
        front,
        kind,
        echo,
    };
    let back = async {
        site.front.close().await?;
        release::upgrade(&[]).await
    };
    always(Box::pin(checked(&site)), back).await?;
    site.front.finish().await?;
    // The address is the proxy's again.
    HttpSession::new()?
        .enter(&workspace::url(&site.echo)?, "alice")
        .await?;
    site.scratch.finish().await
}

async fn checked(site: &Site) -> anyhow::Result<()> {
    let mut values = site.front.values()?;
    values.push(format!("gateway.limits.addressPerMinute={LIMIT}"));
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    release::upgrade_with_json(&values).await?;
    site.front.open().await?;
    let session = HttpSession::new()?;
    let url = workspace::url(&site.echo)?;
    session.enter(&url, "alice").await?;
    claims_do_not_count(&session, &url).await?;
    websocket_opens(&session, &url).await?;
    let lab = Box::pin(workspace::lab(&site.scratch)).await?;
    Box::pin(computes(&session, &lab)).await?;
    let pods = site.scratch.api::<Pod>();
    let image = &Environment::get()?.images.echo;
    tokio::try_join!(
        cluster::run_pod(&pods, "one", image),
        cluster::run_pod(&pods, "two", image),
        cluster::run_pod(&pods, "past", image),
    )?;
    addresses_are_limited(site, &pods).await?;
    if site.kind.ends_tls() {
        plain_port_is_closed(site, &pods).await?;
    }
    Ok(())
}

/// JupyterLab has a kernel and a terminal, and in a browser a cell runs.
async fn computes(session: &HttpSession, lab: &Workspace) -> anyhow::Result<()> {
    let url = workspace::url(lab)?;
    session.enter(&format!("{url}lab"), "alice").await?;
    let result = kernel::compute(session, &url, "6 * 7").await?;
    ensure!(result == "42", "{result}");
    terminal::types(session, &url, "echo $((6*7))", "42").await?;
    let browser = Browser::start().await?;
    browser.enter(lab, "alice").await?;
    notebook::run_a_cell(&browser).await?;
    browser.close().await
}

/// What a user claims about a request reaches no pod, and changes nothing.
async fn claims_do_not_count(session: &HttpSession, url: &str) -> anyhow::Result<()> {
    let claims = [
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Real-Ip", "203.0.113.7"),
        ("X-Forwarded-Host", "claimed.example.org"),
        ("X-Forwarded-Uri", "/_workspace/callback"),
        ("X-Forwarded-Prefix", "/claimed"),
        ("X-Forwarded-Proto", "http"),
    ];
    let request = session.request(Method::GET, &format!("{url}page"));
    let request = request.header("Sec-Fetch-Site", "same-origin");
    let request = claims
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.send().await?;
    ensure!(answer.status() == StatusCode::OK, "{answer:?}");
    let seen: Value = answer.json().await?;
    ensure!(seen["path"] == "/page", "{seen}");
    let headers = seen["headers"].as_array().context("no headers")?;
    for header in headers {
        let (name, value) = (
            header[0].as_str().unwrap_or_default(),
            header[1].as_str().unwrap_or_default(),
        );
        let is_proto = name.eq_ignore_ascii_case("X-Forwarded-Proto");
        ensure!(!is_proto || value == "https", "{seen}");
        let is_claimed = claims[..5].iter().any(|(_, claim)| value.contains(claim));
        ensure!(!is_claimed, "{name}: {value} reached the pod");
    }
    Ok(())
}

async fn websocket_opens(session: &HttpSession, url: &str) -> anyhow::Result<()> {
    let origin = url.trim_end_matches('/');
    let target = format!("{}ws", url.replacen("https", "wss", 1));
    let opened = socket::connect(&target, &session.cookies(url)?, Some(origin)).await?;
    let mut opened = opened.map_err(|status| anyhow::anyhow!("the websocket was refused: {status}"))?;
    let greeting = opened.next().await.context("no greeting")??;
    ensure!(
        greeting.to_string().to_lowercase().contains("upgrade"),
        "{greeting}"
    );
    Ok(())
}

/// A user with too many requests is refused, whatever address they claim, and another user is not.
async fn addresses_are_limited(site: &Site, pods: &Api<Pod>) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let (host, service) = (environment.auth_host(), format!("{}-proxy", environment.release));
    let authority = format!("{host}:{}", environment.port);
    let through_front = |times| Requests {
        address: &site.front.address,
        port: 8443,
        tls: true,
        host: &host,
        authority: &authority,
        times,
    };
    let is_limited = |statuses: &[StatusCode]| statuses.contains(&StatusCode::TOO_MANY_REQUESTS);
    let one = send(pods, "one", &through_front(TOO_MANY)).await?;
    ensure!(!is_limited(&one[..5]) && is_limited(&one), "{one:?}");
    let two = send(pods, "two", &through_front(5)).await?;
    let apart = !is_limited(&two);
    ensure!(apart == site.kind.tells_addresses(), "{:?}: {two:?}", site.kind);

    // Every pod reaches the proxy's port with TLS. That port trusts no other client's headers.
    let services = Api::<Service>::namespaced(cluster::admin().await?, &environment.system_namespace);
    let address = services
        .get(&service)
        .await?
        .spec
        .and_then(|spec| spec.cluster_ip);
    let address = address.context("the proxy has no address")?;
    let past_front = Requests {
        address: &address,
        port: environment.port,
        ..through_front(TOO_MANY)
    };
    let past = send(pods, "past", &past_front).await?;
    ensure!(!is_limited(&past[..5]) && is_limited(&past), "{past:?}");
    Ok(())
}

/// The port without TLS is open to the front's namespace, and answers the front's address alone.
async fn plain_port_is_closed(site: &Site, pods: &Api<Pod>) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let address = |pod: &Pod| {
        pod.status
            .as_ref()
            .and_then(|status| status.pod_ip.clone())
            .context("no address")
    };
    let proxies = cluster::component_pods(cluster::admin().await?, "proxy").await?;
    let proxy = address(
        proxies
            .iter()
            .find(|pod| cluster::is_ready(pod))
            .context("no proxy")?,
    )?;
    let target = |port: u16| format!("tcp:{proxy}:{port}");
    let all = BTreeSet::from([8001, 8080, 8443].map(target));
    let own = format!("{}:{}", node_network::link_local_address(), node_network::PORT);
    let network = NodeNetwork::start(&[own]).await?;
    let other = address(&pods.get("two").await?)?;
    let sources = BTreeSet::from([other.clone(), site.front.address.clone()]);
    let seen = network.connect(&sources, &all).await?;
    ensure!(seen[&other].reached == BTreeSet::from([target(8443)]), "{seen:?}");
    ensure!(seen[&site.front.address].reached == all, "{seen:?}");
    network.finish().await?;

    let pods_beside = Api::<Pod>::namespaced(cluster::admin().await?, &site.front.name);
    cluster::run_pod(&pods_beside, "other", &environment.images.echo).await?;
    let host = environment.auth_host();
    let plain = Requests {
        address: &proxy,
        port: 8001,
        tls: false,
        host: &host,
        authority: &host,
        times: 1,
    };
    wait::until(
        "the port without TLS to refuse another pod in the namespace of the front",
        wait::USUAL,
        || async {
            let statuses = send(&pods_beside, "other", &plain).await;
            match statuses.map_err(|error| format!("{error:#}"))?.as_slice() {
                [StatusCode::FORBIDDEN] => Ok(()),
                other => Err(format!("{other:?}")),
            }
        },
    )
    .await
}
