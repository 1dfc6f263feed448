//! Pods without a node, and pods whose node ends them or is lost.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use api::{condition::reason, workspace::Phase};
use e2e::{
    Environment, cluster,
    command::apply,
    failures::{Fixture, Moment, SilentNode, table},
    objects::pod_mutation,
    row, wait,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt as _, api::PostParams};
use serde_json::{Value, json};

use crate::evidence::{at, failed, unscheduled};

/// The scheduling gate of a queue.
const GATE: &str = "e2e.test/queue";

pub(crate) fn resources(name: &str, amount: &str) -> Value {
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
pub(crate) async fn gets_ready(fixture: &Fixture) -> anyhow::Result<()> {
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

/// An admission policy stands for a queue, which gates each new pod.
async fn scheduling_gate(fixture: &Fixture) -> anyhow::Result<()> {
    let gated = format!(
        "Object{{spec: Object.spec{{schedulingGates: [Object.spec.schedulingGates{{name: '{GATE}'}}]}}}}"
    );
    let manifests = pod_mutation::manifests(fixture.namespace(), "true", &gated);
    apply(&manifests).await?;
    let sleeps = json!({"image": Environment::get()?.images.echo, "command": ["sleep", "3600"]});
    let probe: Pod = serde_json::from_value(cluster::restricted_pod("probe", sleeps, &json!([])))?;
    let (pods, dry) = (
        fixture.scratch.api::<Pod>(),
        PostParams {
            dry_run: true,
            ..PostParams::default()
        },
    );
    wait::until("the policy to gate pods", wait::USUAL, || async {
        let spec = pods.create(&dry, &probe).await?.spec.unwrap_or_default();
        ensure!(spec.scheduling_gates.is_some(), "{spec:?}");
        anyhow::Ok(())
    })
    .await?;
    fixture.create(json!({})).await?;
    let expected = ["scheduling gates to be removed", GATE];
    fixture
        .reports(reason::SCHEDULING_GATED, &expected, unscheduled())
        .await?;
    fixture.reached(Phase::Starting).await?;
    let pod = format!("workspace-{}", fixture.name);
    let admitted = json!({"spec": {"schedulingGates": null}});
    fixture.change::<Pod>(&pod, admitted).await?;
    fixture.recovered().await
}

/// A workspace that runs on a silent node.
async fn runs_on_silent_node(fixture: &Fixture) -> anyhow::Result<Arc<SilentNode>> {
    let node = fixture.silent_node().await?;
    fixture.create(node.selected()).await?;
    let pod = fixture.bound_pod().await?;
    fixture.write_pod(&pod, container_runs()).await?;
    fixture.reached(Phase::Running).await?;
    Ok(node)
}

async fn pod_that_is_evicted(fixture: &Fixture) -> anyhow::Result<()> {
    let node = runs_on_silent_node(fixture).await?;
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let evicted = json!({
        "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: ephemeral-storage.",
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": now},
            {"type": "Ready", "status": "False", "reason": "PodFailed", "lastTransitionTime": now},
            {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "lastTransitionTime": now},
        ],
        "containerStatuses": [{
            "name": "workspace", "ready": false, "restartCount": 0, "image": "", "imageID": "", "started": false,
            "state": {"terminated": {"exitCode": 137, "reason": "Error", "startedAt": now, "finishedAt": now}},
        }],
    });
    let first = fixture.bound_pod().await?;
    fixture.write_pod(&first, evicted).await?;
    let from = format!("evicted from the node {}", node.name);
    let expected = [
        from.as_str(),
        "low on resource: ephemeral-storage",
        "A new pod is starting",
        "raise spec.resources.requests",
    ];
    fixture.reports(reason::EVICTED, &expected, failed()).await?;
    // The reason shows until the next pod is ready.
    gets_ready(fixture).await
}

/// The pod may still run there: no other takes its place.
async fn node_that_is_lost(fixture: &Fixture) -> anyhow::Result<()> {
    let node = runs_on_silent_node(fixture).await?;
    let pod = fixture.bound_pod().await?;
    let lost = at(Moment::written(&node.fall_silent().await?));
    let remedy = format!("kubectl delete node {}", node.name);
    let expected = [
        "does not answer (NodeStatusUnknown",
        "no other pod gets its disk",
        remedy.as_str(),
    ];
    fixture.reports(reason::NODE_LOST, &expected, lost).await?;
    node.get_ready().await?;
    gets_ready(fixture).await?;
    let after = fixture.bound_pod().await?;
    ensure!(after.uid() == pod.uid(), "another pod: {after:?}");
    Ok(())
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
async fn pods_that_no_node_takes_or_keeps_are_reported_and_recover() -> anyhow::Result<()> {
    let rows = [
        // It takes longest.
        row!(no_node_until_the_start_timeout),
        row!(too_much_cpu),
        row!(no_gpu),
        row!(taint_that_is_not_tolerated),
        row!(scheduling_gate),
        row!(pod_that_is_evicted),
        row!(node_that_is_lost),
    ];
    table("scheduling", rows).await
}
