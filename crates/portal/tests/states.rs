//! What the page of a workspace says of its state: nothing alarming where nothing is wrong.

use api::Workspace;
use api::names::{RUN_ID_LABEL, WORKSPACE_LABEL};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use serde_json::{Value, json};
use testkit::objects::workspace;

use crate::common::Portal;
use crate::listing::share;

fn seconds_ago(seconds: i64) -> String {
    let time = Timestamp::now() - SignedDuration::from_secs(seconds);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn lab(metadata: &Value, spec: &Value, status: &Value) -> Workspace {
    let mut object = serde_json::to_value(workspace("lab")).unwrap();
    for (part, change) in [("metadata", metadata), ("spec", spec), ("status", status)] {
        json_patch::merge(&mut object[part], change);
    }
    serde_json::from_value(object).unwrap()
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}

fn running() -> Value {
    json!({
        "phase": "Running", "observedGeneration": 1, "runID": "two", "resolved": {"idleTimeoutInMinutes": 60},
        "pendingUpdate": ["spec.image"], "conditions": [condition("Available", "True", "Ready", "")],
    })
}

fn pod(name: &str, run: &str, conditions: &[&str]) -> Pod {
    let conditions = conditions.iter();
    let conditions: Vec<_> = conditions
        .map(|type_| json!({"type": type_, "status": "True"}))
        .collect();
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "team", "uid": format!("uid-of-{name}"), "creationTimestamp": seconds_ago(30),
            "labels": {WORKSPACE_LABEL: "lab", RUN_ID_LABEL: run},
        },
        "status": {"conditions": conditions},
    }))
    .unwrap()
}

/// The page of a workspace and these pods.
async fn page(workspace: &Workspace, pods: &[Pod]) -> Value {
    let portal = Portal::start(|server| {
        server.put(workspace);
        for pod in pods {
            server.put(pod);
        }
    })
    .await;
    portal.json("alice", "/w/team/lab").await
}

fn findings(page: &Value) -> Vec<(&str, &str)> {
    let findings = page["explanation"]["findings"].as_array().unwrap().iter();
    findings
        .map(|finding| {
            (
                finding["tone"].as_str().unwrap(),
                finding["what"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_workspace_that_is_as_wanted_has_no_box() {
    let page_of = async |spec, status| page(&lab(&json!({}), &spec, &status), &[]).await;
    let runs = page_of(json!({}), running()).await;
    assert_eq!(findings(&runs), []);
    assert_eq!(
        runs["pending"]["fields"],
        json!(["spec.image"]),
        "it has a part of its own"
    );
    let stopped = json!({
        "phase": "Stopped", "observedGeneration": 1, "conditions": [condition("Stopped", "True", "Stopped", "")],
        "disk": {"claimUID": "c", "size": "1Gi"},
    });
    let stopped = page_of(json!({"desiredStatus": "Stopped"}), stopped).await;
    assert_eq!(findings(&stopped), []);
    assert_eq!(stopped["head"]["sentence"], "The disk is kept.");
}

#[tokio::test]
async fn a_limit_is_named_before_and_after_its_stop() {
    let page_of = async |spec, status| page(&lab(&json!({}), &spec, &status), &[]).await;
    let by_limit = json!({
        "phase": "Stopped", "disk": {"claimUID": "c", "size": "1Gi"}, "resolved": {"failedTimeoutMinutes": 60},
        "conditions": [condition("Stopped", "True", "Stopped", "")],
        "stoppedBecause": {"rule": "Failed", "time": "2026-01-01T00:00:00Z", "reason": "ImagePullFailed"},
    });
    let by_limit = page_of(json!({"desiredStatus": "Stopped"}), by_limit).await;
    assert_eq!(
        by_limit["head"]["sentence"],
        "Stopped after 60 min without being ready for five minutes together (ImagePullFailed). The disk is kept."
    );
    let mut limited = running();
    limited["stopsAt"] = json!("2026-01-01T12:10:00Z");
    limited["stopsBecause"] = json!("MaxAge");
    let limited = page_of(json!({}), limited).await;
    assert_eq!(limited["head"]["stopsBecause"], "maximum age");
    assert!(limited["head"]["stops"].is_object(), "{}", limited["head"]);
}

#[tokio::test]
async fn a_stopped_workspace_that_is_deleted_says_when_and_what_prevents_it() {
    let status = |resolved: Value, deletes_at: Value| {
        json!({
            "phase": "Stopped", "disk": {"claimUID": "c", "size": "1Gi"}, "resolved": resolved, "deletesAt": deletes_at,
            "conditions": [condition("Stopped", "True", "Stopped", "")],
        })
    };
    let spec = json!({"desiredStatus": "Stopped", "storage": {"retain": "Retain"}});
    let announced = status(json!({"stoppedRetentionDays": 30}), json!("2026-01-31T00:00:00Z"));
    let pages = page(&lab(&json!({}), &spec, &announced), &[]).await;
    let said = pages["head"]["deletion"].as_str().unwrap();
    assert!(
        said.starts_with("It is deleted at 2026-01-31T00:00:00Z, after 30 days without a start (spec.limits.stoppedRetentionDays); its disk"),
        "{said}"
    );
    assert!(
        said.ends_with("To keep it, start it, or write more days into spec.limits.stoppedRetentionDays."),
        "{said}"
    );
    let never = page(&lab(&json!({}), &spec, &status(json!({}), json!(null))), &[]).await;
    assert_eq!(never["head"]["deletion"], "");
}

#[tokio::test]
async fn the_question_before_a_restart_names_the_changes_that_it_applies() {
    let mut status = running();
    status["pendingUpdate"] = json!(["spec.image", "spec.resources"]);
    let lab = lab(
        &json!({}),
        &json!({"ownershipType": "Public", "accessType": "OwnerOnly"}),
        &status,
    );
    let portal = Portal::start(|server| {
        server.put(&lab);
        server.put(&share("lab", "dave", true));
    })
    .await;
    portal.grant(&[
        ("alice", "patch", "workspaces", "team"),
        ("dave", "patch", "workspaces", "team"),
    ]);
    let text = async |user: &str, action: &str| {
        let question = portal.json(user, &format!("/w/team/lab/{action}")).await;
        question["text"].to_string()
    };
    let said = "2 changes take effect at the next start";
    let restart = text("alice", "restart").await;
    assert!(
        restart.contains(&format!("{said}: `spec.image`, `spec.resources`.")),
        "{restart}"
    );
    let page = portal.get("alice", "/w/team/lab").await.text;
    assert!(page.contains(said), "{page}");
    for (user, action) in [("alice", "stop"), ("dave", "restart")] {
        let other = text(user, action).await;
        assert!(
            other.starts_with('[') && !other.contains("spec.image"),
            "{user} {action}: {other}"
        );
    }
}

#[tokio::test]
async fn a_problem_of_a_running_workspace_has_a_box() {
    let mut status = running();
    status["idle"] = json!({"signals": [{"name": "server", "error": "no answer"}]});
    let idle = page(&lab(&json!({}), &json!({}), &status), &[]).await;
    assert_eq!(
        findings(&idle),
        [(
            "warn",
            "It is not stopped as idle while its use cannot be found out."
        )]
    );
    let mut status = running();
    status["conditions"] = json!([condition(
        "Degraded",
        "True",
        "CrashLooping",
        "It ends again and again."
    )]);
    let degraded = page(&lab(&json!({}), &json!({}), &status), &[]).await;
    assert_eq!(findings(&degraded), [("bad", "It ends again and again.")]);
}

#[tokio::test]
async fn a_change_is_being_applied_and_only_a_slow_operator_is_a_finding() {
    let changed = |seconds: i64| {
        let records = json!([
            {"manager": "kubectl", "operation": "Update", "time": seconds_ago(seconds), "fieldsV1": {"f:spec": {}}},
            {"manager": "operator", "operation": "Apply", "time": seconds_ago(0), "subresource": "status"},
        ]);
        lab(
            &json!({"generation": 2, "managedFields": records}),
            &json!({}),
            &running(),
        )
    };
    let new = page(&changed(1), &[]).await;
    assert_eq!((findings(&new), &new["head"]["applying"]), (vec![], &json!(true)));
    let portal = Portal::start(|server| server.put(&changed(1))).await;
    let html = portal.get("alice", "/w/team/lab").await.text;
    assert!(html.contains("Applying…"), "{html}");
    let old = page(&changed(20), &[]).await;
    assert_eq!(
        findings(&old),
        [(
            "warn",
            "The operator has not completed the last change of the workspace yet: no operator runs, or the API server breaks off its writes."
        )]
    );
    assert_eq!(old["head"]["applying"], json!(false));
}

#[tokio::test]
async fn a_deletion_says_what_is_left_and_is_no_warning() {
    let metadata = json!({"deletionTimestamp": seconds_ago(10)});
    let leaving = lab(&metadata, &json!({}), &running());
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": "workspace-lab", "namespace": "team", "deletionTimestamp": seconds_ago(5)},
    }))
    .unwrap();
    let portal = Portal::start(|server| {
        server.put(&leaving);
        server.put(&claim);
        server.put(&pod("workspace-lab", "two", &[]));
    })
    .await;
    let page = portal.json("alice", "/w/team/lab").await;
    let [(tone, what)] = *findings(&page) else {
        panic!("{page:#}")
    };
    assert_eq!(tone, "wait");
    assert!(
        what.starts_with("Deleting for ")
            && what.ends_with("Still there: Pod workspace-lab, PersistentVolumeClaim workspace-lab."),
        "{what}"
    );
    assert_eq!(page["explanation"]["findings"][0]["remedies"], json!([]));
}

#[tokio::test]
async fn steps_of_a_restart_are_those_of_the_new_pod() {
    let starting = json!({
        "phase": "Starting", "observedGeneration": 1, "runID": "two", "startingSince": seconds_ago(20),
        "conditions": [condition("Progressing", "True", "Starting", "")],
    });
    let restarted = lab(&json!({}), &json!({}), &starting);
    let old = pod(
        "workspace-lab-old",
        "one",
        &["PodScheduled", "PodReadyToStartContainers", "Ready"],
    );
    let mut leaving = pod("workspace-lab-leaving", "two", &["PodScheduled", "Ready"]);
    leaving.metadata.deletion_timestamp = serde_json::from_value(json!(seconds_ago(10))).unwrap();
    let states = |page: &Value| -> Vec<String> {
        let steps = page["progress"]["steps"].as_array().unwrap().iter();
        steps
            .map(|step| step["state"].as_str().unwrap().to_owned())
            .take(2)
            .collect()
    };
    let without = page(&restarted, &[old.clone(), leaving.clone()]).await;
    assert_eq!(states(&without), ["now", "next"], "its pod is not there yet");
    assert_eq!(findings(&without), [], "a usual start needs no explanation");
    let new = pod("workspace-lab-new", "two", &["PodScheduled"]);
    let with = page(&restarted, &[old, leaving, new]).await;
    assert_eq!(states(&with), ["done", "now"]);
}

#[tokio::test]
async fn a_slow_pull_says_since_when_the_image_is_being_pulled() {
    let starting = json!({
        "phase": "Starting", "observedGeneration": 1, "runID": "two", "startingSince": seconds_ago(300),
        "conditions": [condition("Progressing", "True", "Starting", "")],
    });
    let since = seconds_ago(240);
    let pulling: Event = serde_json::from_value(json!({
        "metadata": {"name": "pulling", "namespace": "team"}, "reason": "Pulling", "firstTimestamp": since,
        "involvedObject": {"kind": "Pod", "name": "workspace-lab", "namespace": "team", "uid": "uid-of-workspace-lab", "fieldPath": "spec.containers{workspace}"},
    }))
    .unwrap();
    let portal = Portal::start(|server| {
        server.put(&lab(&json!({}), &json!({}), &starting));
        server.put(&pod("workspace-lab", "two", &["PodScheduled"]));
        server.put(&pulling);
    })
    .await;
    let page = portal.json("alice", "/w/team/lab").await;
    let steps = page["progress"]["steps"].as_array().unwrap();
    let shown = |step: &Value| (step["state"].clone(), step["since"]["exact"].clone());
    assert_eq!(
        steps[..4].iter().map(shown).collect::<Vec<_>>(),
        [
            (json!("done"), Value::Null),
            (json!("done"), Value::Null),
            (json!("now"), json!(since)),
            (json!("next"), Value::Null),
        ]
    );
    let html = portal.get("alice", "/w/team/lab").await.text;
    assert!(
        html.contains(&format!("since <time datetime=\"{since}\"")),
        "{html}"
    );
}

#[tokio::test]
async fn what_happened_is_told_in_sentences_and_a_usual_start_warns_of_nothing() {
    let told = [
        (
            "Normal",
            "Starting",
            "The workspace is being started.",
            "The workspace is being started.",
            "calm",
        ),
        (
            "Normal",
            "ExternalProvisioning",
            "waiting for a volume",
            "The disk is being made.",
            "calm",
        ),
        (
            "Warning",
            "Unhealthy",
            "Startup probe failed: EOF",
            "The application does not answer. While it starts, that is usual.",
            "calm",
        ),
        (
            "Warning",
            "Unhealthy",
            "Liveness probe failed: EOF",
            "The application no longer answers, so it is started again.",
            "warn",
        ),
        (
            "Warning",
            "PodLost",
            "The pod is gone.",
            "The pod is gone.",
            "warn",
        ),
        ("Warning", "OfAnother", "\u{9b}31m", "", "warn"),
    ];
    let portal = Portal::start(|server| {
        server.put(&lab(&json!({}), &json!({}), &json!({"phase": "Running"})));
        for (number, (type_, reason, message, ..)) in told.iter().enumerate() {
            let event: Event = serde_json::from_value(json!({
                "metadata": {"name": format!("e{number}"), "namespace": "team"}, "type": type_, "reason": reason, "message": message,
                "lastTimestamp": seconds_ago(60 + i64::try_from(number).unwrap()),
                "involvedObject": {"kind": "Pod", "name": "workspace-lab", "namespace": "team", "uid": "uid-of-workspace-lab"},
            }))
            .unwrap();
            server.put(&event);
        }
    })
    .await;
    let page = portal.json("alice", "/w/team/lab").await;
    let events = page["events"]["events"].as_array().unwrap().iter();
    let shown: Vec<_> = events
        .map(|event| {
            (
                event["reason"].as_str().unwrap(),
                event["sentence"].as_str().unwrap(),
                event["tone"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        told.map(|(_, reason, _, sentence, tone)| (reason, sentence, tone))
    );
}
