//! Containers that end, and their hooks. How else they can fail is in the tests of `operator::status::assess`.

use api::{condition::reason, workspace::Phase};
use e2e::{
    failures::{Fixture, table},
    objects::workspace,
    row,
};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::{Value, json};

use crate::{
    evidence::{ended, ended_for_memory, ended_twice, not_running, waiting, warning},
    volumes::warned,
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
        .create(runs(
            "import sys, time; time.sleep(15); open('/dev/termination-log', 'w').write('a\\nModuleNotFoundError: x'); sys.exit(3)",
        ))
        .await?;
    fixture
        .reports(
            reason::CONTAINER_EXITED,
            &["exit code 3", "Its last line: \"ModuleNotFoundError: x\"."],
            ended(),
        )
        .await?;
    fixture.restart_with(repaired()).await?;
    fixture.recovered().await
}

async fn exit_code_0(fixture: &Fixture) -> anyhow::Result<()> {
    fixture.create(runs("import time; time.sleep(15)")).await?;
    fixture
        .reports(
            reason::CONTAINER_COMPLETED,
            &["exit code 0", "or run `stop-workspace` in it"],
            ended(),
        )
        .await?;
    fixture.restart_with(repaired()).await?;
    fixture.recovered().await
}

/// Each end comes at once, so the first one may be reported only with the second.
async fn crash_loop(fixture: &Fixture) -> anyhow::Result<()> {
    fixture.may_also_report(reason::CONTAINER_EXITED);
    fixture.create(runs("raise SystemExit(4)")).await?;
    fixture
        .reports(
            reason::CRASH_LOOPING,
            &[
                "ends again and again, last with exit code 4",
                "restarted with growing delays",
            ],
            ended_twice(),
        )
        .await?;
    fixture.restart_with(repaired()).await?;
    fixture.recovered().await
}

async fn out_of_memory(fixture: &Fixture) -> anyhow::Result<()> {
    // containerd learns of a lack of memory by another way than of the end, and may be told of the end first: then the kubelet calls one end
    // an error with exit code 137.
    fixture.may_also_report(reason::CONTAINER_EXITED);
    // It ends once until the row has read everything: two ends would be two Events. The folder is the pod's, so a second run sees the file.
    let mut spec = runs(
        "import os, time; ran = '/dev/shm/ran'; os.path.exists(ran) and time.sleep(120); open(ran, 'w').close(); x = b'x' * 10**9",
    );
    let memory = |limit: &str| json!({"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": limit}});
    spec["resources"] = memory("64Mi");
    fixture.create(spec).await?;
    fixture
        .reports(
            reason::OOM_KILLED,
            &["limit of 64Mi", "spec.resources.limits.memory"],
            ended_for_memory(),
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
    fixture
        .reports(
            reason::CONTAINER_START_FAILED,
            &["/no/such/program", "Check spec.containerConfig"],
            not_running("RunContainerError"),
        )
        .await?;
    fixture.restart_with(repaired()).await?;
    fixture.recovered().await
}

fn env(source: &str, name: &str) -> Value {
    json!({"env": [{"name": "TOKEN", "valueFrom": {source: {"name": name, "key": "value"}}}]})
}

async fn key_of_secret_in_env(fixture: &Fixture) -> anyhow::Result<()> {
    fixture
        .make::<Secret>(json!({"metadata": {"name": "token"}, "stringData": {"other": "x"}}))
        .await?;
    fixture.create_as_admin(env("secretKeyRef", "token")).await?;
    fixture
        .reports(
            reason::SECRET_NOT_FOUND,
            &["The Secret token has no key value", "correct the name"],
            waiting(&["CreateContainerConfigError"]),
        )
        .await?;
    fixture
        .change::<Secret>("token", json!({"stringData": {"value": "x"}}))
        .await?;
    fixture.recovered().await
}

async fn config_map_in_env(fixture: &Fixture) -> anyhow::Result<()> {
    fixture.create_as_admin(env("configMapKeyRef", "flags")).await?;
    fixture
        .reports(
            reason::CONFIG_MAP_NOT_FOUND,
            &["The ConfigMap flags does not exist", "the pod starts by itself"],
            waiting(&["CreateContainerConfigError"]),
        )
        .await?;
    fixture
        .make::<ConfigMap>(json!({"metadata": {"name": "flags"}, "data": {"value": "x"}}))
        .await?;
    fixture.recovered().await
}

async fn post_start_hook_that_fails(fixture: &Fixture) -> anyhow::Result<()> {
    let hook = json!({"postStart": {"exec": {"command": ["sh", "-c", "exit 7"]}}});
    fixture.create(json!({"lifecycle": hook})).await?;
    // The kubelet's Event comes before it ends the container.
    let events = warned(fixture, "FailedPostStartHook").await?;
    fixture
        .reports(
            reason::POST_START_HOOK_FAILED,
            &[
                "The postStart hook of the container failed",
                "Correct spec.lifecycle.postStart",
            ],
            warning(&events),
        )
        .await?;
    fixture.restart_with(json!({"lifecycle": null})).await?;
    fixture.recovered().await
}

/// The pod ends all the same, and the workspace reports nothing.
async fn pre_stop_hook_that_fails(fixture: &Fixture) -> anyhow::Result<()> {
    let hook = json!({"preStop": {"exec": {"command": ["sh", "-c", "exit 7"]}}});
    fixture.create(json!({"lifecycle": hook})).await?;
    fixture.reached(Phase::Running).await?;
    workspace::stop(&fixture.alice, &fixture.name).await?;
    // The control: it ran, and the kubelet saw it fail.
    warned(fixture, "FailedPreStopHook").await?;
    fixture.wait_cleared().await
}

#[tokio::test]
async fn failing_containers_are_reported_with_their_reason() -> anyhow::Result<()> {
    let rows = [
        row!(exit_code),
        row!(exit_code_0),
        row!(crash_loop),
        row!(out_of_memory),
        row!(command_that_does_not_exist),
        row!(key_of_secret_in_env),
        row!(config_map_in_env),
        row!(post_start_hook_that_fails),
        row!(pre_stop_hook_that_fails),
    ];
    table("runtime", rows).await
}
