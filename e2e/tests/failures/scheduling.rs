//! Unschedulable pods.

use anyhow::{Context as _, ensure};
use api::{condition::reason, workspace::Phase};
use e2e::{
    failures::{Fixture, table},
    row,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::evidence::unscheduled;

fn resources(name: &str, amount: &str) -> Value {
    let mut map = json!({"cpu": "10m", "memory": "32Mi"});
    map[name] = json!(amount);
    json!({"requests": map, "limits": map})
}

/// A pod's status without problems.
fn container_runs() -> Value {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let condition = |type_: &str| json!({"type": type_, "status": "True", "lastTransitionTime": now});
    json!({
        "phase": "Running",
        "podIP": "10.255.255.1",
        "podIPs": [{"ip": "10.255.255.1"}],
        "conditions": [
            condition("PodScheduled"), condition("Initialized"), condition("PodReadyToStartContainers"),
            condition("ContainersReady"), condition("Ready"),
        ],
        "containerStatuses": [{
            "name": "workspace", "ready": true, "restartCount": 0, "image": "", "imageID": "", "started": true,
            "state": {"running": {"startedAt": now}},
        }],
    })
}

/// It says so at once, and still counts as starting: an autoscaler may add a node.
async fn reports(fixture: &Fixture, expected: &[&str]) -> anyhow::Result<()> {
    fixture
        .reports(reason::UNSCHEDULABLE, expected, unscheduled())
        .await?;
    fixture.reached(Phase::Starting).await?;
    Ok(())
}

/// The pod that now has a node becomes ready, as its kubelet would say.
async fn gets_ready(fixture: &Fixture) -> anyhow::Result<()> {
    let pod = fixture.bound_pod().await?;
    fixture.write_pod(&pod, container_runs()).await?;
    fixture.recovered().await
}

async fn too_much_cpu(fixture: &Fixture) -> anyhow::Result<()> {
    fixture
        .create(json!({"resources": resources("cpu", "900")}))
        .await?;
    reports(fixture, &["Insufficient cpu", "Ask for less cpu"]).await?;
    let modest =
        json!({"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}});
    fixture.restart_with(json!({"resources": modest})).await?;
    fixture.recovered().await
}

async fn no_gpu(fixture: &Fixture) -> anyhow::Result<()> {
    let node = fixture.silent_node().await?;
    let mut spec = node.selected();
    spec["resources"] = resources("nvidia.com/gpu", "1");
    fixture.create(spec).await?;
    reports(
        fixture,
        &["Insufficient nvidia.com/gpu", "Ask for fewer nvidia.com/gpu"],
    )
    .await?;
    // Its device plugin reports.
    node.give(json!({"nvidia.com/gpu": "1"})).await?;
    gets_ready(fixture).await
}

async fn taint_that_is_not_tolerated(fixture: &Fixture) -> anyhow::Result<()> {
    let node = fixture.silent_node().await?;
    node.taint(Some("e2e.test/reserved")).await?;
    fixture.create(node.selected()).await?;
    reports(fixture, &["untolerated taint", "spec.tolerations"]).await?;
    node.taint(None).await?;
    gets_ready(fixture).await
}

/// An own time of a minute ends: the workspace is `Failed`, its pod waits on, and an edit mends it.
async fn no_node_until_the_start_timeout(fixture: &Fixture) -> anyhow::Result<()> {
    fixture
        .create(json!({"resources": resources("cpu", "900"), "limits": {"startTimeoutMinutes": 1}}))
        .await?;
    reports(fixture, &["Insufficient cpu"]).await?;
    fixture.may_also_report(reason::START_TIMEOUT);
    let failed = fixture.reached(Phase::Failed).await?;
    let status = failed.status.unwrap_or_default();
    ensure!(
        status.reason.as_deref() == Some(reason::START_TIMEOUT),
        "{status:?}"
    );
    let message = status.message.unwrap_or_default();
    for part in [
        "not ready within 1 min",
        "Insufficient cpu",
        "spec.limits.startTimeoutMinutes",
    ] {
        ensure!(message.contains(part), "{part:?} is missing in: {message}");
    }
    // Not before its time: seconds count from the workspace's creation.
    let created = failed
        .metadata
        .creation_timestamp
        .context("no time of creation")?
        .0;
    let passed = Timestamp::now().duration_since(created);
    ensure!(passed.as_secs() >= 59, "it failed after {passed:?}");
    let modest =
        json!({"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}});
    fixture
        .restart_with(json!({"resources": modest, "limits": null}))
        .await?;
    fixture.recovered().await
}

#[tokio::test]
async fn unschedulable_pods_are_reported_and_start_when_a_node_fits() -> anyhow::Result<()> {
    let rows = [
        row!(too_much_cpu),
        row!(no_gpu),
        row!(taint_that_is_not_tolerated),
        row!(no_node_until_the_start_timeout),
    ];
    table("scheduling", rows).await
}
