//! Pods of our servers and of the proxy are evicted, as by `kubectl drain`, one component at a time, while a user works and kubectl writes.

use std::time::Duration;

use anyhow::ensure;
use api::{Workspace, workspace::Phase};
use e2e::{
    cluster::{self, Scratch},
    http::{
        HttpSession,
        load::{Load, Report, Writes},
    },
    installation::{component, release},
    objects::workspace,
    portal::Portal,
    test_run::finally::always,
    wait,
};
use futures::future::try_join_all;
use kube::{Api, api::PostParams};
use reqwest::StatusCode;

/// One request of a page every 5 ms.
const PAUSE: Duration = Duration::from_millis(5);
/// Pause between the portal's pages of one user. While replicas start, a page may take seconds, and a user may wait for few at a time.
const PORTAL_PAUSE: Duration = Duration::from_millis(500);
/// The local cluster has one of each, without a disruption budget.
const REPLICAS: [&str; 2] = ["portal.replicas=2", "proxy.replicas=2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_pod_of_our_servers_is_evicted_in_turn_and_no_request_and_no_write_fails() -> anyhow::Result<()>
{
    let scratch = Scratch::new("evictions", &["alice"]).await?;
    let work = async {
        release::upgrade(&REPLICAS).await?;
        Box::pin(evicted(&scratch)).await
    };
    always(work, release::upgrade(&[])).await?;
    scratch.finish().await
}

async fn evicted(scratch: &Scratch) -> anyhow::Result<()> {
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let before = workspace::running(scratch, "ws").await?;
    let url = workspace::url(&before)?;
    let session = HttpSession::new()?;
    session.enter(&url, "alice").await?;
    let portal = Portal::enter("alice").await?;
    component::are_ready("gateway", 2).await?;

    let pages = Load::begin(&portal.http, &portal.at("/"), PORTAL_PAUSE);
    let load = Load::begin(&session, &format!("{url}alive"), PAUSE);
    let writes = Writes::begin(alice.clone())?;
    let fault = load.begin.elapsed();
    let servers = ["operator", "webhook", "gateway", "portal"];
    let evicted = try_join_all(servers.map(component::evict_each)).await;
    let written = writes.end().await;
    let report = load.end("evictions of servers", fault).await?;
    let seen = pages.end("pages of the portal meanwhile", fault).await?;
    evicted?;
    is_whole(&report)?;
    is_whole(&seen)?;
    written?;

    // Connections end with a proxy. The next request uses another one.
    let load = Load::begin(&session, &format!("{url}alive"), PAUSE);
    let fault = load.begin.elapsed();
    let evicted = component::evict_each("proxy").await;
    let report = load.end("evictions of proxies", fault).await?;
    evicted?;
    is_whole(&report)?;

    // The new leader works, and the workspace has the same run.
    alice
        .create(&PostParams::default(), &workspace::echo("after")?)
        .await?;
    let new = workspace::reached(&alice, "after", Phase::Running).await?;
    let after = alice.get("ws").await?;
    assert_eq!(workspace::run_id(&after)?, workspace::run_id(&before)?);

    // Even without any replica, no user signs in again: ticket and session are valid at the next replicas.
    component::kill("gateway").await?;
    component::are_ready("gateway", 2).await?;
    wait::until("the gateway to honour the ticket", wait::USUAL, || async {
        match session.fetch_alive(&url).await {
            Ok(StatusCode::OK) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let other = workspace::url(&new)?;
    wait::until("the session to open another workspace", wait::USUAL, || async {
        let page = session.open(&other).await.map_err(|error| format!("{error:#}"))?;
        let (status, at) = (page.status(), page.url().to_string());
        if status.is_success() && at == other {
            Ok(())
        } else {
            Err(format!("{status} at {at}"))
        }
    })
    .await
}

/// Whether no request failed.
fn is_whole(report: &Report) -> anyhow::Result<()> {
    ensure!(report.failed == 0, "{report:?}");
    Ok(())
}
