//! How much of a disk is used, on the page of its workspace.

use api::Workspace;
use serde_json::{Value, json};
use testkit::objects::{template, workspace};

use crate::common::{ALICE, Portal};

/// The page of a running workspace whose disk is like this.
async fn page(disk: Value) -> Value {
    let mut lab = json!(workspace("lab"));
    lab["spec"]["templateRef"] = json!("t");
    lab["status"] = json!({
        "phase": "Running", "observedGeneration": 1, "runID": "one", "disk": disk,
        "resolved": {"storage": {"mountPath": "/home/jovyan", "size": "10Gi"}},
        "conditions": [{
            "type": "Available", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
    });
    let lab: Workspace = serde_json::from_value(lab).unwrap();
    let portal = Portal::start(|server| {
        server.put(&template("t"));
        server.put(&lab);
    })
    .await;
    portal.grant(ALICE);
    portal.json("alice", "/w/team/lab").await
}

fn disk(percent: i32, full: bool) -> Value {
    json!({"claimUID": "c", "size": "10Gi", "usedPercent": percent, "usedPercentOf": "Bytes", "full": full})
}

/// Text of the fact about the use.
fn used(page: &Value) -> Option<&str> {
    let mut facts = page["facts"]["disk"].as_array().unwrap().iter();
    facts.find(|fact| fact["label"] == "Used")?["text"].as_str()
}

fn buttons(page: &Value) -> Vec<&str> {
    let remedies = page["explanation"]["findings"][0]["remedies"].as_array().unwrap();
    let actions = remedies
        .iter()
        .flat_map(|remedy| remedy["actions"].as_array().unwrap());
    actions.map(|action| action["label"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_is_named_with_buttons_for_what_helps() {
    let nearly = page(disk(90, false)).await;
    let finding = &nearly["explanation"]["findings"][0];
    assert_eq!(
        finding["what"],
        "At least 90 % of the space on its disk workspace-lab (10Gi) is used."
    );
    assert_eq!(finding["tone"], "warn", "{finding:#}");
    assert_eq!(used(&nearly), Some("at least 90 % of the space"));
    assert_eq!(buttons(&nearly), ["Change Home disk…"]);
    let full = page(disk(100, true)).await;
    assert_eq!(buttons(&full), ["Change Home disk…", "Start in recovery"]);
}

#[tokio::test]
async fn further_disks_and_objects_are_shown_with_their_states() {
    let mut lab = json!(workspace("lab"));
    lab["status"] = json!({
        "phase": "Running", "observedGeneration": 1, "resolved": {"storage": {"mountPath": "/home/jovyan", "size": "10Gi"}},
        "claims": [{"name": "db", "claim": "wsc-db-lab", "phase": "Bound"}],
    });
    lab["spec"]["templateRef"] = json!("monitored");
    lab["status"]["podName"] = json!("workspace-lab");
    let lab: Workspace = serde_json::from_value(lab).unwrap();
    let mut monitored = template("monitored");
    monitored.spec.objects = serde_json::from_value(json!([
        {"name": "metrics", "manifest": {"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor"}},
    ]))
    .unwrap();
    let portal = Portal::start(|server| {
        server.put(&lab);
        server.put(&monitored);
    })
    .await;
    portal.grant(ALICE);
    let page = portal.json("alice", "/w/team/lab").await;
    let mut values = page["facts"]["values"].as_array().unwrap().iter();
    let object = values.find(|value| value["label"] == "Object metrics").unwrap();
    assert_eq!(object["effective"], "PodMonitor wso-metrics-lab, made");
    assert_eq!(object["from"], "Template monitored");
    let mut facts = page["facts"]["disk"].as_array().unwrap().iter();
    let disk = facts.find(|fact| fact["label"] == "Disk db").unwrap();
    assert_eq!(disk["text"], "wsc-db-lab, Bound");
}

#[tokio::test]
async fn a_disk_with_room_has_its_figure_and_one_that_nothing_is_known_of_none() {
    let half = page(disk(85, false)).await;
    assert_eq!(half["explanation"]["findings"], json!([]));
    assert_eq!(used(&half), Some("at least 85 % of the space"));
    let unknown = page(json!({"claimUID": "c", "size": "10Gi"})).await;
    assert_eq!(unknown["explanation"]["findings"], json!([]));
    assert_eq!(used(&unknown), None);
}
