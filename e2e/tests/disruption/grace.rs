//! An unschedulable pod: starting during the grace period for autoscalers, then failed.
//!
//! The test run sets the grace period (stage `settings`).

use anyhow::Context as _;
use api::{
    Workspace,
    condition::{self, DEGRADED, reason},
    names,
    workspace::Phase,
};
use e2e::{
    cluster::{self, Scratch},
    objects::workspace,
    test_run::finally::always,
    wait,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// The label of a node that fits the pod.
const ZONE: &str = "e2e.test/zone";
/// `settings.unschedulableGraceSeconds`: long enough to be observed on a busy machine.
const GRACE: SignedDuration = SignedDuration::from_secs(10);

/// Waits until the workspace is in this phase because its pod is unschedulable.
async fn unschedulable(workspaces: &Api<Workspace>, phase: Phase) -> anyhow::Result<Workspace> {
    let what = format!("the workspace to be {phase:?} without a node");
    wait::until(&what, wait::USUAL, || async {
        let lab = workspaces.get("lab").await.map_err(|error| error.to_string())?;
        let status = lab.status.clone().unwrap_or_default();
        let because = status.reason.as_deref() == Some(reason::UNSCHEDULABLE);
        if status.phase == Some(phase) && because && condition::holds(&status.conditions, DEGRADED) {
            Ok(lab)
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await
}

async fn pod(scratch: &Scratch) -> anyhow::Result<Pod> {
    let of = ListParams::default().labels(&format!("{}=lab", names::WORKSPACE_LABEL));
    let mut pods = scratch.api::<Pod>().list(&of).await?.items;
    anyhow::ensure!(pods.len() == 1, "{} pods", pods.len());
    Ok(pods.remove(0))
}

/// Time since which the scheduler has found no node for the workspace's pod.
async fn unscheduled(scratch: &Scratch) -> anyhow::Result<Timestamp> {
    let pod = pod(scratch).await?;
    let conditions = pod.status.and_then(|status| status.conditions);
    let mut conditions = conditions.into_iter().flatten();
    let failed_at = conditions.find(|it| it.type_ == "PodScheduled" && it.status == "False");
    let since = failed_at.and_then(|failed_at| failed_at.last_transition_time);
    Ok(since.context("it has a node")?.0)
}

/// When the workspace's status was written last.
fn failed_at(workspace: &Workspace) -> anyhow::Result<Timestamp> {
    let writes = workspace.managed_fields().iter();
    let of_status = writes.filter(|entry| entry.subresource.as_deref() == Some("status"));
    let last = of_status.filter_map(|entry| entry.time.as_ref()).max();
    Ok(last.context("no manager wrote it")?.0)
}

async fn label(node: &str, zone: Value) -> anyhow::Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"labels": {ZONE: zone}}}));
    let nodes = Api::<Node>::all(cluster::admin().await?);
    nodes.patch(node, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// The pod is unschedulable until `node` is labelled.
async fn waits_for_a_node(scratch: &Scratch, node: &str) -> anyhow::Result<()> {
    let workspaces = scratch.api::<Workspace>();
    let mut lab = json!(workspace::echo("lab")?);
    lab["spec"]["nodeSelector"] = json!({ZONE: scratch.namespace});
    workspaces
        .create(&PostParams::default(), &serde_json::from_value(lab)?)
        .await?;
    unschedulable(&workspaces, Phase::Starting).await?;
    let before = pod(scratch).await?.uid();
    let failed = unschedulable(&workspaces, Phase::Failed).await?;
    let (since, failed_at) = (unscheduled(scratch).await?, failed_at(&failed)?);
    anyhow::ensure!(
        failed_at >= since + GRACE,
        "reported at {failed_at}, unschedulable since {since}"
    );
    // A failed workspace can still start.
    label(node, json!(scratch.namespace)).await?;
    let running = workspace::reached(&workspaces, "lab", Phase::Running).await?;
    let conditions = running.status.unwrap_or_default().conditions;
    anyhow::ensure!(!condition::holds(&conditions, DEGRADED), "{conditions:?}");
    anyhow::ensure!(pod(scratch).await?.uid() == before, "another pod");
    Ok(())
}

#[tokio::test]
async fn an_unschedulable_pod_fails_after_the_grace_period_and_runs_once_a_node_fits() -> anyhow::Result<()> {
    let scratch = Scratch::new("grace", &[]).await?;
    let operators = cluster::component_pods(cluster::admin().await?, "operator").await?;
    let node = operators.into_iter().find_map(|pod| pod.spec?.node_name);
    let node = node.context("no operator has a node")?;
    let restore = label(&node, Value::Null);
    always(Box::pin(waits_for_a_node(&scratch, &node)), restore).await?;
    scratch.finish().await
}
