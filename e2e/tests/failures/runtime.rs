//! Containers that end or never answer, pods that are evicted, nodes that are lost.

use std::time::Duration;

use api::{condition::reason, workspace::Phase};
use e2e::{
    failures::{Fixture, table},
    objects::workspace,
    row,
};
use serde_json::{Value, json};

use crate::evidence::{after_start, container, ended, event};

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

#[tokio::test]
async fn failing_containers_are_reported_with_their_reason() -> anyhow::Result<()> {
    let rows = [
        row!(readiness_never_true),
        row!(exit_code),
        row!(out_of_memory),
        row!(command_that_does_not_exist),
        row!(post_start_hook),
        row!(pre_stop_hook_that_fails_does_no_harm),
    ];
    table("runtime", rows).await
}
