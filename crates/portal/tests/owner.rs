//! A workspace is handed over as the user, by those whom the webhook lets do so.

use api::Workspace;
use api::names::CREATED_BY;
use http::{Method, StatusCode};
use serde_json::Value;
use testkit::api_server::Disruption;
use testkit::objects::workspace;

use crate::common::Portal;

async fn portal() -> Portal {
    let portal = Portal::start(|server| server.put(&workspace("lab"))).await;
    portal.grant(&[
        ("alice", "patch", "workspaces", "team"),
        ("alice", "assign-owner", "workspaces", "team"),
        ("erin", "list", "workspaces", "team"),
        ("erin", "patch", "workspaces", "team"),
        ("erin", "assign-owner", "workspaces", "team"),
        ("frank", "list", "workspaces", "team"),
        ("frank", "patch", "workspaces", "team"),
        ("frank", "assign-owner", "workspaces", "team"),
        ("frank", "administer", "workspaces", "team"),
    ]);
    portal
}

fn owner(portal: &Portal) -> String {
    let stored: Workspace = portal.server.get(Some("team"), "lab").unwrap();
    stored.metadata.annotations.unwrap()[CREATED_BY].clone()
}

#[tokio::test]
async fn the_owner_and_administrators_with_the_verb_are_offered_it() {
    let portal = portal().await;
    for (user, may) in [("alice", true), ("erin", false), ("frank", true)] {
        let page = portal.json(user, "/w/team/lab").await;
        let more = page["head"]["more"].as_array().unwrap();
        let is_offered = more.iter().any(|action: &Value| action["label"] == "Hand over…");
        assert_eq!(is_offered, may, "{user}");
    }
}

#[tokio::test]
async fn a_hand_over_reads_and_patches_as_the_user_who_may_not_see_it_afterwards() {
    let portal = portal().await;
    let page = portal.get("alice", "/w/team/lab/owner").await;
    assert!(
        page.text.contains("name=\"before\" value=\"alice\""),
        "{}",
        page.text
    );
    // A public workspace stays open to others, so the page names what the owner loses and no more.
    assert!(
        page.text.contains("loses the rights of an owner"),
        "{}",
        page.text
    );
    portal.server.take_calls();
    let form = "uid=uid-of-lab&before=alice&owner=oidc%3Abob";
    let answer = portal.post("alice", "/w/team/lab/owner", form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    assert_eq!(owner(&portal), "oidc:bob");
    let calls = portal.calls_as_users();
    let [read, patch] = &*calls else {
        panic!("{calls:#?}")
    };
    assert_eq!((&read.method, &patch.method), (&Method::GET, &Method::PATCH));
    assert!(calls.iter().all(|call| call.as_user.as_deref() == Some("alice")));
    assert!(
        patch.body["metadata"]["resourceVersion"].is_string(),
        "{}",
        patch.body
    );
    assert_eq!(answer.location(), "/?done=owner");
    let list = portal.get("alice", answer.location()).await;
    assert!(list.text.contains("has its new owner"), "{}", list.text);
}

#[tokio::test]
async fn a_wrong_name_is_refused_at_its_field_and_a_change_meanwhile_is_said() {
    let portal = portal().await;
    for (typed, part) in [
        ("", "Type the exact name"),
        ("alice", "owns the workspace already"),
        ("system%3Aadmin", "a name of Kubernetes itself"),
        ("%20bob", "begins or ends with a space"),
    ] {
        let form = format!("uid=uid-of-lab&before=alice&owner={typed}");
        let answer = portal.post("alice", "/w/team/lab/owner", &form).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{typed}");
        assert!(answer.text.contains(part), "{typed}: {}", answer.text);
    }
    for form in [
        "uid=uid-of-another&before=alice&owner=bob",
        "uid=uid-of-lab&before=carol&owner=bob",
    ] {
        let answer = portal.post("alice", "/w/team/lab/owner", form).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{form}");
    }
    let strange = portal
        .post(
            "bob",
            "/w/team/lab/owner",
            "uid=uid-of-lab&before=alice&owner=bob",
        )
        .await;
    assert_eq!(strange.status, StatusCode::NOT_FOUND);
    assert_eq!(owner(&portal), "alice");
    assert!(portal.calls_as_users().iter().all(|call| !call.is_write()));
}

#[tokio::test]
async fn another_owner_between_read_and_write_stays_and_another_change_does_not_matter() {
    for (path, owner_then, status) in [
        ("/spec/displayName", "oidc:bob", StatusCode::SEE_OTHER),
        ("/metadata/annotations", "carol", StatusCode::CONFLICT),
    ] {
        let portal = portal().await;
        portal.server.disrupt(
            Method::PATCH,
            "/workspaces/lab",
            Disruption::Meanwhile(Box::new(move |server| {
                let mut now = workspace("lab");
                if path == "/spec/displayName" {
                    now.spec.display_name = "Another".to_owned();
                } else {
                    let annotations = now.metadata.annotations.get_or_insert_default();
                    annotations.insert(CREATED_BY.to_owned(), "carol".to_owned());
                }
                server.put(&now);
            })),
        );
        let form = "uid=uid-of-lab&before=alice&owner=oidc%3Abob";
        let answer = portal.post("alice", "/w/team/lab/owner", form).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert_eq!(owner(&portal), owner_then, "{path}");
    }
}
