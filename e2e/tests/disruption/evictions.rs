//! The pods of operator, webhook and gateway evicted, one of each at a time, as `kubectl drain` does it, while a user works and kubectl
//! writes. The local cluster has one proxy, which has no disruption budget.

use std::{collections::BTreeMap, time::Duration};

use anyhow::ensure;
use api::{Workspace, workspace::Phase};
use e2e::{
    cluster::{self, Scratch},
    http::HttpSession,
    wait, workspace,
};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{EvictParams, PostParams},
};
use reqwest::StatusCode;
use tokio::{sync::watch, task::JoinHandle, time::interval};

use super::{fetch, kill, load::Load, replaced, replicas::settled};

/// One request of a page every 5 ms.
const PAUSE: Duration = Duration::from_millis(5);
/// One write to the API server, which asks the webhook, every 100 ms.
const WRITE_PAUSE: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_pod_of_our_servers_is_evicted_in_turn_and_no_request_and_no_write_fails() -> anyhow::Result<()>
{
    let _exclusive = super::EXCLUSIVE.lock().await;
    let scratch = Scratch::new("evictions", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let before = workspace::running(&scratch, "ws").await?;
    let url = workspace::url(&before)?;
    let session = HttpSession::new()?;
    session.enter(&url, "alice").await?;
    settled().await?;

    let load = Load::begin(&session, &format!("{url}alive"), PAUSE);
    let writes = Writes::begin(alice.clone())?;
    let fault = load.begin.elapsed();
    let evicted = try_join_all(["operator", "webhook", "gateway"].map(evict_each)).await;
    let failed_writes = writes.end().await?;
    let report = load.end("evictions", fault).await?;
    evicted?;
    ensure!(report.failed == 0, "{report:?}");
    ensure!(failed_writes.is_empty(), "{failed_writes:?}");

    // The operator that leads now works, and the workspace is the same run.
    alice
        .create(&PostParams::default(), &workspace::echo("after")?)
        .await?;
    let new = workspace::reached(&alice, "after", Phase::Running).await?;
    let after = alice.get("ws").await?;
    assert_eq!(workspace::run_id(&after)?, workspace::run_id(&before)?);

    // With all replicas gone at once nobody signs in anew either: ticket and session count at the next ones.
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
    .await?;
    scratch.finish().await
}

/// Evicts the pods of a component one after the other. The next one goes when the component is complete again.
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
        // 429 is the answer of a PodDisruptionBudget: not now.
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

/// Creations of a workspace that the API server validates, the webhook included, and does not store.
struct Writes {
    stop: watch::Sender<bool>,
    task: JoinHandle<Vec<String>>,
}

impl Writes {
    fn begin(workspaces: Api<Workspace>) -> anyhow::Result<Self> {
        let new = workspace::echo("dry-run")?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let (mut ticks, mut failed) = (interval(WRITE_PAUSE), Vec::new());
            let dry_run = PostParams {
                dry_run: true,
                ..PostParams::default()
            };
            while !*stopped.borrow() {
                ticks.tick().await;
                if let Err(error) = workspaces.create(&dry_run, &new).await {
                    failed.push(error.to_string());
                }
            }
            failed
        });
        Ok(Self { stop, task })
    }

    /// Errors of the writes that failed.
    async fn end(self) -> anyhow::Result<Vec<String>> {
        self.stop.send_replace(true);
        Ok(self.task.await?)
    }
}
