//! A form stores what its user did not touch byte for byte, and does not send what it does not show.

use api::Workspace;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::objects::workspace;

use crate::common::{ALICE, Portal, prepare};
use crate::forms::MEMORY;
use crate::typing::{Typed, field};

const EDIT: &str = "/w/team/lab/edit";
const YAML: &str = "/w/team/lab/yaml";

/// Values that a browser changes, in every kind of text control, and values without control.
fn spec() -> Value {
    json!({
        "displayName": " two\nlines ", "templateRef": "jupyterlab", "image": "r/jupyter:1\n",
        "resources": {"limits": {"memory": " 1Gi\r\n", "cpu": "1\n"}, "requests": {"memory": "512Mi "}},
        "shmSize": "64Mi\r", "port": 9000,
        "storage": {"size": "1Gi", "storageClassName": "fast\n", "mountPath": "/home/a\tb\n", "subPath": "é e\u{301}"},
        "env": [
            {"name": "KEY", "value": "a\nb"},
            {"name": "MORE", "value": "\n\r\n a\r \u{1}\u{b}\u{7f}\u{85}\u{2028}\u{feff}\u{0}<&amp;\"\n"},
            {"name": "LONG", "value": "line\n".repeat(3000)},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s\n", "key": " k", "optional": true}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "volumes": [{"name": "own", "persistentVolumeClaimName": "own ", "mountPath": "/own\n", "readOnly": true}],
        "variables": {"x": "a\nb", "y": " "},
        "nodeSelector": {"zone": "a\n"},
        "podAnnotations": {"note": "\r\n"},
    })
}

/// Values that the reader of texts accepts.
fn valid() -> Value {
    json!({
        "displayName": "lab", "templateRef": "jupyterlab", "variables": {"x": "a\nb"},
        "env": [
            {"name": "KEY", "value": "a\nb"},
            {"name": "ENDS", "value": "\n two \n"},
            {"name": "LETTERS", "value": "é e\u{301}\t"},
        ],
    })
}

async fn portal() -> Portal {
    portal_of(spec()).await
}

async fn portal_of(spec: Value) -> Portal {
    let portal = Portal::start(|server| {
        prepare(server);
        let mut lab = serde_json::to_value(workspace("lab")).unwrap();
        lab["spec"] = spec;
        lab["metadata"]["labels"] = json!({"tier": "gold"});
        server.put(&serde_json::from_value::<Workspace>(lab).unwrap());
    })
    .await;
    portal.grant(ALICE);
    portal
}

fn stored(portal: &Portal, name: &str) -> Value {
    let workspace: Workspace = portal.server.get(Some("team"), name).unwrap();
    serde_json::to_value(workspace.spec).unwrap()
}

/// The stored spec with another display name.
fn renamed(portal: &Portal, name: &str) -> Value {
    let mut spec = stored(portal, "lab");
    spec["displayName"] = json!(name);
    spec
}

/// What the patches of a user change, besides the version that they are for.
fn changes(portal: &Portal) -> Vec<Value> {
    let calls = portal.calls_as_users();
    let patches = calls.iter().filter(|call| call.method == Method::PATCH);
    let operations = patches.flat_map(|call| call.body.as_array().unwrap().clone());
    operations.filter(|it| it["op"] != "test").collect()
}

const RENAMED: &str = "/spec/displayName";

#[tokio::test]
async fn a_form_stores_only_what_its_user_touched() {
    let portal = portal().await;
    let expected = renamed(&portal, "Seminar");
    assert_eq!(expected["env"][0]["value"], "a\nb");
    let typed = Typed::from_page(&portal.json("alice", EDIT).await);
    assert_eq!(typed.get(MEMORY), Some(" 1Gi"), "as browsers do");
    portal.server.take_calls();
    let untouched = portal.sent("alice", EDIT, &typed).await;
    assert_eq!(untouched.status, StatusCode::SEE_OTHER, "{}", untouched.text);
    assert_eq!(changes(&portal), Vec::<Value>::new());
    let answer = portal
        .sent("alice", EDIT, &typed.with("spec.displayName", "Seminar"))
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let change = json!({"op": "replace", "path": RENAMED, "value": "Seminar"});
    assert_eq!(changes(&portal), [change]);
    assert_eq!(stored(&portal, "lab"), expected);
}

#[tokio::test]
async fn a_form_that_is_shown_again_stores_only_what_its_user_touched() {
    let portal = portal_of(valid()).await;
    let expected = renamed(&portal, "Mine");
    let typed = Typed::from_page(&portal.json("alice", EDIT).await).with("spec.displayName", "Mine");
    let text = portal.sent("alice", EDIT, &typed.by("view", "yaml")).await.json();
    let form = portal
        .sent("alice", YAML, &Typed::from_page(&text).by("view", "form"))
        .await
        .json();
    portal.server.take_calls();
    let done = portal.sent("alice", EDIT, &Typed::from_page(&form)).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    assert_eq!(changes(&portal).len(), 1);
    assert_eq!(stored(&portal, "lab"), expected);
}

#[tokio::test]
async fn a_text_stores_only_what_its_user_touched() {
    let portal = portal_of(valid()).await;
    let expected = renamed(&portal, "Seminar");
    let page = portal.json("alice", YAML).await;
    let text = page["text"].as_str().unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("  displayName:"))
        .unwrap();
    // As a form sends it.
    let text = text.replace(line, "  displayName: Seminar").replace('\n', "\r\n");
    portal.server.take_calls();
    let answer = portal
        .sent("alice", YAML, &Typed::from_page(&page).with("yaml", &text))
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    assert_eq!(changes(&portal).len(), 1);
    assert_eq!(stored(&portal, "lab"), expected);
}

#[tokio::test]
async fn what_a_form_does_not_show_is_not_sent() {
    let portal = portal().await;
    let page = portal.json("alice", EDIT).await;
    let typed = Typed::from_page(&page);
    for hidden in [
        "spec.nodeSelector",
        "spec.env",
        "spec.desiredStatus",
        "metadata.labels[tier]",
    ] {
        assert!(
            typed.controls().all(|(name, _)| !name.starts_with(hidden)),
            "{hidden}"
        );
    }
    // Shown without a control.
    assert_ne!(field(&page, "metadata.name")["fixed"], "");
    assert_eq!(typed.get("metadata.name"), None);
    portal.server.take_calls();
    let typed = typed.with("spec.accessType", "Public");
    let answer = portal.sent("alice", EDIT, &typed).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let change = json!({"op": "add", "path": "/spec/accessType", "value": "Public"});
    assert_eq!(changes(&portal), [change]);
}
