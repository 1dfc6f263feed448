//! Workspaces that reach a limit of a minute or two: they are stopped by it, whatever happens to them meanwhile.

use std::time::Duration;

use anyhow::Context as _;
use api::{
    Workspace,
    workspace::{DesiredStatus, Phase, StopRule},
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    objects::workspace,
    wait,
};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::idle::wait_for_event;

/// Its init container never ends.
const LATE: &str = "late";
/// Its annotations change all the time.
const AGED: &str = "aged";
/// Its command writes a file to the disk, and ends with an error.
const CRASHES: &str = "crashes";
const FILE: &str = "kept.txt";
/// From the announced time to the stop.
const LATEST: SignedDuration = SignedDuration::from_secs(30);
/// The later limit.
const LIMIT: Duration = Duration::from_mins(2);

/// The workspaces.
pub(crate) fn limited() -> anyhow::Result<[Workspace; 3]> {
    let mut aged = workspace::echo(AGED)?;
    aged.spec.limits = serde_json::from_value(json!({"maxAgeMinutes": 1}))?;
    let mut late = workspace::echo(LATE)?;
    late.spec.limits = serde_json::from_value(json!({"failedTimeoutMinutes": 1}))?;
    late.spec.storage = serde_json::from_value(json!({"size": "64Mi"}))?;
    // The shell ends at once when it is asked to.
    let endless = json!([{
        "name": "endless", "image": Environment::get()?.images.echo,
        "command": ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 1; done"],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}},
    }]);
    late.spec.init_containers = serde_json::from_value(endless)?;
    let mut crashes = workspace::echo(CRASHES)?;
    crashes.spec.limits.clone_from(&late.spec.limits);
    crashes.spec.storage.clone_from(&late.spec.storage);
    let script = format!("echo mine > \"$HOME\"/{FILE}; exit 3");
    crashes.spec.container_config = serde_json::from_value(json!({"command": ["sh", "-c", script]}))?;
    Ok([aged, late, crashes])
}

/// Waits until all are stopped by their limits. They were created just now.
pub(crate) async fn stop(scratch: &Scratch, alice: &Api<Workspace>) -> anyhow::Result<()> {
    let (aged, late, crashes) = tokio::join!(
        stopped_by(scratch, alice, AGED, StopRule::MaxAge),
        stopped_by(scratch, alice, LATE, StopRule::Failed),
        stopped_by(scratch, alice, CRASHES, StopRule::Failed),
    );
    aged?;
    late?;
    crashes?;
    let claims = scratch.api::<PersistentVolumeClaim>();
    let kept = claims.get(&format!("workspace-{LATE}")).await?;
    anyhow::ensure!(kept.metadata.deletion_timestamp.is_none(), "its disk is kept");
    let mended = Patch::Merge(json!({"spec": {"containerConfig": null, "limits": null}}));
    alice.patch(CRASHES, &PatchParams::default(), &mended).await?;
    let pod = workspace::pod(&workspace::start(alice, CRASHES).await?)?;
    let script = format!("cat \"$HOME\"/{FILE}");
    let read = cluster::exec(&scratch.api(), &pod, &["sh", "-c", &script]).await?;
    anyhow::ensure!(read == "mine\n", "{read:?}");
    Ok(())
}

/// Waits for the announced stop and for its end, and changes an annotation meanwhile.
async fn stopped_by(
    scratch: &Scratch,
    alice: &Api<Workspace>,
    name: &str,
    rule: StopRule,
) -> anyhow::Result<()> {
    let (stops_at, because) = wait::until(
        &format!("a stop of {name} to be announced"),
        wait::USUAL,
        || async {
            let workspace = alice.get(name).await.map_err(|error| error.to_string())?;
            let status = workspace.status.unwrap_or_default();
            status
                .stops_at
                .clone()
                .zip(status.stops_because)
                .ok_or_else(|| format!("{status:?}"))
        },
    )
    .await?;
    assert_eq!(because, rule, "{name}");
    let stopped = wait::until(
        &format!("{name} to be stopped by its limit"),
        LIMIT + wait::USUAL,
        || async {
            let now = jiff::Timestamp::now().to_string();
            let patch = Patch::Merge(json!({"metadata": {"annotations": {"tests.example/now": now}}}));
            let workspace = alice.patch(name, &PatchParams::default(), &patch).await;
            let workspace = workspace.map_err(|error| error.to_string())?;
            let status = workspace.status.clone().unwrap_or_default();
            if status.phase == Some(Phase::Stopped) {
                Ok(workspace)
            } else {
                Err(format!("{status:?}"))
            }
        },
    )
    .await?;
    assert_eq!(stopped.spec.desired_status, DesiredStatus::Stopped);
    assert!(stopped.annotations().contains_key("tests.example/now"));
    let because = stopped.status.and_then(|status| status.stopped_because);
    let because = because.with_context(|| format!("a rule stopped {name}"))?;
    assert_eq!(because.rule, rule, "{name}");
    let after = because.time.0.duration_since(stops_at.0);
    assert!(
        (SignedDuration::ZERO..=LATEST).contains(&after),
        "{name} was stopped {after:?} after its announced time"
    );
    wait_for_event(scratch, name, rule.reason()).await
}

/// Calls `stop-workspace` in the running workspace, twice, and waits until it is stopped by that.
pub(crate) async fn stop_by_request(
    scratch: &Scratch,
    alice: &Api<Workspace>,
    name: &str,
) -> anyhow::Result<()> {
    let pod = workspace::pod(&alice.get(name).await?)?;
    let twice = ["sh", "-c", "stop-workspace && stop-workspace"];
    // The container may end before the command's status arrives.
    let called = cluster::exec(&scratch.api(), &pod, &twice).await;
    let stopped = wait::until("a stop by request", wait::USUAL, || async {
        let status = alice.get(name).await.map_err(|error| error.to_string())?.status;
        let status = status.unwrap_or_default();
        let is_stopped = status.phase == Some(Phase::Stopped);
        let because = status.stopped_because.clone().filter(|_| is_stopped);
        because.ok_or_else(|| format!("{called:?}: {status:?}"))
    });
    assert_eq!(stopped.await?.rule, StopRule::Requested);
    wait_for_event(scratch, name, StopRule::Requested.reason()).await
}
