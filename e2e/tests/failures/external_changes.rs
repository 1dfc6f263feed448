//! Manual changes of a workspace's children, and changes of a run that has not started.

use api::{Workspace, condition::reason, workspace::Phase};
use e2e::{
    Environment,
    failures::{Fixture, Moment, table},
    objects::workspace,
    row, wait,
};
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, Pod},
    events::v1::Event,
};
use kube::{
    ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use crate::evidence::{at, looping, unscheduled, waiting};

fn child(fixture: &Fixture) -> String {
    format!("workspace-{}", fixture.name)
}

/// Notes of the Warning Events of this reason about the workspace, once there is one.
async fn warned(fixture: &Fixture, reason: &str) -> anyhow::Result<Vec<String>> {
    let events = fixture.scratch.api::<Event>();
    wait::until(&format!("an Event {reason}"), wait::USUAL, || async {
        let all = events.list(&ListParams::default()).await;
        let all = all.map_err(|error| error.to_string())?;
        let of_reason = all.items.into_iter().filter(|event| {
            event.reason.as_deref() == Some(reason) && event.type_.as_deref() == Some("Warning")
        });
        let notes: Vec<_> = of_reason.filter_map(|event| event.note).collect();
        if notes.is_empty() {
            Err("none yet".to_owned())
        } else {
            Ok(notes)
        }
    })
    .await
}

async fn disk_deleted_under_a_pod(fixture: &Fixture) -> anyhow::Result<()> {
    fixture.may_also_report(reason::VOLUME_UNBOUND);
    fixture.create(json!({"storage": {"size": "100Mi"}})).await?;
    fixture.reached(Phase::Running).await?;
    let claims = fixture.scratch.api::<PersistentVolumeClaim>();
    fixture.delete::<PersistentVolumeClaim>(&child(fixture)).await?;
    let teardown = claims.get(&child(fixture)).await?;
    let volume = teardown.spec.as_ref().and_then(|spec| spec.volume_name.clone());
    let patch = format!("kubectl patch pv {}", volume.unwrap_or_default());
    let expected = ["copy the files elsewhere", "cannot be undone", patch.as_str()];
    let held = at(Moment::deleted(&teardown));
    fixture
        .reports(reason::VOLUME_TERMINATING, &expected, held)
        .await?;
    fixture.reached(Phase::Running).await?;
    fixture.may_also_report(reason::VOLUME_REPLACED);
    fixture.restart_with(json!({})).await?;
    let again = fixture.reached(Phase::Running).await?;
    let message = again.status.and_then(|status| status.message).unwrap_or_default();
    anyhow::ensure!(message.contains("new, empty one"), "{message}");
    fixture.explained(reason::VOLUME_REPLACED, &message).await?;
    let fresh = claims.get(&child(fixture)).await?;
    anyhow::ensure!(fresh.uid() != teardown.uid(), "the same disk");
    let notes = warned(fixture, reason::VOLUME_REPLACED).await?;
    anyhow::ensure!(notes.len() == 1, "{notes:?}");
    fixture.wait_cleared().await
}

/// The runs so far, according to their pods.
fn runs(fixture: &Fixture) -> Vec<String> {
    let pods = fixture.histories.pods.all();
    let run = |pod: &Pod| pod.labels().get(api::names::RUN_ID_LABEL).cloned();
    let mut runs: Vec<_> = pods.iter().filter_map(run).collect();
    runs.sort();
    runs.dedup();
    runs
}

fn is_pending(workspace: &Workspace) -> bool {
    let status = workspace.status.as_ref();
    status.is_some_and(|status| !status.pending_update.is_empty())
}

async fn image_fixed_before_start(fixture: &Fixture) -> anyhow::Result<()> {
    let disk = json!({"size": "100Mi"});
    fixture
        .create(json!({"image": "localhost/no-such-typo:1", "storage": disk}))
        .await?;
    let evidence = waiting(&["ErrImageNeverPull", "ErrImagePull"]);
    fixture
        .reports(
            reason::IMAGE_PULL_FAILED,
            &["localhost/no-such-typo:1", "Check its name and tag"],
            evidence,
        )
        .await?;
    // A possibly slow provisioner creates its disk.
    fixture.may_also_report(reason::VOLUME_UNBOUND);
    // Neither stop nor start.
    let right = json!({"image": Environment::get()?.images.echo});
    workspace::set(&fixture.alice, &fixture.name, right).await?;
    fixture.recovered().await?;
    let running = fixture.reached(Phase::Running).await?;
    anyhow::ensure!(!is_pending(&running), "{:?}", running.status);
    anyhow::ensure!(runs(fixture).len() == 2, "{:?}", runs(fixture));
    Ok(())
}

async fn selector_fixed_before_start(fixture: &Fixture) -> anyhow::Result<()> {
    fixture
        .create(json!({"nodeSelector": {"e2e.test/zone": "nowhere"}}))
        .await?;
    fixture
        .reports(reason::UNSCHEDULABLE, &["spec.nodeSelector"], unscheduled())
        .await?;
    workspace::set(&fixture.alice, &fixture.name, json!({"nodeSelector": null})).await?;
    fixture.recovered().await
}

async fn change_of_a_started_run_waits(fixture: &Fixture) -> anyhow::Result<()> {
    fixture.may_also_report(reason::CONTAINER_EXITED);
    let fails = json!({"containerConfig": {"command": ["python3", "-c", "import sys; sys.exit(4)"]}});
    fixture.create(fails).await?;
    fixture
        .reports(
            reason::CRASH_LOOPING,
            &["exit code 4", "again and again", "--previous"],
            looping(),
        )
        .await?;
    // The next restart reports nothing new.
    let restarts = |pod: &Pod| {
        let status = pod
            .status
            .as_ref()
            .and_then(|status| status.container_statuses.as_ref()?.first());
        status.is_some_and(|status| status.restart_count >= 2)
    };
    wait::until("another restart", wait::USUAL, || async {
        fixture.histories.pods.first(restarts).map(drop).ok_or("not yet")
    })
    .await?;
    workspace::set(&fixture.alice, &fixture.name, json!({"containerConfig": null})).await?;
    wait::until("the message to say what waits", wait::USUAL, || async {
        let last = fixture.histories.workspaces.last().and_then(|it| it.status);
        let message = last.and_then(|status| status.message).unwrap_or_default();
        let expected = "when the workspace is stopped and started: spec.containerConfig.command";
        message.contains(expected).then_some(()).ok_or(message)
    })
    .await?;
    fixture.restart_with(json!({})).await?;
    fixture.recovered().await
}

/// Labels and annotations of ours are put back. Of a pod's spec only the image can be changed: that is right again at the next start.
async fn pod_changed_manually(fixture: &Fixture) -> anyhow::Result<()> {
    fixture.create(json!({})).await?;
    let first = fixture.reached(Phase::Running).await?;
    let (pods, name) = (fixture.scratch.api::<Pod>(), child(fixture));
    let before = pods.get(&name).await?;
    let labels = json!({"metadata": {"labels": {api::names::WORKSPACE_LABEL: "other", api::names::RUN_ID_LABEL: null}}});
    fixture.change::<Pod>(&name, labels).await?;
    wait::until("the labels to be put back", wait::USUAL, || async {
        let now = pods.get(&name).await.map_err(|error| error.to_string())?;
        (now.labels() == before.labels())
            .then_some(())
            .ok_or_else(|| format!("{:?}", now.labels()))
    })
    .await?;
    anyhow::ensure!(pods.get(&name).await?.uid() == before.uid(), "another pod");

    fixture.may_also_report(reason::POD_TEMPLATE_CHANGED);
    let by_hand = PatchParams {
        field_manager: Some("other-tool".to_owned()),
        ..PatchParams::default()
    };
    let image = json!({"spec": {"containers": [{"name": "workspace", "image": "localhost/other:1"}]}});
    pods.patch(&name, &by_hand, &Patch::Strategic(image)).await?;
    let notes = warned(fixture, reason::POD_TEMPLATE_CHANGED).await?;
    anyhow::ensure!(
        notes.len() == 1 && notes[0].contains("by \"other-tool\""),
        "{notes:?}"
    );
    wait::until("the status to name the change", wait::USUAL, || async {
        let now = fixture.histories.workspaces.last().and_then(|it| it.status);
        let now = now.unwrap_or_default().pending_update;
        (now == ["pod.spec.containers.image"])
            .then_some(())
            .ok_or_else(|| format!("{now:?}"))
    })
    .await?;
    fixture.may_also_report(reason::IMAGE_PULL_FAILED);
    fixture.may_also_report(reason::CONTAINER_EXITED);
    fixture.restart_with(json!({})).await?;
    let again = fixture.reached(Phase::Running).await?;
    anyhow::ensure!(
        workspace::run_id(&again)? != workspace::run_id(&first)?,
        "the same run"
    );
    let images = |pod: Pod| {
        pod.spec
            .into_iter()
            .flat_map(|spec| spec.containers)
            .map(|it| it.image)
    };
    anyhow::ensure!(images(pods.get(&name).await?).eq(images(before)), "another image");
    fixture.recovered().await
}

#[tokio::test]
async fn external_changes_are_reported_and_runs_that_never_started_are_changed_at_once() -> anyhow::Result<()>
{
    let rows = [
        row!(disk_deleted_under_a_pod),
        row!(image_fixed_before_start),
        row!(selector_fixed_before_start),
        row!(change_of_a_started_run_waits),
        row!(pod_changed_manually),
    ];
    table("external", rows).await
}
