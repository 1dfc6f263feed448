//! The pods of our servers and of the proxy are evicted, one component at a time.
//!
//! `kubectl drain` does the same. Meanwhile a user works and kubectl writes.

use std::{collections::BTreeMap, time::Duration};

use anyhow::ensure;
use api::{Workspace, workspace::Phase};
use e2e::{
    cluster::{self, Scratch},
    finally::always,
    http::HttpSession,
    load::{Load, Report, Writes},
    portal::Portal,
    release, wait, workspace,
};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{EvictParams, PostParams},
};
use reqwest::StatusCode;

use super::{fetch, kill, replaced, replicas::settled};

/// One request of a page every 5 ms.
const PAUSE: Duration = Duration::from_millis(5);
/// One request of a page of the portal every 20 ms: it reads much more.
const PORTAL_PAUSE: Duration = Duration::from_millis(20);
/// The local cluster has one of each, without a disruption budget.
const REPLICAS: [&str; 2] = ["portal.replicas=2", "proxy.replicas=2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_pod_of_our_servers_is_evicted_in_turn_and_no_request_and_no_write_fails() -> anyhow::Result<()>
{
    let _exclusive = super::EXCLUSIVE.lock().await;
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
    settled().await?;

    let pages = Load::begin(&portal.http, &portal.at("/"), PORTAL_PAUSE);
    let load = Load::begin(&session, &format!("{url}alive"), PAUSE);
    let writes = Writes::begin(alice.clone())?;
    let fault = load.begin.elapsed();
    let servers = ["operator", "webhook", "gateway", "portal"];
    let evicted = try_join_all(servers.map(evict_each)).await;
    let failed_writes = writes.end().await?;
    let report = load.end("evictions of servers", fault).await?;
    let seen = pages.end("pages of the portal meanwhile", fault).await?;
    evicted?;
    is_whole(&report)?;
    is_whole(&seen)?;
    ensure!(failed_writes.is_empty(), "{failed_writes:?}");

    // Connections end with a proxy. The next request uses another one.
    let load = Load::begin(&session, &format!("{url}alive"), PAUSE);
    let fault = load.begin.elapsed();
    let evicted = evict_each("proxy").await;
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
    let killed = kill("gateway").await?;
    replaced("gateway", &killed).await?;
    wait::until("the gateway to honour the ticket", wait::USUAL, || async {
        match fetch(&session, &url).await {
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

/// Evicts the pods of a component in sequence. The next one is evicted when the component is complete again.
async fn evict_each(component: &str) -> anyhow::Result<()> {
    let admin = cluster::admin().await?;
    let pods = cluster::component_pods(admin.clone(), component).await?;
    ensure!(
        pods.len() == 2,
        "{} pods of {component}, so there is no PodDisruptionBudget",
        pods.len()
    );
    for pod in &pods {
        let api = Api::<Pod>::namespaced(admin.clone(), &pod.namespace().unwrap_or_default());
        let name = pod.name_any();
        // 429 is the answer of a PodDisruptionBudget: try again later.
        wait::until(&format!("{name} to be evicted"), wait::USUAL, || async {
            let evicted = api.evict(&name, &EvictParams::default()).await;
            evicted.map_err(|error| error.to_string())
        })
        .await?;
        wait::until(
            &format!("{component} to be complete again"),
            wait::USUAL,
            || async {
                let now = cluster::component_pods(admin.clone(), component)
                    .await
                    .map_err(|error| format!("{error:#}"))?;
                let ready: BTreeMap<_, _> = now
                    .iter()
                    .map(|pod| (pod.name_any(), cluster::is_ready(pod)))
                    .collect();
                let complete = ready.len() == pods.len()
                    && ready.values().all(|ready| *ready)
                    && !ready.contains_key(&name);
                if complete {
                    Ok(())
                } else {
                    Err(format!("{ready:?}"))
                }
            },
        )
        .await?;
    }
    Ok(())
}
