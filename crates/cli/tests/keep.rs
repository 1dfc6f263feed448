//! `keep`, against an API server in memory.

use api::Workspace;
use api::names::KEEP_UNTIL;
use cli::exit_code;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use testkit::api_server::ApiServer;
use testkit::objects::NAMESPACE;

use crate::workspace::{in_phase, run};

/// `demo`, which an idle rule stops.
fn demo(status: &Value) -> Workspace {
    let mut object = serde_json::to_value(in_phase("demo", "Running", "Running")).unwrap();
    object["status"]["resolved"] = json!({"idleTimeoutInMinutes": 60, "maxAgeMinutes": 720});
    for (field, value) in status.as_object().into_iter().flatten() {
        object["status"][field] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn annotation(server: &ApiServer) -> Option<String> {
    let stored: Workspace = server.get(Some(NAMESPACE), "demo").unwrap();
    stored.annotations().get(KEEP_UNTIL).cloned()
}

#[tokio::test]
async fn a_workspace_is_kept_for_a_time_until_a_time_and_no_longer() {
    let (server, client) = ApiServer::start();
    server.put(&demo(&json!({})));
    let before = Timestamp::now();
    let ran = run(&client, "keep demo 8h").await;
    let until = annotation(&server).unwrap();
    assert_eq!(
        ran.out,
        format!("workspace.workspaces.jupyter.org/demo kept until {until}\n")
    );
    assert_eq!(ran.err, "");
    let lasts = until.parse::<Timestamp>().unwrap().duration_since(before);
    let off = (lasts - SignedDuration::from_hours(8)).abs();
    assert!(off < SignedDuration::from_mins(1), "{until}");

    let ran = run(&client, "keep demo --until 2999-01-01T18:00:00+01:00 -o name").await;
    assert_eq!(ran.out, "workspace.workspaces.jupyter.org/demo\n");
    assert_eq!(annotation(&server).as_deref(), Some("2999-01-01T17:00:00Z"));

    server.take_calls();
    let ran = run(&client, "keep demo --off").await;
    assert_eq!(
        ran.out,
        "workspace.workspaces.jupyter.org/demo is kept no longer\n"
    );
    assert_eq!(annotation(&server), None);
    assert_eq!(server.take_calls().len(), 1, "one request");
}

#[tokio::test]
async fn it_says_where_keeping_changes_nothing_and_which_limit_comes_before() {
    let (server, client) = ApiServer::start();
    server.put(&demo(&json!({"resolved": {"maxAgeMinutes": 720}})));
    let ran = run(&client, "keep demo 1h").await;
    assert_eq!(
        ran.err,
        "No idle rule stops this workspace now: the time counts once one does.\n"
    );
    let max_age = "It is stopped all the same at 2998-01-01T00:00:00Z, after 720 min, its maximum age.\n";
    for (rule, running_since, said) in [
        ("MaxAge", json!("2997-12-31T12:00:00Z"), max_age),
        ("Idle", Value::Null, ""),
        ("Idle", json!("2997-12-31T12:00:00Z"), max_age),
        ("Idle", json!("2998-12-31T18:00:00Z"), ""),
    ] {
        let announced =
            json!({"stopsAt": "2998-01-01T00:00:00Z", "stopsBecause": rule, "runningSince": running_since});
        server.put(&demo(&announced));
        let ran = run(&client, "keep demo --until 2999-01-01T00:00:00Z").await;
        assert_eq!(ran.err, said, "{rule}");
    }
    let ran = run(&client, "keep none 1h").await;
    assert_eq!(ran.code(), exit_code::FAILED);
    assert!(ran.error().contains("does not exist"), "{}", ran.error());
}

/// As the webhook refuses it.
#[tokio::test]
async fn a_time_beyond_the_template_s_is_refused_with_the_latest_that_is_allowed() {
    let (server, client) = ApiServer::start();
    server.put(&demo(&json!({})));
    server.admit(|object| {
        let until = object["metadata"]["annotations"][KEEP_UNTIL].as_str()?;
        let found = rules::keep::check(until, SignedDuration::from_hours(24), false, Timestamp::now())?;
        Some(json!({"kind": "Status", "status": "Failure", "code": 422, "reason": "Invalid", "message": found.to_string()}))
    });
    let latest = Timestamp::now() + SignedDuration::from_hours(24);
    let ran = run(&client, "keep demo 30h").await;
    assert_eq!((ran.code(), ran.out.as_str()), (exit_code::FAILED, ""));
    let error = ran.error();
    let (_, told) = error.rsplit_once("choose at most ").unwrap();
    let told: Timestamp = told.trim().parse().unwrap();
    let off = told.duration_since(latest).abs();
    assert!(off < SignedDuration::from_mins(1), "{error}");
    assert_eq!(annotation(&server), None);
    assert_eq!(run(&client, "keep demo 23h").await.code(), 0, "the control");
    assert!(annotation(&server).is_some());
}
