//! Pods of our servers, of the proxy and of workspaces are evicted, as by `kubectl drain`.
//!
//! The servers are evicted one component at a time, while a user works and kubectl writes.

use std::time::Duration;

use anyhow::ensure;
use api::{Workspace, names, workspace::Phase};
use e2e::{
    cluster::{self, Scratch},
    command,
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
use k8s_openapi::api::{core::v1::Pod, policy::v1::PodDisruptionBudget};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use reqwest::StatusCode;
use serde_json::json;

use super::{fetch, kill, replaced, replicas::settled};

/// One request of a page every 5 ms.
const PAUSE: Duration = Duration::from_millis(5);
/// Pause between the portal's pages of one user. While replicas start, a page may take seconds, and a user may wait for few at a time.
const PORTAL_PAUSE: Duration = Duration::from_millis(500);
/// Name of a budget for workspaces.
const BUDGET: &str = "workspaces";
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

/// While a budget protects it, its pod is not evicted. Without one, a drain ends it, and the next run starts when a node takes it.
#[tokio::test]
async fn a_budget_protects_workspaces_from_evictions_and_a_drained_one_starts_again_elsewhere()
-> anyhow::Result<()> {
    let _exclusive = super::EXCLUSIVE.lock().await;
    let scratch = Scratch::new("drain", &["alice"]).await?;
    let before = workspace::running(&scratch, "ws").await?;
    let (pods, budgets) = (scratch.api::<Pod>(), scratch.api::<PodDisruptionBudget>());
    let pod = pods.get(&workspace::pod(&before)?).await?;
    let node = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.node_name.clone())
        .unwrap_or_default();
    budgets.create(&PostParams::default(), &budget()?).await?;
    wait::until("the budget to count the pod", wait::USUAL, || async {
        let status = budgets
            .get(BUDGET)
            .await
            .map_err(|error| error.to_string())?
            .status;
        match status {
            Some(status) if status.current_healthy == 1 && status.disruptions_allowed == 0 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    // Our client would repeat a request that is answered by 429, for minutes.
    let eviction =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod.name_any()}});
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}/eviction",
        scratch.namespace,
        pod.name_any()
    );
    let refused =
        command::administer_with(&["create", "--raw", &path, "-f", "-"], &eviction.to_string()).await?;
    ensure!(
        refused.code != 0 && refused.stderr.contains("disruption budget"),
        "{refused:?}"
    );
    budgets.delete(BUDGET, &DeleteParams::default()).await?;

    let selector = format!("--pod-selector={}=ws", names::WORKSPACE_LABEL);
    let drain = [
        "drain",
        &node,
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        &selector,
        "--timeout=2m",
    ];
    let drained = async {
        let outcome = command::administer(&drain).await?;
        ensure!(
            outcome.code == 0 && outcome.stdout.contains("workspace-ws evicted"),
            "{outcome:?}"
        );
        let next = pods.get_opt(&pod.name_any()).await?;
        ensure!(
            next.and_then(|next| next.uid()) != pod.uid(),
            "it was not evicted"
        );
        Ok(())
    };
    always(drained, async {
        let outcome = command::administer(&["uncordon", &node]).await?;
        ensure!(outcome.code == 0, "{outcome:?}");
        Ok(())
    })
    .await?;
    let run = workspace::run_id(&before)?;
    let workspaces = scratch.api::<Workspace>();
    wait::until("another run", wait::USUAL, || async {
        let now = workspaces.get("ws").await.map_err(|error| error.to_string())?;
        let phase = now.status.as_ref().and_then(|status| status.phase);
        match workspace::run_id(&now) {
            Ok(next) if next != run && phase == Some(Phase::Running) => Ok(()),
            other => Err(format!("{other:?} {phase:?}")),
        }
    })
    .await?;
    scratch.finish().await
}

/// As the chart makes it, and as docs/operations.md shows it.
fn budget() -> anyhow::Result<PodDisruptionBudget> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": BUDGET},
        "spec": {
            "minAvailable": 1_000_000,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchExpressions": [{"key": names::WORKSPACE_LABEL, "operator": "Exists"}]},
        },
    }))?)
}
