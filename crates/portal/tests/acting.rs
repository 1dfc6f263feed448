//! The portal sends each change once, as the user, and shows a refusal in the API server's words.

use std::sync::Arc;

use api::Workspace;
use api::names::RESTARTED_AT;
use http::{Method, StatusCode};
use k8s_openapi::api::core::v1::Event;
use portal::cluster::Mode;
use serde_json::{Value, json};
use testkit::api_server::Fault;
use testkit::api_server::{ApiServer, Call};
use testkit::objects::workspace;

use crate::common::Portal;

const ALICE: &[(&str, &str, &str, &str)] = &[
    ("alice", "patch", "workspaces", "team"),
    ("alice", "delete", "workspaces", "team"),
];

async fn portal() -> Portal {
    portal_with(Value::Null).await
}

/// With this status of `lab`.
async fn portal_with(mut status: Value) -> Portal {
    let mut lab = workspace("lab");
    if !status.is_null() {
        status["phase"] = json!("Running");
        lab.status = serde_json::from_value(status).unwrap();
    }
    let portal = Portal::start(|server: &ApiServer| server.put(&lab)).await;
    portal.grant(ALICE);
    portal
}

/// A disk of its own in the status.
fn disk() -> Value {
    json!({"claimUID": "c", "size": "1Gi"})
}

fn desired(portal: &Portal) -> String {
    let workspace: Workspace = portal.server.get(Some("team"), "lab").unwrap();
    format!("{:?}", workspace.spec.desired_status)
}

#[tokio::test]
async fn a_stop_and_a_start_are_one_patch_each_as_the_user() {
    let portal = portal().await;
    for (action, after) in [("stop", "Stopped"), ("start", "Running")] {
        let answer = portal
            .post("alice", &format!("/w/team/lab/{action}"), "uid=uid-of-lab")
            .await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        assert_eq!(answer.location(), format!("/w/team/lab?done={action}"));
        assert_eq!(desired(&portal), after);
        let calls = portal.calls_as_users();
        let lines: Vec<_> = calls.iter().map(|call| call.method.clone()).collect();
        assert_eq!(lines, [Method::GET, Method::PATCH]);
        assert!(calls.iter().all(|call| call.as_user.as_deref() == Some("alice")));
        assert!(calls[1].body["metadata"]["resourceVersion"].is_string());
        assert_eq!(calls[1].manager(), Some("jupyter-k8s-portal"));
        let page = portal.get("alice", answer.location()).await;
        portal.server.take_calls();
        assert!(page.text.contains(if action == "stop" {
            "being stopped"
        } else {
            "being started"
        }));
    }
}

#[tokio::test]
async fn a_reload_after_a_change_does_not_repeat_it() {
    for (action, form) in [
        ("stop", "uid=uid-of-lab"),
        ("start", "uid=uid-of-lab"),
        ("restart", "uid=uid-of-lab"),
        ("share", "uid=uid-of-lab&kind=User&name=bob&until=8h"),
        ("delete", "uid=uid-of-lab&name=lab"),
    ] {
        let portal = portal().await;
        let path = format!("/w/team/lab/{action}");
        let answer = portal.post("alice", &path, form).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{action}: {}", answer.text);
        portal.server.take_calls();
        for _ in 0..2 {
            let page = portal.get("alice", answer.location()).await;
            assert_eq!(page.status, StatusCode::OK, "{action}: {}", page.text);
        }
        let calls = portal.calls_as_users();
        assert!(
            calls.iter().all(|call| call.method == Method::GET),
            "{action}: {calls:#?}"
        );
    }
}

#[tokio::test]
async fn groups_are_sent_one_by_one() {
    let portal = portal().await;
    let page = portal.get("alice|oidc:ml,oidc:Zo~ team", "/w/team/lab").await;
    assert_eq!(page.status, 200);
    let calls = portal.calls_as_users();
    assert!(!calls.is_empty());
    for call in calls {
        assert_eq!(call.as_groups, ["oidc:ml", "oidc:Zoë team"], "{}", call.line());
    }
}

#[tokio::test]
async fn a_restart_is_a_new_time_in_the_annotation() {
    let portal = portal().await;
    let answer = portal
        .post("alice", "/w/team/lab/restart", "uid=uid-of-lab")
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let workspace: Workspace = portal.server.get(Some("team"), "lab").unwrap();
    assert!(workspace.metadata.annotations.unwrap().contains_key(RESTARTED_AT));
}

#[tokio::test]
async fn a_deletion_that_loses_files_needs_the_name() {
    let portal = portal_with(json!({"disk": disk()})).await;
    let question = portal.get("alice", "/w/team/lab/delete").await;
    assert!(
        question.text.contains("all files on it are deleted"),
        "{}",
        question.text
    );
    let wrong = portal
        .post("alice", "/w/team/lab/delete", "uid=uid-of-lab&name=Lab")
        .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("is not the name"));
    assert!(portal.calls_as_users().is_empty());
    let right = portal
        .post("alice", "/w/team/lab/delete", "uid=uid-of-lab&name=lab")
        .await;
    assert_eq!(right.status, StatusCode::SEE_OTHER, "{}", right.text);
    assert_eq!(right.location(), "/?deleted=team/lab");
    let calls = portal.calls_as_users();
    let [delete] = &*calls else {
        panic!("a deletion reads nothing, like kubectl's: {calls:#?}")
    };
    assert_eq!(delete.method, Method::DELETE);
    assert_eq!(delete.body["preconditions"], json!({"uid": "uid-of-lab"}));
}

#[tokio::test]
async fn a_deletion_that_loses_a_further_disk_needs_the_name_and_names_the_disk() {
    for (retain, is_lost) in [("Delete", true), ("Retain", false)] {
        let claim = json!({"name": "db", "claim": "wsc-db-lab", "phase": "Bound", "retain": retain});
        let home = json!({"storage": {"mountPath": "/home", "retain": "Retain"}});
        let portal = portal_with(json!({"disk": disk(), "resolved": home, "claims": [claim]})).await;
        let question = portal.json("alice", "/w/team/lab/delete").await;
        let text = question["text"][0].as_str().unwrap();
        assert!(text.contains("its disk workspace-lab is kept"), "{text}");
        let end = if is_lost {
            "its further disk wsc-db-lab and all files on it are deleted"
        } else {
            "its further disk wsc-db-lab is kept"
        };
        assert!(text.ends_with(end), "{text}");
        let effects = question["consequences"].as_array().unwrap();
        let disk = effects.iter().find(|it| it["what"] == "Disk wsc-db-lab").unwrap();
        let effect = if is_lost { "deleted with all files" } else { "kept" };
        assert_eq!(
            (&disk["effect"], &disk["lost"]),
            (&json!(effect), &json!(is_lost))
        );
        let unnamed = portal.post("alice", "/w/team/lab/delete", "uid=uid-of-lab").await;
        let expected = if is_lost {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::SEE_OTHER
        };
        assert_eq!(unnamed.status, expected, "{}", unnamed.text);
    }
}

#[tokio::test]
async fn a_claim_that_a_user_deleted_is_named_beside_the_home_that_a_deletion_deletes() {
    let claim = json!({"name": "db", "claim": "wsc-db-lab", "phase": "Bound", "retain": "Retain"});
    for terminating in [json!(["wsc-db-lab"]), json!([])] {
        let is_lost = terminating != json!([]);
        let status = json!({"disk": disk(), "claims": [claim], "terminatingClaims": terminating});
        let portal = portal_with(status).await;
        let question = portal.json("alice", "/w/team/lab/delete").await;
        let text = question["text"][0].as_str().unwrap();
        assert!(
            text.contains("its disk workspace-lab and all files on it are deleted"),
            "{text}"
        );
        let named = "files are deleted with the PersistentVolumeClaim wsc-db-lab, which a user deleted";
        assert_eq!(text.contains(named), is_lost, "{text}");
        let effects = question["consequences"].as_array().unwrap();
        for (disk, is_lost) in [("Disk workspace-lab", true), ("Disk wsc-db-lab", is_lost)] {
            let found: Vec<_> = effects.iter().filter(|it| it["what"] == disk).collect();
            assert_eq!(found.len(), 1, "{disk}: {effects:?}");
            assert_eq!(found[0]["lost"], json!(is_lost), "{disk}");
        }
    }
}

#[tokio::test]
async fn after_a_deletion_the_list_says_so_and_its_links_do_not() {
    let portal = portal().await;
    portal.server.edit::<Workspace>(Some("team"), "lab", |object| {
        object["spec"]["storage"] = json!({"claimName": "own"});
    });
    let right = portal
        .post("alice", "/w/team/lab/delete", "uid=uid-of-lab&name=lab")
        .await;
    let list = portal.get("alice", right.location()).await;
    assert_eq!(list.status, StatusCode::OK);
    let says = [
        "lab in namespace team is being deleted.",
        "There is no lab in namespace team any more.",
    ];
    assert!(says.iter().any(|text| list.text.contains(text)), "{}", list.text);
    let links = list.text.matches("deleted=").count();
    assert_eq!(
        links,
        list.text.matches("<a href=\"/?deleted=team/lab\">Reload").count(),
        "{}",
        list.text
    );
}

#[tokio::test]
async fn a_link_says_nothing_that_is_not_so() {
    let portal = portal().await;
    for (address, text) in [
        ("/w/team/lab?done=stop", "being stopped"),
        ("/w/team/lab?done=restart", "being restarted"),
        ("/?deleted=team/lab", "lab in namespace"),
        ("/?deleted=team/Pay%20here", "Pay here"),
    ] {
        let page = portal.get("alice", address).await;
        assert_eq!(page.status, StatusCode::OK, "{address}");
        assert!(!page.text.contains(text), "{address}: {}", page.text);
    }
}

#[tokio::test]
async fn a_stop_that_deletes_files_is_asked_about_as_a_deletion_and_its_page_says_so() {
    for (status, text, deletes) in [
        (
            json!({"resolved": {"storage": {"mountPath": "/home", "ephemeral": true}}}),
            "the files in its home are deleted, because the home has no disk",
            true,
        ),
        (
            json!({"disk": disk(), "terminatingClaims": ["workspace-lab"]}),
            "files are deleted with the PersistentVolumeClaim workspace-lab, which a user deleted",
            true,
        ),
        (json!({"disk": disk()}), "the disk is kept", false),
        (json!({}), "it has no files yet", false),
    ] {
        for action in ["stop", "restart"] {
            let portal = portal_with(status.clone()).await;
            let path = format!("/w/team/lab/{action}");
            let question = portal.json("alice", &path).await;
            let asked = question["text"][0].as_str().unwrap();
            assert!(asked.contains(text), "{asked}");
            assert_eq!(question["danger"], deletes, "{text}");
            assert_eq!(question["typed"], if deletes { "lab" } else { "" }, "{text}");
            if deletes {
                let wrong = portal.post("alice", &path, "uid=uid-of-lab").await;
                assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
                assert!(portal.calls_as_users().is_empty());
            }
            let answer = portal.post("alice", &path, "uid=uid-of-lab&name=lab").await;
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
            if action == "stop" {
                let page = portal.get("alice", answer.location()).await;
                let shown = page.text.to_ascii_lowercase();
                assert!(
                    shown.contains(&text.to_ascii_lowercase()),
                    "{text}: {}",
                    page.text
                );
            }
        }
    }
}

#[tokio::test]
async fn a_deletion_of_what_never_started_speaks_of_no_disk_and_needs_no_name() {
    let portal = portal().await;
    let question = portal.json("alice", "/w/team/lab/delete").await;
    assert!(!question["text"].to_string().contains("disk"), "{question:#}");
    assert!(
        !question["consequences"].to_string().contains("Disk"),
        "{question:#}"
    );
    assert_eq!(question["typed"], "");
    let deleted = portal.post("alice", "/w/team/lab/delete", "uid=uid-of-lab").await;
    assert_eq!(deleted.status, StatusCode::SEE_OTHER, "{}", deleted.text);
}

#[tokio::test]
async fn a_stop_of_many_that_deletes_files_has_to_be_confirmed_by_typing() {
    let portal = Portal::start(|server| {
        for number in 0..60 {
            let mut one = workspace(&format!("w{number:02}"));
            let storage = json!({"mountPath": "/home", "ephemeral": number == 59});
            one.status =
                serde_json::from_value(json!({"phase": "Running", "resolved": {"storage": storage}}))
                    .unwrap();
            server.put(&one);
        }
    })
    .await;
    portal.grant(ALICE);
    let question = portal.json("alice", "/stop?namespace=team").await;
    assert_eq!(question["typed"], "delete files");
    assert_eq!(question["danger"], true);
    assert_eq!(question["consequences"][1]["what"], "Files of 1 of them");
    let form: Vec<_> = (0..60)
        .map(|number| format!("workspace=team/w{number:02}/uid-of-w{number:02}"))
        .collect();
    let form = form.join("&");
    for wrong in [form.clone(), format!("{form}&name=yes")] {
        let answer = portal.post("alice", "/stop", &wrong).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
        assert!(answer.text.contains("w59"), "{}", answer.text);
        assert!(portal.calls_as_users().is_empty());
    }
    let answer = portal
        .post("alice", "/stop", &format!("{form}&name=delete+files"))
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert!(answer.text.contains("10 are left."), "{}", answer.text);
    assert!(
        answer.text.contains("name=\"name\" value=\"delete files\""),
        "what was typed counts for the rest: {}",
        answer.text
    );
}

#[tokio::test]
async fn events_of_the_workspace_are_selected_by_name() {
    let portal = portal().await;
    portal.get("alice", "/w/team/lab").await;
    let calls = portal.calls_as_users();
    let events: Vec<_> = calls
        .iter()
        .filter(|call| call.path.ends_with("/events"))
        .collect();
    assert!(!events.is_empty());
    for call in &events {
        assert!(
            call.query.contains("fieldSelector=involvedObject."),
            "{}",
            call.query
        );
        assert!(call.query.contains("limit=500"), "{}", call.query);
    }
    for name in ["lab", "workspace-lab"] {
        let selector = format!("fieldSelector=involvedObject.name%3D{name}");
        let wanted = |call: &&Call| call.query.split('&').any(|pair| pair == selector);
        assert_eq!(
            events.iter().copied().filter(wanted).count(),
            1,
            "{name}: {events:?}"
        );
    }
}

#[tokio::test]
async fn events_of_an_earlier_workspace_of_the_same_name_are_not_shown() {
    let portal = Portal::start(|server: &ApiServer| {
        let lab = workspace("lab");
        let events = [
            ("Workspace", "lab", lab.metadata.uid.as_deref().unwrap(), "2026-01-01T00:00:00Z", "of-this-one"),
            ("Workspace", "lab", "earlier", "2026-01-01T00:00:01Z", "of-an-earlier-one"),
            ("Pod", "workspace-lab", "p", "2026-01-01T00:00:01Z", "of-its-pod"),
            ("Pod", "workspace-lab", "p", "2025-12-31T23:59:59Z", "of-an-earlier-pod"),
        ];
        for (kind, name, uid, time, message) in events {
            let object = json!({"kind": kind, "name": name, "namespace": "team", "uid": uid});
            let event = json!({
                "metadata": {"name": message, "namespace": "team"}, "involvedObject": object, "type": "Warning",
                "reason": "Odd", "message": message, "lastTimestamp": time,
            });
            server.put(&serde_json::from_value::<Event>(event).unwrap());
        }
        server.put(&lab);
    })
    .await;
    let page = portal.get("alice", "/w/team/lab").await.text;
    for (message, is_shown) in [
        ("of-this-one", true),
        ("of-an-earlier-one", false),
        ("of-its-pod", true),
        ("of-an-earlier-pod", false),
    ] {
        assert_eq!(page.contains(message), is_shown, "{message}: {page}");
    }
}

#[tokio::test]
async fn another_workspace_of_the_same_name_is_not_touched() {
    let portal = portal().await;
    for action in ["stop", "delete"] {
        let answer = portal
            .post(
                "alice",
                &format!("/w/team/lab/{action}"),
                "uid=of-the-one-before&name=lab",
            )
            .await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{action}");
        assert!(answer.text.contains("another one of the same name"), "{action}");
        assert_eq!(desired(&portal), "Running", "{action}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_api_server_is_shown_in_its_words_and_nothing_changes() {
    for (code, reason, message, status) in [
        (
            403,
            "Forbidden",
            "user \"alice\" cannot patch resource \"workspaces\"",
            403,
        ),
        (422, "Invalid", "spec.desiredStatus: exceeded quota", 422),
        (429, "TooManyRequests", "slow down", 429),
        (500, "InternalError", "etcd is gone", 500),
    ] {
        let portal = portal().await;
        portal.server.fail(Fault {
            method: Method::PATCH,
            path_part: "/workspaces/lab",
            code,
            reason,
            message: message.to_owned(),
            times: 9,
        });
        let answer = portal.post("alice", "/w/team/lab/stop", "uid=uid-of-lab").await;
        assert_eq!(answer.status.as_u16(), status);
        let shown = answer.text.replace("&#34;", "\"");
        assert!(shown.contains(message), "{shown}");
        assert_eq!(desired(&portal), "Running");
    }
}

#[tokio::test]
async fn a_change_made_meanwhile_is_not_overwritten_but_tried_again() {
    let portal = portal().await;
    let meanwhile = testkit::api_server::Disruption::Meanwhile(Box::new(|server: &ApiServer| {
        server.edit::<Workspace>(Some("team"), "lab", |object| {
            object["spec"]["displayName"] = json!("new name");
        });
    }));
    portal.server.disrupt(Method::PATCH, "/workspaces/lab", meanwhile);
    let answer = portal.post("alice", "/w/team/lab/stop", "uid=uid-of-lab").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let workspace: Workspace = portal.server.get(Some("team"), "lab").unwrap();
    assert_eq!(workspace.spec.display_name, "new name");
    assert_eq!(desired(&portal), "Stopped");
}

#[tokio::test]
async fn without_impersonation_pages_show_commands_and_change_nothing() {
    let portal = portal().await;
    portal.mode.store(Arc::new(Mode::ReadOnly(
        "No constrained impersonation here.".to_owned(),
    )));
    let page = portal.get("alice", "/w/team/lab").await;
    assert!(
        page.text.contains("kubectl workspace stop lab -n team"),
        "{}",
        page.text
    );
    assert!(page.text.contains("No constrained impersonation here."));
    let question = portal.get("alice", "/w/team/lab/stop").await;
    let main = question.text.split("<main").nth(1).unwrap();
    assert!(!main.contains("<form method=\"post\""), "{main}");
    let forced = portal.post("alice", "/w/team/lab/stop", "uid=uid-of-lab").await;
    assert_eq!(forced.status, StatusCode::BAD_REQUEST);
    assert!(portal.calls_as_users().is_empty());
    assert_eq!(desired(&portal), "Running");
}

#[tokio::test]
async fn many_are_stopped_at_once_and_what_fails_is_named() {
    let portal = Portal::start(|server| {
        for number in 0..60 {
            server.put(&workspace(&format!("w{number:02}")));
        }
    })
    .await;
    portal.grant(ALICE);
    let refusals = ["w03 is held", "w07 is held", "w11 is held"];
    for (path, refusal) in ["/workspaces/w03", "/workspaces/w07", "/workspaces/w11"]
        .into_iter()
        .zip(refusals)
    {
        portal
            .server
            .fail(Fault::forbidden(Method::PATCH, path, refusal, 1));
    }
    let question = portal.json("alice", "/stop?namespace=team").await;
    assert_eq!(question["names"].as_array().unwrap().len(), 60);
    let form: Vec<_> = (0..60)
        .map(|number| format!("workspace=team/w{number:02}/uid-of-w{number:02}"))
        .collect();
    let answer = portal.post("alice", "/stop", &form.join("&")).await;
    assert!(
        answer
            .text
            .contains("47 are being stopped, 3 are not, 10 are left."),
        "{}",
        answer.text
    );
    for number in refusals {
        assert!(answer.text.contains(number));
    }
    let running: Vec<Workspace> = portal.server.all();
    let running = running
        .iter()
        .filter(|it| format!("{:?}", it.spec.desired_status) == "Running");
    assert_eq!(running.count(), 13);
}
