//! A pod without a node until the installation's grace for autoscalers ends, and after that.
//!
//! It runs in the stage `settings`, where that grace is short.

use anyhow::{Context as _, ensure};
use api::{
    Workspace,
    condition::{self, DEGRADED, reason},
    workspace::Phase,
};
use e2e::{
    failures::{Fixture, table},
    row,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;

use crate::{
    evidence::unscheduled,
    scheduling::{gets_ready, resources},
};

/// `settings.unschedulableGraceSeconds` of the stage (`crates/xtask/src/test/end_to_end.rs`).
const GRACE: SignedDuration = SignedDuration::from_secs(10);
/// The status says so soon after that.
const SOON: SignedDuration = SignedDuration::from_secs(5);

fn phase(workspace: &Workspace) -> Option<Phase> {
    workspace.status.as_ref()?.phase
}

fn is_unschedulable(workspace: &Workspace) -> bool {
    let conditions = workspace
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice());
    condition::find(conditions.unwrap_or_default(), DEGRADED)
        .is_some_and(|it| it.status == "True" && it.reason == reason::UNSCHEDULABLE)
}

/// When the scheduler found no node for the pod, from which the grace counts.
fn unscheduled_since(pod: &Pod) -> Option<Timestamp> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    let unscheduled = conditions.find(|it| it.type_ == "PodScheduled" && it.status == "False")?;
    unscheduled.last_transition_time.as_ref().map(|time| time.0)
}

/// It is `Degraded` at once and `Failed` only when the grace ends. Its pod waits on, and runs once a node takes it.
async fn no_node_until_the_grace_ends(fixture: &Fixture) -> anyhow::Result<()> {
    let node = fixture.silent_node().await?;
    let mut spec = node.selected();
    spec["resources"] = resources("nvidia.com/gpu", "1");
    fixture.create(spec).await?;
    fixture
        .reports(
            reason::UNSCHEDULABLE,
            &["Insufficient nvidia.com/gpu"],
            unscheduled(),
        )
        .await?;
    let failed = fixture.reached(Phase::Failed).await?;
    ensure!(is_unschedulable(&failed), "{:?}", failed.status);
    let status = failed.status.unwrap_or_default();
    ensure!(
        status.reason.as_deref() == Some(reason::UNSCHEDULABLE),
        "{status:?}"
    );
    let versions = &fixture.histories.workspaces;
    let reported = versions.first(is_unschedulable).context("it was not reported")?;
    ensure!(phase(&reported) == Some(Phase::Starting), "{:?}", reported.status);
    let failed = versions.first(|version| phase(version) == Some(Phase::Failed));
    let failed = failed.context("no version of it has failed")?;
    let (told, ended) = (
        fixture.written_at(&reported).await?,
        fixture.written_at(&failed).await?,
    );
    let since = fixture.histories.pods.all().iter().find_map(unscheduled_since);
    let since = since.context("the scheduler has not reported it")?;
    // Both times may be cut to whole seconds.
    let least = GRACE - SignedDuration::from_secs(1);
    ensure!(
        ended.duration_since(since) >= least && ended.duration_since(told) <= GRACE + SOON,
        "it failed at {ended}: the scheduler's report is of {since}, the status says so since {told}"
    );
    // An autoscaler's node has come.
    let pod = format!("workspace-{}", fixture.name);
    let before = fixture.scratch.api::<Pod>().get(&pod).await?;
    node.give(json!({"nvidia.com/gpu": "1"})).await?;
    gets_ready(fixture).await?;
    let after = fixture.bound_pod().await?;
    ensure!(before.uid() == after.uid(), "another pod: {after:?}");
    Ok(())
}

#[tokio::test]
async fn a_pod_without_a_node_fails_when_the_grace_ends_and_runs_once_a_node_takes_it() -> anyhow::Result<()>
{
    table("grace", [row!(no_node_until_the_grace_ends)]).await
}
