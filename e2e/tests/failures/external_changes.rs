//! Manual changes of a workspace's children, and changes of a run that has not started.

use anyhow::Context as _;
use api::{Workspace, condition::reason, workspace::Phase};
use e2e::{
    Environment,
    failures::{Fixture, Moment, table},
    objects::workspace,
    row, wait,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, Pod},
    events::v1::Event,
};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
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

async fn replicas_and_strategy_changed_manually(fixture: &Fixture) -> anyhow::Result<()> {
    fixture.create(json!({})).await?;
    fixture.reached(Phase::Running).await?;
    fixture.may_also_report(reason::REPLICAS_CORRECTED);
    let before = fixture.histories.workspaces.all().len();
    let deployments = fixture.scratch.api::<Deployment>();
    let three = Patch::Merge(json!({"spec": {"replicas": 3}}));
    deployments
        .patch_scale(&child(fixture), &PatchParams::default(), &three)
        .await?;
    let notes = warned(fixture, reason::REPLICAS_CORRECTED).await?;
    anyhow::ensure!(notes[0].contains("scaled to 3 pods"), "{notes:?}");
    wait::until("one pod to be left", wait::USUAL, || async {
        let pods = fixture.scratch.api::<Pod>().list(&ListParams::default()).await;
        let left = pods.map_err(|error| error.to_string())?.items.len();
        (left == 1).then_some(()).ok_or_else(|| format!("{left} pods"))
    })
    .await?;
    fixture.recovered().await?;
    let phases = fixture.histories.workspaces.all().into_iter().skip(before);
    let phases: Vec<_> = phases.filter_map(|it| it.status?.phase).collect();
    anyhow::ensure!(phases.iter().all(|phase| *phase == Phase::Running), "{phases:?}");
    let events = fixture
        .scratch
        .api::<Event>()
        .list(&ListParams::default())
        .await?;
    let ready = events
        .items
        .iter()
        .filter(|event| event.reason.as_deref() == Some(reason::READY));
    anyhow::ensure!(ready.count() == 1, "more than one Ready");
    strategy_changed_manually(fixture).await
}

async fn new_run_is_reported(fixture: &Fixture, first: Option<String>, expected: &str) -> anyhow::Result<()> {
    let notes = warned(fixture, reason::DEPLOYMENT_RESTORED).await?;
    anyhow::ensure!(notes.len() == 1 && notes[0].contains(expected), "{notes:?}");
    wait::until("another run", wait::USUAL, || async {
        let now = fixture
            .alice
            .get(&fixture.name)
            .await
            .map_err(|error| error.to_string())?;
        let status = now.status.unwrap_or_default();
        let again = status.phase == Some(Phase::Running) && status.run_id != first;
        again.then_some(()).ok_or_else(|| format!("{status:?}"))
    })
    .await?;
    fixture.recovered().await
}

/// Starts the workspace, whose Deployment is changed next. Returns its run.
async fn first_run(fixture: &Fixture) -> anyhow::Result<Option<String>> {
    fixture.create(json!({})).await?;
    let running = fixture.reached(Phase::Running).await?;
    fixture.may_also_report(reason::DEPLOYMENT_RESTORED);
    Ok(running.status.and_then(|status| status.run_id))
}

/// The API server records no manager name if the client sends none.
async fn deployment_scaled_to_zero_by_kubectl_scale(fixture: &Fixture) -> anyhow::Result<()> {
    let first = first_run(fixture).await?;
    let none = Patch::Merge(json!({"spec": {"replicas": 0}}));
    fixture
        .scratch
        .api::<Deployment>()
        .patch_scale(&child(fixture), &PatchParams::default(), &none)
        .await?;
    new_run_is_reported(fixture, first, "was scaled to 0, as with `kubectl scale`").await
}

async fn deployment_deleted_manually(fixture: &Fixture) -> anyhow::Result<()> {
    let first = first_run(fixture).await?;
    let deployments = fixture.scratch.api::<Deployment>();
    deployments
        .delete(&child(fixture), &DeleteParams::background())
        .await?;
    new_run_is_reported(fixture, first, "was deleted").await
}

/// A container as injectors add them.
fn injected(name: &str) -> anyhow::Result<serde_json::Value> {
    Ok(json!({
        "name": name,
        "image": Environment::get()?.images.echo,
        "command": ["python3", "-c", "import time; time.sleep(3600)"],
        "ports": [{"name": "http", "containerPort": 15090}],
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}},
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    }))
}

async fn pod_template_changed_manually(fixture: &Fixture) -> anyhow::Result<()> {
    fixture.create(json!({})).await?;
    let first = fixture.reached(Phase::Running).await?;
    fixture.may_also_report(reason::POD_TEMPLATE_CHANGED);
    fixture.may_also_report(reason::POD_LOST);
    let by_hand = PatchParams {
        field_manager: Some("other-tool".to_owned()),
        ..PatchParams::default()
    };
    let order = ["first", "workspace", "last"].map(|name| json!({"name": name}));
    let change = json!({"spec": {"template": {"spec": {
        "$setElementOrder/containers": order,
        "containers": [injected("first")?, injected("last")?],
    }}}});
    fixture
        .scratch
        .api::<Deployment>()
        .patch(&child(fixture), &by_hand, &Patch::Strategic(change))
        .await?;
    let notes = warned(fixture, reason::POD_TEMPLATE_CHANGED).await?;
    anyhow::ensure!(
        notes.len() == 1 && notes[0].contains("by \"other-tool\""),
        "{notes:?}"
    );
    is_endpoint(fixture, &first).await?;
    wait::until("the status to name the change", wait::USUAL, || async {
        let now = fixture.histories.workspaces.last().and_then(|it| it.status);
        let now = now.unwrap_or_default();
        let is_named = now.pending_update == ["deployment.spec.template"]
            && now
                .message
                .as_ref()
                .is_some_and(|it| it.contains("changed by \"other-tool\""));
        is_named.then_some(()).ok_or_else(|| format!("{now:?}"))
    })
    .await?;
    fixture.restart_with(json!({})).await?;
    fixture.recovered().await?;
    let running = fixture.reached(Phase::Running).await?;
    anyhow::ensure!(!is_pending(&running), "{:?}", running.status);
    let pod = fixture
        .scratch
        .api::<Pod>()
        .get(&workspace::pod(&running)?)
        .await?;
    let containers = pod.spec.map_or(0, |spec| spec.containers.len());
    anyhow::ensure!(containers == 1, "{containers} containers: it was not reverted");
    Ok(())
}

/// Waits until a pod with three containers, the second of which is the application, is an endpoint at the application's port.
async fn is_endpoint(fixture: &Fixture, first: &Workspace) -> anyhow::Result<()> {
    let endpoint = |workspace: &Workspace| {
        workspace
            .status
            .as_ref()
            .and_then(|status| status.endpoint.clone())
    };
    let before = endpoint(first).context("no endpoint")?;
    let now = wait::until("a pod of three containers to be served", wait::USUAL, || async {
        let last = fixture
            .histories
            .workspaces
            .last()
            .unwrap_or_else(|| first.clone());
        let total = last
            .status
            .as_ref()
            .and_then(|status| Some(status.containers.as_ref()?.total));
        match endpoint(&last).filter(|now| now.pod_name != before.pod_name && total == Some(3)) {
            Some(endpoint) => Ok(endpoint),
            None => Err(format!("{:?}", last.status)),
        }
    })
    .await?;
    let pod = fixture.scratch.api::<Pod>().get(&now.pod_name).await?;
    let names = pod
        .spec
        .iter()
        .flat_map(|spec| &spec.containers)
        .map(|container| container.name.as_str());
    let names: Vec<_> = names.collect();
    anyhow::ensure!(names == ["first", "workspace", "last"], "{names:?}");
    anyhow::ensure!(now.port == before.port, "{now:?}");
    fixture.reached(Phase::Running).await.map(drop)
}

async fn strategy_changed_manually(fixture: &Fixture) -> anyhow::Result<()> {
    let first = fixture.reached(Phase::Running).await?;
    fixture.may_also_report(reason::DEPLOYMENT_RESTORED);
    let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    let change = json!({"spec": {"strategy": rolling, "paused": true}});
    fixture.change::<Deployment>(&child(fixture), change).await?;
    let deployments = fixture.scratch.api::<Deployment>();
    wait::until("the strategy to be put back", wait::USUAL, || async {
        let now = deployments
            .get(&child(fixture))
            .await
            .map_err(|error| error.to_string())?;
        let spec = now.spec.unwrap_or_default();
        let strategy = spec.strategy.and_then(|strategy| strategy.type_);
        if strategy.as_deref() == Some("Recreate") && spec.paused != Some(true) {
            Ok(())
        } else {
            Err(format!("{strategy:?}, paused {:?}", spec.paused))
        }
    })
    .await?;
    let notes = warned(fixture, reason::DEPLOYMENT_RESTORED).await?;
    anyhow::ensure!(notes[0].contains("spec.strategy"), "{notes:?}");
    let same = fixture.reached(Phase::Running).await?;
    anyhow::ensure!(workspace::pod(&same)? == workspace::pod(&first)?, "another pod");
    fixture.recovered().await
}

/// Without it the next start would wait for ever: a paused Deployment makes no ReplicaSet.
async fn deployment_paused_while_stopped(fixture: &Fixture) -> anyhow::Result<()> {
    fixture.create(json!({})).await?;
    fixture.reached(Phase::Running).await?;
    let (alice, name) = (&fixture.alice, fixture.name.as_str());
    workspace::set(alice, name, json!({"desiredStatus": "Stopped"})).await?;
    fixture.reached(Phase::Stopped).await?;
    fixture
        .change::<Deployment>(&child(fixture), json!({"spec": {"paused": true}}))
        .await?;
    let today = json!({"desiredStatus": "Running", "env": [{"name": "COLOUR", "value": "blue"}]});
    workspace::set(alice, name, today).await?;
    let running = fixture.reached(Phase::Running).await?;
    let pod = workspace::pod(&running)?;
    let out = e2e::cluster::exec(&fixture.scratch.api(), &pod, &["sh", "-c", "echo $COLOUR"]).await?;
    anyhow::ensure!(out.trim() == "blue", "{out}");
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
        row!(replicas_and_strategy_changed_manually),
        row!(deployment_scaled_to_zero_by_kubectl_scale),
        row!(deployment_deleted_manually),
        row!(pod_template_changed_manually),
        row!(deployment_paused_while_stopped),
    ];
    table("external", rows).await
}
