//! `start` in recovery and out of it: one patch each, and what opens a workspace keeps its mode.

use api::Workspace;
use api::names::RESTARTED_AT;
use api::workspace::DesiredStatus;
use http::Method;
use serde_json::{Value, json};
use testkit::api_server::{ApiServer, Fault};
use testkit::objects::NAMESPACE;

use crate::workspace::{in_phase, run};

fn put(server: &ApiServer, desired: &str, in_recovery: bool) {
    let mut workspace = in_phase("demo", desired, desired);
    workspace.spec.recovery_mode = in_recovery;
    server.put(&workspace);
}

/// What `line` writes; null: nothing.
async fn written(desired: &str, in_recovery: bool, line: &str) -> (String, Value) {
    let (server, client) = ApiServer::start();
    put(&server, desired, in_recovery);
    let ran = run(&client, line).await;
    assert_eq!(ran.code(), 0, "{line}: {:?}", ran.outcome);
    let calls = server.take_calls();
    let patch = calls.iter().find(|call| call.method == Method::PATCH);
    (ran.out, patch.map_or(Value::Null, |call| call.body.clone()))
}

#[tokio::test]
async fn the_flag_starts_in_recovery_and_without_it_a_start_is_normal() {
    let spec = |recovery: Value| json!({"desiredStatus": "Running", "recoveryMode": recovery});
    for (desired, in_recovery, line, says, wanted) in [
        (
            "Stopped",
            false,
            "start demo --recovery",
            "started in recovery",
            spec(json!(true)),
        ),
        ("Stopped", true, "start demo", "started", spec(Value::Null)),
        (
            "Running",
            false,
            "start demo --recovery",
            "restarted in recovery",
            spec(json!(true)),
        ),
        (
            "Running",
            true,
            "start demo",
            "restarted normally",
            spec(Value::Null),
        ),
    ] {
        let (out, patch) = written(desired, in_recovery, line).await;
        assert_eq!(out, format!("workspace.workspaces.jupyter.org/demo {says}\n"));
        assert_eq!(patch["spec"], wanted, "{line}");
        let restarts = patch["metadata"]["annotations"][RESTARTED_AT].is_string();
        assert_eq!(restarts, desired == "Running", "{patch}");
    }
}

#[tokio::test]
async fn a_start_says_that_it_leaves_recovery_and_which_files_are_deleted() {
    let outside = "demo: kernels and terminals end; the disk is kept; files outside of `disk` are deleted\n";
    for (desired, in_recovery, line, says) in [
        (
            "Stopped",
            true,
            "start demo",
            "demo: it leaves recovery and starts normally\n",
        ),
        ("Stopped", true, "start demo --recovery", ""),
        ("Stopped", false, "start demo", ""),
        ("Running", true, "start demo", outside),
        ("Running", true, "start demo --recovery", ""),
    ] {
        let (server, client) = ApiServer::start();
        put(&server, desired, in_recovery);
        let ran = run(&client, line).await;
        assert_eq!((ran.code(), ran.err.as_str()), (0, says), "{desired} {line}");
    }
}

/// Without a disk: files would be lost, but recovery is refused.
#[tokio::test]
async fn a_recovery_without_a_disk_is_refused_and_asks_nothing_before_unless_the_spec_is_newer() {
    for (generation, says) in [(1, "needs a disk"), (2, "there is no terminal to ask")] {
        let (server, client) = ApiServer::start();
        let mut running = serde_json::to_value(in_phase("demo", "Running", "Running")).unwrap();
        running["status"]["resolved"] = json!({"storage": {"mountPath": "/h", "ephemeral": true}});
        running["status"]["observedGeneration"] = json!(1);
        running["metadata"]["generation"] = json!(generation);
        server.put(&serde_json::from_value::<Workspace>(running).unwrap());
        server.fail(Fault::forbidden(
            Method::PATCH,
            "/workspaces/demo",
            "needs a disk",
            1,
        ));
        let ran = run(&client, "start demo --recovery").await;
        assert_ne!(ran.code(), 0);
        assert!(ran.error().contains(says), "{}", ran.error());
        assert_eq!(ran.err.contains("are deleted"), generation == 2, "{}", ran.err);
    }
}

#[tokio::test]
async fn what_is_so_already_is_not_written() {
    for (in_recovery, line, says) in [
        (true, "start demo --recovery", "is already started in recovery"),
        (false, "start demo", "is already started"),
    ] {
        let (out, patch) = written("Running", in_recovery, line).await;
        assert!(out.contains(says), "{out}");
        assert_eq!(patch, Value::Null);
    }
}

#[tokio::test]
async fn who_opens_a_workspace_in_recovery_stays_there() {
    let (_, patch) = written("Running", true, "open demo --start --print").await;
    assert_eq!(patch, Value::Null);
    let (server, client) = ApiServer::start();
    put(&server, "Stopped", true);
    let operator = async {
        loop {
            let stored = server.get::<Workspace>(Some(NAMESPACE), "demo").unwrap();
            if stored.spec.desired_status == DesiredStatus::Running {
                return put(&server, "Running", true);
            }
            tokio::task::yield_now().await;
        }
    };
    let (ran, ()) = tokio::join!(run(&client, "open demo --start --print"), operator);
    assert_eq!(ran.code(), 0, "{:?}", ran.outcome);
    let calls = server.take_calls();
    let patch = calls.iter().find(|call| call.method == Method::PATCH).unwrap();
    assert_eq!(patch.body["spec"], json!({"desiredStatus": "Running"}));
}

#[tokio::test]
async fn explain_says_that_it_is_in_recovery_and_how_to_start_normally() {
    for in_recovery in [true, false] {
        let (server, client) = ApiServer::start();
        put(&server, "Running", in_recovery);
        let ran = run(&client, "explain demo").await;
        let says =
            ran.out.contains("It is in recovery") && ran.out.contains("kubectl workspace start demo -n team");
        assert_eq!(says, in_recovery, "{}", ran.out);
    }
}
