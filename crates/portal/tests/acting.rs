//! The portal sends each change once, as the user, and shows a refusal in the API server's words.

use std::sync::Arc;

use api::Workspace;
use api::names::RESTARTED_AT;
use http::{Method, StatusCode};
use portal::cluster::Mode;
use serde_json::json;
use testkit::api_server::Fault;
use testkit::api_server::{ApiServer, Call};
use testkit::objects::workspace;

use crate::common::Portal;

const ALICE: &[(&str, &str, &str, &str)] = &[
    ("alice", "patch", "workspaces", "team"),
    ("alice", "delete", "workspaces", "team"),
];

async fn portal() -> Portal {
    let portal = Portal::start(|server: &ApiServer| server.put(&workspace("lab"))).await;
    portal.grant(ALICE);
    portal
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
    let portal = portal().await;
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
async fn after_a_stop_without_a_disk_no_page_says_that_it_is_kept() {
    for (storage, text) in [
        (
            json!({"mountPath": "/home", "ephemeral": true}),
            "its files are deleted",
        ),
        (json!({"mountPath": "/home", "size": "1Gi"}), "Its disk is kept"),
    ] {
        let portal = Portal::start(|server: &ApiServer| {
            let mut lab = workspace("lab");
            lab.status =
                serde_json::from_value(json!({"phase": "Running", "resolved": {"storage": storage}}))
                    .unwrap();
            server.put(&lab);
        })
        .await;
        portal.grant(ALICE);
        let answer = portal.post("alice", "/w/team/lab/stop", "uid=uid-of-lab").await;
        let page = portal.get("alice", answer.location()).await;
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
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
