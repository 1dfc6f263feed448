//! Recovery: where it is offered, what its buttons write, and how its page says that it is on.

use api::names::RESTARTED_AT;
use api::{Workspace, WorkspaceManager};
use http::StatusCode;
use serde_json::{Value, json};
use testkit::api_server::ApiServer;
use testkit::objects::{template, workspace};

use crate::common::{ALICE, Portal};

/// A workspace of the template `t` with a disk, in this phase.
fn lab(phase: &str, in_recovery: bool) -> Workspace {
    let mut object = json!(workspace("lab"));
    object["spec"]["templateRef"] = json!("t");
    object["spec"]["desiredStatus"] = json!(if phase == "Stopped" { "Stopped" } else { "Running" });
    object["spec"]["recoveryMode"] = json!(in_recovery);
    object["status"] = json!({
        "phase": phase, "observedGeneration": 1, "runID": "one",
        "resolved": {"storage": {"mountPath": "/home/jovyan", "size": "1Gi"}},
        "disk": {"claimUID": "c", "size": "1Gi"},
    });
    serde_json::from_value(object).unwrap()
}

async fn portal(lab: &Workspace) -> Portal {
    let portal = Portal::start(|server| {
        server.put(&template("t"));
        server.put(lab);
    })
    .await;
    portal.grant(ALICE);
    portal
}

/// Labels of the buttons beside the state.
async fn labels(portal: &Portal) -> Vec<String> {
    let page = portal.json("alice", "/w/team/lab").await;
    let actions = page["head"]["actions"].as_array().unwrap().iter();
    actions
        .map(|action| action["label"].as_str().unwrap().to_owned())
        .collect()
}

fn stored(portal: &Portal) -> Value {
    json!(portal.server.get::<Workspace>(Some("team"), "lab").unwrap())
}

const RECOVER: &str = "Start in recovery";

#[tokio::test]
async fn it_is_offered_where_a_workspace_does_not_run_and_the_rules_allow_it() {
    for (phase, is_offered) in [
        ("Failed", true),
        ("Stopped", true),
        ("Running", false),
        ("Starting", false),
    ] {
        let portal = portal(&lab(phase, false)).await;
        assert_eq!(
            labels(&portal).await.contains(&RECOVER.to_owned()),
            is_offered,
            "{phase}"
        );
    }
    let offered = async |change: &dyn Fn(&ApiServer)| {
        let portal = Portal::start(|server| {
            server.put(&template("t"));
            server.put(&lab("Stopped", false));
            change(server);
        })
        .await;
        portal.grant(ALICE);
        labels(&portal).await.contains(&RECOVER.to_owned())
    };
    assert!(offered(&|_| ()).await);
    let closed = |server: &ApiServer| {
        let mut closed = template("t");
        closed.spec.allow_recovery = false;
        server.put(&closed);
    };
    assert!(!offered(&closed).await);
    let open_to_all = |server: &ApiServer| {
        server.edit::<WorkspaceManager>(None, "main", |object| {
            object["spec"]["routing"] = json!({"baseDomain": "b.org", "custom": {"resources": []}});
            object["spec"]["authentication"] = json!({"none": {}});
        });
    };
    assert!(!offered(&open_to_all).await);
}

#[tokio::test]
async fn a_stopped_workspace_starts_in_recovery_and_normally_by_one_press() {
    let portal = portal(&lab("Stopped", false)).await;
    let answer = portal
        .post("alice", "/w/team/lab/recover", "uid=uid-of-lab")
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let stored_now = stored(&portal);
    assert_eq!(stored_now["spec"]["recoveryMode"], true);
    assert_eq!(stored_now["spec"]["desiredStatus"], "Running");
    assert!(stored_now["metadata"]["annotations"][RESTARTED_AT].is_null());
}

#[tokio::test]
async fn the_page_says_that_it_is_in_recovery_and_starts_normally_after_a_question() {
    let portal = portal(&lab("Running", true)).await;
    let page = portal.json("alice", "/w/team/lab").await;
    assert_eq!(page["head"]["state"]["word"], "In recovery");
    assert!(
        page["head"]["sentence"]
            .as_str()
            .unwrap()
            .contains("folder `disk`"),
        "{page:#}"
    );
    assert!(labels(&portal).await.contains(&"Start normally".to_owned()));
    let question = portal.json("alice", "/w/team/lab/start").await;
    assert!(
        question["text"][0].as_str().unwrap().contains("the disk is kept"),
        "{question:#}"
    );
    let answer = portal.post("alice", "/w/team/lab/start", "uid=uid-of-lab").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let stored_now = stored(&portal);
    assert!(stored_now["spec"].get("recoveryMode").is_none(), "{stored_now:#}");
    assert!(stored_now["metadata"]["annotations"][RESTARTED_AT].is_string());
}

#[tokio::test]
async fn a_run_that_is_not_in_recovery_yet_is_not_called_so() {
    let mut pending = lab("Running", true);
    pending.status.as_mut().unwrap().pending_update = vec!["spec.recoveryMode".to_owned()];
    let portal = portal(&pending).await;
    let page = portal.json("alice", "/w/team/lab").await;
    assert_eq!(page["head"]["state"]["word"], "Running");
}

#[tokio::test]
async fn a_start_and_a_failure_in_recovery_are_called_so() {
    for (phase, in_recovery, word) in [
        ("Starting", true, "Starting in recovery"),
        ("Starting", false, "Starting"),
        ("Failed", true, "Failed in recovery"),
        ("Failed", false, "Failed"),
    ] {
        let portal = portal(&lab(phase, in_recovery)).await;
        let page = portal.json("alice", "/w/team/lab").await;
        assert_eq!(page["head"]["state"]["word"], word);
    }
}
