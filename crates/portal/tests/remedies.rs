//! Buttons of an explanation: present for those who may, absent for others, and doing what they say.

use std::sync::Arc;

use api::condition::reason;
use api::names::{CREATED_BY, WORKSPACE_LABEL};
use api::{Workspace, WorkspaceShare};
use http::StatusCode;
use portal::cluster::Mode;
use serde_json::{Value, json};
use testkit::api_server::ApiServer;
use testkit::objects::workspace;

use crate::common::Portal;

/// Alice owns the workspaces and may do everything there; Bob may see them.
const RIGHTS: &[(&str, &str, &str, &str)] = &[
    ("alice", "create", "workspaces", "team"),
    ("alice", "patch", "workspaces", "team"),
    ("alice", "delete", "workspaces", "team"),
    ("alice", "get", "pods/log", "team"),
    ("alice", "create", "workspaceshares", "team"),
    ("alice", "patch", "workspaceshares", "team"),
    ("bob", "list", "workspaces", "team"),
];

/// The workspace with this condition.
fn degraded(reason: &str, message: &str) -> Workspace {
    let mut object = serde_json::to_value(workspace("lab")).unwrap();
    object["spec"]["env"] = json!([
        {"name": "A", "value": "1"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "k"}}},
    ]);
    object["status"] = json!({
        "phase": "Failed", "observedGeneration": 1, "reason": reason, "message": message,
        "conditions": [{
            "type": "Degraded", "status": "True", "reason": reason, "message": message, "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
    });
    serde_json::from_value(object).unwrap()
}

async fn portal(lab: &Workspace, prepare: impl FnOnce(&ApiServer)) -> Portal {
    let portal = Portal::start(|server| {
        server.put(lab);
        prepare(server);
    })
    .await;
    portal.grant(RIGHTS);
    portal
}

/// The remedies of the page's first finding.
async fn remedies(portal: &Portal, user: &str) -> Vec<Value> {
    let page = portal.json(user, "/w/team/lab").await;
    let remedies = page["explanation"]["findings"][0]["remedies"].as_array();
    remedies.unwrap_or_else(|| panic!("{page:#}")).clone()
}

/// Label and address of each button.
fn buttons(remedies: &[Value]) -> Vec<(String, String)> {
    let actions = remedies
        .iter()
        .flat_map(|remedy| remedy["actions"].as_array().unwrap());
    actions
        .map(|action| {
            let way = action["way"].as_object().unwrap();
            let (_, way) = way.iter().next().unwrap();
            let to = way.get("to").or_else(|| way.get("command")).unwrap();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&action["label"]), text(to))
        })
        .collect()
}

fn pair(label: &str, to: &str) -> (String, String) {
    (label.to_owned(), to.to_owned())
}

#[tokio::test]
async fn a_field_is_a_link_to_its_control_for_those_who_may_change_it_alone() {
    let lab = degraded(reason::IMAGE_PULL_FAILED, "The image x cannot be pulled.");
    let portal = portal(&lab, |_| ()).await;
    let own = remedies(&portal, "alice").await;
    assert_eq!(
        buttons(&own),
        [pair("Change Image…", "/w/team/lab/edit#f-spec.image")]
    );
    assert_eq!(own[0]["who"], "You");
    let form = portal.get("alice", "/w/team/lab/edit").await;
    assert!(form.text.contains("id=\"f-spec.image\""), "{}", form.text);
    let page = portal.get("alice", "/w/team/lab").await;
    assert!(
        page.text.contains("href=\"/w/team/lab/edit#f-spec.image\""),
        "{}",
        page.text
    );
    let others = remedies(&portal, "bob").await;
    assert_eq!(buttons(&others), []);
    assert_eq!(others[0]["who"], "Its owner, or who may administer it");
    assert_eq!(others[0]["what"], own[0]["what"]);
}

#[tokio::test]
async fn a_field_inside_of_a_list_is_a_link_to_its_line_of_the_yaml() {
    let lab = degraded(
        reason::SECRET_NOT_FOUND,
        "The Secret \"token\" does not exist in namespace team.",
    );
    let portal = portal(&lab, |_| ()).await;
    let found = buttons(&remedies(&portal, "alice").await);
    let [(label, to)] = &*found else {
        panic!("{found:?}")
    };
    assert_eq!(label, "Change spec.env[1].valueFrom.secretKeyRef.name…");
    let (address, fragment) = to.split_once('#').unwrap();
    assert_eq!(fragment, "yaml");
    let page = portal.json("alice", address).await;
    let mark = &page["marks"]["marks"][0];
    assert_eq!(mark["path"], "spec.env[1].valueFrom.secretKeyRef.name");
    let line = usize::try_from(mark["line"].as_u64().unwrap()).unwrap();
    let text = page["text"].as_str().unwrap();
    assert!(
        text.lines().nth(line - 1).unwrap().contains("name: token"),
        "{text}"
    );
}

#[tokio::test]
async fn a_link_marks_no_other_text_than_a_field() {
    let portal = portal(&degraded(reason::OOM_KILLED, "m"), |_| ()).await;
    let page = portal.get("alice", "/w/team/lab/yaml?field=Pay%20here").await;
    assert!(!page.text.contains("Pay here"), "{}", page.text);
    let page = portal.get("alice", "/w/team/lab/yaml?field=spec.%3Cb%3Ex").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.text.contains("<b>x"), "{}", page.text);
    for of_a_stranger in [
        "spec.Your%20session%20ends:%20sign%20in%20at%20evil.example",
        "spec.env[0].sign-in-at-evil.example",
        "spec.image.evil.example",
    ] {
        let page = portal
            .get("alice", &format!("/w/team/lab/yaml?field={of_a_stranger}"))
            .await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(!page.text.contains("evil.example"), "{}", page.text);
        assert!(!page.text.contains("Change this field"), "{}", page.text);
    }
    // A field of the form that the text does not have, and one of the text.
    for field in [
        "spec.resources.limits.memory",
        "spec.env[1].valueFrom.secretKeyRef.name",
    ] {
        let page = portal
            .json("alice", &format!("/w/team/lab/yaml?field={field}"))
            .await;
        assert_eq!(page["marks"]["marks"][0]["path"], field, "{page:#}");
    }
    let twice = portal
        .get("alice", "/w/team/lab/yaml?field=spec.image&field=spec.env")
        .await;
    assert_eq!(twice.status, StatusCode::BAD_REQUEST);
    assert!(twice.text.contains("href=\"/w/team/lab/yaml\""), "{}", twice.text);
}

#[tokio::test]
async fn a_full_quota_is_freed_by_a_stop_of_ones_own_running_workspaces() {
    let message = "exceeded quota: q, requested: limits.memory=4Gi, used: limits.memory=4Gi, limited: limits.memory=4Gi";
    let other = |name: &str, owner: &str, desired: &str| -> Workspace {
        let mut object = serde_json::to_value(workspace(name)).unwrap();
        object["metadata"]["annotations"][CREATED_BY] = json!(owner);
        object["spec"]["desiredStatus"] = json!(desired);
        serde_json::from_value(object).unwrap()
    };
    let portal = portal(&degraded(reason::QUOTA_EXCEEDED, message), |server| {
        server.put(&other("mine", "alice", "Running"));
        server.put(&other("stopped", "alice", "Stopped"));
        server.put(&other("of-carol", "carol", "Running"));
    })
    .await;
    let found = buttons(&remedies(&portal, "alice").await);
    assert_eq!(
        found,
        [
            pair(
                "Change Memory…",
                "/w/team/lab/edit#f-spec.resources.limits.memory"
            ),
            pair("Stop mine", "/w/team/mine/stop"),
        ]
    );
    let question = portal.get("alice", "/w/team/mine/stop").await;
    assert!(question.text.contains("Stop mine?"), "{}", question.text);
    let answer = portal.post("alice", "/w/team/mine/stop", "uid=uid-of-mine").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let stopped: Workspace = portal.server.get(Some("team"), "mine").unwrap();
    assert_eq!(format!("{:?}", stopped.spec.desired_status), "Stopped");
    assert_eq!(buttons(&remedies(&portal, "bob").await), []);
}

/// Each button of each reason leads to a page that is there, at a control that is there.
#[tokio::test]
async fn every_button_of_every_reason_leads_somewhere() {
    let message = "spec.image: wrong. The Secret \"token\" is missing. Insufficient memory";
    let mut seen = 0;
    for known in reason::ALL {
        let portal = portal(&degraded(known.name, message), |_| ()).await;
        let page = portal.json("alice", "/w/team/lab").await;
        let findings = page["explanation"]["findings"].as_array().unwrap();
        let remedies: Vec<_> = findings
            .iter()
            .flat_map(|finding| finding["remedies"].as_array().unwrap().clone())
            .collect();
        for (label, to) in buttons(&remedies) {
            let (address, fragment) = to.split_once('#').unwrap_or((&*to, ""));
            let page = portal.get("alice", address).await;
            assert_eq!(page.status, StatusCode::OK, "{}: {label}: {to}", known.name);
            let id = format!("id=\"{fragment}\"");
            assert!(
                fragment.is_empty() || page.text.contains(&id),
                "{}: {label}: {to}",
                known.name
            );
            seen += 1;
        }
    }
    assert!(seen >= 30, "{seen} buttons");
}

#[tokio::test]
async fn where_nothing_can_be_changed_a_button_is_its_command() {
    let portal = portal(&degraded(reason::IMAGE_PULL_FAILED, "m"), |_| ()).await;
    let why = "No constrained impersonation here.".to_owned();
    portal.mode.store(Arc::new(Mode::ReadOnly(why)));
    assert_eq!(
        buttons(&remedies(&portal, "alice").await),
        [pair(
            "Change Image…",
            "kubectl workspace set lab -n team --image IMAGE"
        )]
    );
}

#[tokio::test]
async fn what_an_administrator_can_do_is_a_text_to_send() {
    let portal = portal(
        &degraded(reason::NODE_LOST, "The node n1 does not answer."),
        |_| (),
    )
    .await;
    let remedy = remedies(&portal, "alice").await[0].clone();
    assert_eq!(remedy["who"], "An administrator");
    let text = remedy["send"].as_str().unwrap();
    assert!(
        text.starts_with("Workspace lab in namespace team: The node n1 does not answer."),
        "{text}"
    );
}

#[tokio::test]
async fn an_ended_share_can_be_prolonged_by_those_who_may() {
    let mut lab = serde_json::to_value(workspace("lab")).unwrap();
    lab["metadata"]["labels"] = json!({WORKSPACE_LABEL: "lab"});
    let share: WorkspaceShare = serde_json::from_value(json!({
        "metadata": {"name": "week", "namespace": "team", "uid": "u", "annotations": {CREATED_BY: "alice"}},
        "spec": {
            "workspaceRef": "lab", "workspaceUID": "uid-of-lab", "subjects": [{"kind": "User", "name": "bob"}],
            "expiresAt": "2020-01-01T00:00:00Z",
        },
    }))
    .unwrap();
    let portal = portal(&serde_json::from_value(lab).unwrap(), |server| server.put(&share)).await;
    let address = "/w/team/lab/share/week/until";
    let of = async |user: &str| {
        let page = portal.json(user, "/w/team/lab").await;
        let rules = page["access"]["rules"].as_array().unwrap().clone();
        let rule = rules.into_iter().find(|rule| rule["rule"] == "Share").unwrap();
        rule["action"]["way"]["link"]["to"].clone()
    };
    assert_eq!(of("alice").await, address);
    assert_eq!(of("bob").await, Value::Null);
    let form = portal.get("alice", address).await;
    assert_eq!(form.status, StatusCode::OK, "{}", form.text);
}

#[tokio::test]
async fn a_copy_is_offered_to_users_who_may_create_workspaces_there() {
    let portal = portal(&workspace("lab"), |_| {}).await;
    for (user, may) in [("alice", true), ("bob", false)] {
        let page = portal.json(user, "/w/team/lab").await;
        let more = page["head"]["more"].to_string();
        assert_eq!(more.contains("/new?from=team/lab"), may, "{user}: {more}");
    }
}
