//! Containers that end or never answer, pods that are evicted, nodes that are lost.

use std::time::Duration;

use api::{condition::reason, workspace::Phase};
use e2e::{
    failures::{Fixture, Moment, table},
    objects::workspace,
    row,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt as _, api::DeleteParams};
use serde_json::{Value, json};

use crate::{
    evidence::{after_start, at, container, ended, event, waiting},
    images::container_runs,
};

fn runs(code: &str) -> Value {
    json!({"containerConfig": {"command": ["python3", "-c", code]}})
}

/// Without a command of its own it is the echo server again.
fn repaired() -> Value {
    json!({"containerConfig": null})
}

async fn exit_code(fixture: &Fixture) -> anyhow::Result<()> {
    fixture.may_also_report(reason::CRASH_LOOPING);
    // It ends once for some seconds: a kubelet that is busy may show the second end first of one that ends at once. Portal and plugin are
    // read in between, too.
    fixture
        .create(runs("import sys, time; time.sleep(15); sys.exit(3)"))
        .await?;
    fixture
        .reports(
            reason::CONTAINER_EXITED,
            &["exit code 3", "kubectl logs", "--previous"],
            ended(),
        )
        .await?;
    fixture.restart_with(repaired()).await?;
    fixture.recovered().await
}

async fn out_of_memory(fixture: &Fixture) -> anyhow::Result<()> {
    let mut spec = runs("x = b'x' * 10**9");
    let memory = |limit: &str| json!({"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": limit}});
    spec["resources"] = memory("64Mi");
    fixture.create(spec).await?;
    fixture
        .reports(
            reason::OOM_KILLED,
            &["limit of 64Mi", "spec.resources.limits.memory"],
            ended(),
        )
        .await?;
    let mut repaired = repaired();
    repaired["resources"] = memory("128Mi");
    fixture.restart_with(repaired).await?;
    fixture.recovered().await
}

async fn command_that_does_not_exist(fixture: &Fixture) -> anyhow::Result<()> {
    fixture
        .create(json!({"containerConfig": {"command": ["/no/such/program"]}}))
        .await?;
    let evidence = container(|status| {
        let state = status.state.clone().unwrap_or_default();
        // Each later attempt moves the end of the one before into the last state.
        let last = status.last_state.as_ref();
        state.terminated.is_some()
            || last.is_some_and(|last| last.terminated.is_some())
            || state
                .waiting
                .is_some_and(|it| it.reason.as_deref() == Some("RunContainerError"))
    });
    fixture
        .reports(
            reason::CONTAINER_START_FAILED,
            &["/no/such/program", "spec.containerConfig"],
            evidence,
        )
        .await?;
    fixture.restart_with(repaired()).await?;
    fixture.recovered().await
}

async fn readiness_never_true(fixture: &Fixture) -> anyhow::Result<()> {
    fixture.create(runs("import time; time.sleep(600)")).await?;
    let evidence = after_start(Duration::from_mins(1));
    fixture
        .reports(
            reason::READINESS_FAILED,
            &["nothing answers on its port", "spec.port", "kubectl logs"],
            evidence,
        )
        .await?;
    fixture.restart_with(repaired()).await?;
    fixture.recovered().await
}

async fn post_start_hook(fixture: &Fixture) -> anyhow::Result<()> {
    // What the container shows before the kubelet says why.
    fixture.may_also_report(reason::CONTAINER_EXITED);
    fixture.may_also_report(reason::CRASH_LOOPING);
    let hook = json!({"postStart": {"exec": {"command": ["sh", "-c", "echo no licence; exit 7"]}}});
    fixture.create(json!({"lifecycle": hook})).await?;
    let evidence = event(fixture, "FailedPostStartHook").await?;
    let expected = [
        "postStart hook of the container failed",
        "spec.lifecycle.postStart",
    ];
    fixture
        .reports(reason::POST_START_HOOK_FAILED, &expected, evidence)
        .await?;
    fixture.restart_with(json!({"lifecycle": null})).await?;
    fixture.recovered().await
}

async fn pre_stop_hook_that_fails_does_no_harm(fixture: &Fixture) -> anyhow::Result<()> {
    let hook = json!({"preStop": {"exec": {"command": ["sh", "-c", "exit 7"]}}});
    fixture.create(json!({"lifecycle": hook})).await?;
    fixture.reached(Phase::Running).await?;
    workspace::stop(&fixture.alice, &fixture.name).await?;
    fixture.wait_cleared().await
}

async fn config_error_of_another_kind(fixture: &Fixture) -> anyhow::Result<()> {
    let node = fixture.silent_node().await?;
    fixture.create(node.selected()).await?;
    let pod = fixture.bound_pod().await?;
    let waits = crate::images::container_waits("CreateContainerError", "context deadline exceeded");
    fixture.write_pod(&pod, waits).await?;
    let evidence = waiting(&["CreateContainerError"]);
    fixture
        .reports(
            reason::CONTAINER_START_FAILED,
            &["context deadline exceeded"],
            evidence,
        )
        .await?;
    fixture.write_pod(&pod, container_runs()).await?;
    fixture.recovered().await
}

async fn pod_evicted(fixture: &Fixture) -> anyhow::Result<()> {
    let node = fixture.silent_node().await?;
    fixture.create(node.selected()).await?;
    let pod = fixture.bound_pod().await?;
    fixture.write_pod(&pod, container_runs()).await?;
    fixture.reached(Phase::Running).await?;
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let evicted = json!({
        "phase": "Failed", "reason": "Evicted",
        "message": "The node was low on resource: memory. Container workspace was using 2Gi, request is 32Mi.",
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "False", "lastTransitionTime": now},
            {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "lastTransitionTime": now},
        ],
    });
    let evidence = fixture.write_pod(&pod, evicted).await?;
    let expected = [
        "low on resource: memory",
        "A new pod is starting",
        "spec.resources.requests",
    ];
    fixture.reports(reason::EVICTED, &expected, at(evidence)).await?;
    let next = fixture.bound_pod().await?;
    anyhow::ensure!(next.uid() != pod.uid(), "the same pod");
    fixture.write_pod(&next, container_runs()).await?;
    fixture.recovered().await
}

async fn node_is_silent(fixture: &Fixture) -> anyhow::Result<()> {
    let node = fixture.silent_node().await?;
    fixture.create(node.selected()).await?;
    let pod = fixture.bound_pod().await?;
    fixture.write_pod(&pod, container_runs()).await?;
    fixture.reached(Phase::Running).await?;
    let evidence = node.ready("Unknown").await?;
    let expected = [
        node.name.as_str(),
        "Bring the node back",
        "kubectl delete node",
        "out-of-service",
    ];
    fixture
        .reports(reason::NODE_LOST, &expected, at(evidence))
        .await?;
    node.ready("True").await?;
    fixture.write_pod(&pod, container_runs()).await?;
    fixture.recovered().await
}

async fn node_is_gone(fixture: &Fixture) -> anyhow::Result<()> {
    let node = fixture.silent_node().await?;
    fixture.create(node.selected()).await?;
    let pod = fixture.bound_pod().await?;
    fixture.write_pod(&pod, container_runs()).await?;
    fixture.reached(Phase::Running).await?;
    // A deletion has no time of its own: it is no earlier than this.
    let before = Timestamp::now();
    node.delete().await?;
    fixture
        .reports(
            reason::NODE_LOST,
            &[&node.name, "no longer exists"],
            at(Some(Moment::At(before))),
        )
        .await?;
    let again = fixture.silent_node().await?;
    anyhow::ensure!(again.name == node.name, "another node");
    fixture.write_pod(&pod, container_runs()).await?;
    fixture.recovered().await
}

async fn pod_terminates_forever_on_a_lost_node(fixture: &Fixture) -> anyhow::Result<()> {
    let node = fixture.silent_node().await?;
    fixture.create(node.selected()).await?;
    let pod = fixture.bound_pod().await?;
    fixture.write_pod(&pod, container_runs()).await?;
    fixture.reached(Phase::Running).await?;
    workspace::set(&fixture.alice, &fixture.name, json!({"desiredStatus": "Stopped"})).await?;
    fixture.reached(Phase::Stopping).await?;
    let evidence = node.ready("Unknown").await?;
    fixture
        .reports(
            reason::NODE_LOST,
            &[&pod.name_any(), "two pods must not write"],
            at(evidence),
        )
        .await?;
    let still = fixture.scratch.api::<Pod>().get(&pod.name_any()).await?;
    anyhow::ensure!(
        still.metadata.deletion_timestamp.is_some(),
        "the pod was not deleted by force"
    );
    // An administrator who knows that the machine is off takes one of the ways out.
    fixture
        .scratch
        .api::<Pod>()
        .delete(&pod.name_any(), &DeleteParams::default().grace_period(0))
        .await?;
    fixture.reached(Phase::Stopped).await?;
    fixture.wait_cleared().await
}

#[tokio::test]
async fn failing_containers_are_reported_with_their_reason() -> anyhow::Result<()> {
    let rows = [
        row!(readiness_never_true),
        row!(exit_code),
        row!(out_of_memory),
        row!(command_that_does_not_exist),
        row!(post_start_hook),
        row!(pre_stop_hook_that_fails_does_no_harm),
        row!(config_error_of_another_kind),
    ];
    table("runtime", rows).await
}

#[tokio::test]
async fn evictions_and_lost_nodes_are_reported() -> anyhow::Result<()> {
    let rows = [
        row!(pod_evicted),
        row!(node_is_silent),
        row!(node_is_gone),
        row!(pod_terminates_forever_on_a_lost_node),
    ];
    table("nodes", rows).await
}
