//! Changes of a workspace by form and by YAML: only what changed is sent, and nothing of others is lost.

use std::sync::Arc;

use api::Workspace;
use api::names::{LAST_UPDATED_BY, RESTARTED_AT};
use api::workspace::DesiredStatus;
use http::{Method, StatusCode};
use portal::cluster::Mode;
use serde_json::{Value, json};
use testkit::api_server::{ApiServer, Call, Disruption};
use testkit::objects::{template, workspace};

use crate::common::Portal;
use crate::typing::Typed;

const ALICE: &[(&str, &str, &str, &str)] = &[
    ("alice", "patch", "workspaces", "team"),
    ("bob", "list", "workspaces", "team"),
];
const EDIT: &str = "/w/team/lab/edit";
const YAML: &str = "/w/team/lab/yaml";
const MEMORY: &str = "spec.resources.limits.memory";

fn lab() -> Workspace {
    let mut lab = workspace("lab");
    lab.spec.template_ref = Some("jupyterlab".to_owned());
    lab.spec.app_type = Some("jupyterlab".to_owned());
    lab
}

async fn portal() -> Portal {
    let portal = Portal::start(|server: &ApiServer| {
        server.put(&template("jupyterlab"));
        server.put(&lab());
    })
    .await;
    portal.grant(ALICE);
    portal.judge_by(template("jupyterlab"));
    portal
}

fn stored(portal: &Portal) -> Workspace {
    portal.server.get(Some("team"), "lab").unwrap()
}

/// As the API server counts a change of the spec.
fn newer(object: &mut Value) {
    let generation = object["metadata"]["generation"].as_i64().unwrap();
    object["metadata"]["generation"] = json!(generation + 1);
}

fn change(portal: &Portal, path: &'static str, value: Value) {
    portal.server.edit::<Workspace>(Some("team"), "lab", |object| {
        *object.pointer_mut(path).unwrap() = value;
        newer(object);
    });
}

async fn opened(portal: &Portal) -> Typed {
    Typed::from_page(&portal.json("alice", EDIT).await)
}

#[tokio::test]
async fn a_newer_version_is_shown_beside_what_was_written_and_replaced_when_that_is_confirmed() {
    let portal = portal().await;
    let mine = opened(&portal).await.with("spec.displayName", "Mine");
    portal.server.edit::<Workspace>(Some("team"), "lab", |object| {
        object["spec"]["displayName"] = json!("Theirs");
        object["spec"]["image"] = json!("uv");
        object["spec"]["port"] = json!(9000);
        object["metadata"]["annotations"][LAST_UPDATED_BY] = json!("bob");
        newer(object);
    });
    let answer = portal.sent("alice", EDIT, &mine).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(
        stored(&portal).spec.display_name,
        "Theirs",
        "nothing is overwritten"
    );
    let page = answer.json();
    assert!(page["what"].as_str().unwrap().contains("bob"));
    let rows = json!([
        {"label": "Display name", "theirs": "Theirs", "yours": "Mine"},
        {"label": "Image", "theirs": "uv", "yours": ""},
    ]);
    assert_eq!(page["differences"], rows);
    let again: Vec<(String, String)> = serde_json::from_value(page["hidden"].clone()).unwrap();
    let body = serde_urlencoded::to_string(&again).unwrap();
    let done = portal.post("alice", page["to"].as_str().unwrap(), &body).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    let now = stored(&portal);
    assert_eq!((&*now.spec.display_name, now.spec.image), ("Mine", None));
    assert_eq!(now.spec.port, Some(9000), "the form has no field for it");
    // A third version since then is shown again.
    change(&portal, "/spec/displayName", json!("Third"));
    assert_eq!(
        portal.post("alice", EDIT, &body).await.status,
        StatusCode::CONFLICT
    );
}

#[tokio::test]
async fn a_status_is_no_newer_version_and_a_stop_stays() {
    let portal = portal().await;
    let status = |server: &ApiServer| {
        server.edit::<Workspace>(Some("team"), "lab", |object| {
            object["status"] =
                json!({"phase": object["status"]["phase"].as_str().map_or("Pending", |_| "Running")});
        });
    };
    let mine = opened(&portal).await.with("spec.displayName", "Mine");
    status(&portal.server);
    // Also between the read and the patch.
    portal.server.disrupt(
        Method::PATCH,
        "/workspaces/lab",
        Disruption::Meanwhile(Box::new(status)),
    );
    assert_eq!(
        portal.sent("alice", EDIT, &mine).await.status,
        StatusCode::SEE_OTHER
    );
    assert!(portal.server.unmet().is_empty());
    let stop = |server: &ApiServer| {
        server.edit::<Workspace>(Some("team"), "lab", |object| {
            object["spec"]["desiredStatus"] = json!("Stopped");
            object["metadata"]["annotations"][LAST_UPDATED_BY] = json!("operator");
            newer(object);
        });
    };
    let mine = opened(&portal).await.with("spec.displayName", "Again");
    stop(&portal.server);
    let answer = portal.sent("alice", EDIT, &mine).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    // Between the read and the patch it refuses the patch: the page has what was typed, to send it again.
    change(&portal, "/spec/desiredStatus", json!("Running"));
    let mine = opened(&portal).await.with("spec.displayName", "Late");
    let meanwhile = Disruption::Meanwhile(Box::new(stop));
    portal.server.disrupt(Method::PATCH, "/workspaces/lab", meanwhile);
    let answer = portal.sent("alice", EDIT, &mine).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
    assert!(portal.server.unmet().is_empty());
    assert!(
        answer.text.contains("was started or stopped meanwhile"),
        "{}",
        answer.text
    );
    let again = Typed::from_page(&answer.json());
    assert_eq!(again.get("spec.displayName"), Some("Late"));
    let answer = portal.sent("alice", EDIT, &again).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let now = stored(&portal);
    assert_eq!(
        (&*now.spec.display_name, now.spec.desired_status),
        ("Late", DesiredStatus::Stopped)
    );
}

#[tokio::test]
async fn a_label_that_another_user_changed_is_a_newer_version() {
    let portal = portal().await;
    let label = |value: &'static str| {
        portal.server.edit::<Workspace>(Some("team"), "lab", |object| {
            object["metadata"]["labels"] = json!({"course": value});
        });
    };
    label("first");
    while !portal.get("alice", YAML).await.text.contains("course: first") {
        tokio::task::yield_now().await;
    }
    let form = opened(&portal).await.with("spec.displayName", "Mine");
    let page = portal.json("alice", YAML).await;
    let text = page["text"].as_str().unwrap();
    let text = text.replace("displayName: lab", "displayName: Mine");
    let text = Typed::from_page(&page).with("yaml", &text);
    label("theirs");
    for (path, typed, rows) in [(EDIT, form, 1), (YAML, text, 2)] {
        let answer = portal.sent("alice", path, &typed).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{path}");
        let differences = answer.json()["differences"].clone();
        assert_eq!(differences.as_array().unwrap().len(), rows, "{differences:#}");
        let now = stored(&portal);
        assert_eq!(
            (&*now.spec.display_name, &*now.metadata.labels.unwrap()["course"]),
            ("lab", "theirs")
        );
    }
}

#[tokio::test]
async fn a_form_that_is_sent_twice_is_done_once() {
    let portal = portal().await;
    let typed = opened(&portal).await.with("spec.displayName", "Mine");
    for is_first in [true, false] {
        portal.server.take_calls();
        let answer = portal.sent("alice", EDIT, &typed).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        assert_eq!(answer.location(), "/w/team/lab?done=edit");
        let calls = portal.calls_as_users();
        assert_eq!(calls.iter().any(Call::is_write), is_first);
    }
}

#[tokio::test]
async fn a_newer_version_between_read_and_patch_is_shown_too() {
    let portal = portal().await;
    let mine = opened(&portal).await.with("spec.displayName", "Mine");
    portal.server.disrupt(
        Method::PATCH,
        "/workspaces/lab",
        Disruption::Meanwhile(Box::new(|server| {
            server.edit::<Workspace>(Some("team"), "lab", |object| {
                object["spec"]["displayName"] = json!("Theirs");
                newer(object);
            });
        })),
    );
    assert_eq!(
        portal.sent("alice", EDIT, &mine).await.status,
        StatusCode::CONFLICT
    );
    assert_eq!(stored(&portal).spec.display_name, "Theirs");
}

#[tokio::test]
async fn save_and_restart_or_start_is_one_patch() {
    let portal = portal().await;
    let page = portal.json("alice", EDIT).await;
    let labels = |page: &Value| -> Vec<String> {
        let buttons: Vec<(String, String, String)> =
            serde_json::from_value(page["form"]["buttons"].clone()).unwrap();
        buttons.into_iter().map(|(_, _, label)| label).collect()
    };
    assert_eq!(labels(&page), ["Save", "Save and restart"]);
    portal.server.take_calls();
    let typed = Typed::from_page(&page).with(MEMORY, "1Gi").by("do", "restart");
    assert_eq!(
        portal.sent("alice", EDIT, &typed).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(
        portal
            .calls_as_users()
            .iter()
            .filter(|call| call.is_write())
            .count(),
        1
    );
    let restarted = stored(&portal);
    assert!(restarted.metadata.annotations.unwrap().contains_key(RESTARTED_AT));
    assert_eq!(restarted.spec.resources.unwrap().limits["memory"].0, "1Gi");
    change(&portal, "/spec/desiredStatus", json!("Stopped"));
    while portal.json("alice", EDIT).await["form"]["buttons"][1][2] != "Save and start" {
        tokio::task::yield_now().await;
    }
    let typed = opened(&portal).await.by("do", "start");
    assert_eq!(
        portal.sent("alice", EDIT, &typed).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(stored(&portal).spec.desired_status, DesiredStatus::Running);
    let wrong = opened(&portal).await.by("do", "explode");
    assert_eq!(
        portal.sent("alice", EDIT, &wrong).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_changed_field_says_when_it_counts_and_a_refused_one_why() {
    let portal = portal().await;
    portal.server.edit::<Workspace>(Some("team"), "lab", |object| {
        object["status"] = json!({"startedAt": "2026-01-01T00:00:00Z", "phase": "Running"});
    });
    while portal.json("alice", "/w/team/lab").await["head"]["state"]["word"] != "Running" {
        tokio::task::yield_now().await;
    }
    let typed = opened(&portal)
        .await
        .with(MEMORY, "4Gi")
        .with("spec.displayName", "Mine");
    let parts = portal
        .sent("alice", "/w/team/lab/edit/check", &typed)
        .await
        .json();
    let part = |name: &str| {
        let fields = parts["fields"].as_array().unwrap();
        fields.iter().find(|field| field["name"] == name).unwrap().clone()
    };
    assert_eq!(part(MEMORY)["takes_effect"], "at the next start");
    assert!(part(MEMORY)["errors"][0].as_str().unwrap().contains("2Gi"));
    assert_eq!(
        part("spec.displayName")["takes_effect"],
        "at once, without a restart"
    );
    assert_eq!(part("spec.image")["takes_effect"], "", "it is not changed");
    assert!(!part("metadata.name")["fixed"].as_str().unwrap().is_empty());
    assert_eq!(stored(&portal).spec.display_name, "lab", "a check stores nothing");
}

#[tokio::test]
async fn a_change_by_yaml_keeps_what_the_text_does_not_show() {
    let portal = portal().await;
    let page = portal.json("alice", YAML).await;
    let text = page["text"].as_str().unwrap().to_owned();
    assert!(
        text.contains("appType: jupyterlab") && !text.contains("created-by"),
        "{text}"
    );
    let changed = text.replace("appType: jupyterlab", "appType: code-editor");
    let answer = portal
        .sent("alice", YAML, &Typed::from_page(&page).with("yaml", &changed))
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let after = stored(&portal);
    assert_eq!(after.spec.app_type.as_deref(), Some("code-editor"));
    assert_eq!(api::names::owner(&after.metadata), Some("alice"));
    assert_eq!(after.metadata.finalizers, lab().metadata.finalizers);
    // Another name is a finding with its line.
    let page = portal.json("alice", YAML).await;
    let renamed = page["text"].as_str().unwrap().replace("name: lab", "name: other");
    let answer = portal
        .sent("alice", YAML, &Typed::from_page(&page).with("yaml", &renamed))
        .await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let mark = &answer.json()["marks"]["marks"][0];
    assert_eq!(
        (&mark["path"], &mark["line"]),
        (&json!("metadata.name"), &json!(4))
    );
}

#[tokio::test]
async fn who_may_not_change_it_sees_why_and_the_text() {
    let portal = portal().await;
    assert_eq!(portal.get("bob", EDIT).await.status, StatusCode::FORBIDDEN);
    let yaml = portal.json("bob", YAML).await;
    assert_eq!(yaml["to"], "");
    assert!(yaml["text"].as_str().unwrap().contains("name: lab"));
    for path in [EDIT, YAML, "/w/team/nothing/edit", "/w/%3Cb%3E/lab/yaml"] {
        let page = portal.get("eve", path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert!(!page.text.contains("<b>/"), "{}", page.text);
        assert_eq!(
            portal.post("eve", EDIT, "uid=uid-of-lab").await.status,
            StatusCode::NOT_FOUND
        );
    }
}

#[tokio::test]
async fn a_form_whose_own_fields_were_changed_is_refused() {
    let portal = portal().await;
    let typed = opened(&portal).await;
    let mine = typed.clone().with("spec.displayName", "Mine");
    for seen in ["", "x"] {
        let answer = portal.sent("alice", EDIT, &mine.clone().with("seen", seen)).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{seen}");
    }
    let answer = portal
        .sent("alice", EDIT, &typed.by("spec.hostNetwork", "true"))
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn where_nothing_can_be_changed_the_form_shows_the_command() {
    let portal = portal().await;
    portal
        .mode
        .store(Arc::new(Mode::ReadOnly("no impersonation".to_owned())));
    let page = portal.json("alice", EDIT).await;
    assert_eq!(page["form"]["command"], "kubectl edit workspace lab -n team");
    portal.server.take_calls();
    let typed = Typed::from_page(&page).with("spec.displayName", "Alice's");
    let page = portal.sent("alice", EDIT, &typed).await.json();
    assert_eq!(
        page["form"]["command"],
        r#"kubectl patch workspace lab -n team --type=json -p '[{"op":"replace","path":"/spec/displayName","value":"Alice'\''s"}]'"#
    );
    assert!(portal.calls_as_users().is_empty());
}
