//! A share, its end or a hand-over that fails: the form is shown again with the failure and all that was typed.

use api::WorkspaceShare;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::api_server::{Disruption, Fault};
use testkit::objects::workspace;

use crate::common::{Portal, sharing};
use crate::typing::{Typed, field};

const END: &str = "2126-01-01T00:00:00Z";

type Fields = Vec<(&'static str, &'static str)>;

/// Path, what Alice typed there, the call that fails, and what the summary says then.
fn forms() -> [(&'static str, Fields, Method, &'static str); 3] {
    [
        (
            "/w/team/lab/share",
            vec![
                ("uid", "uid-of-lab"),
                ("kind", "Group"),
                ("name", "oidc:team"),
                ("until", "date"),
                ("date", "2126-02-03"),
                ("reason", "review"),
            ],
            Method::POST,
            "It is not shared",
        ),
        (
            "/w/team/lab/share/lab-1/until",
            vec![
                ("uid", "s"),
                ("before", END),
                ("until", "date"),
                ("date", "2126-02-03"),
            ],
            Method::PATCH,
            "The end stays as it was",
        ),
        (
            "/w/team/lab/owner",
            vec![("uid", "uid-of-lab"), ("before", "alice"), ("owner", "oidc:bob")],
            Method::PATCH,
            "The owner stays as it was",
        ),
    ]
}

async fn portal() -> Portal {
    Portal::start(|server| {
        server.put(&workspace("lab"));
        server.put(&sharing(&json!({"enabled": true, "allowGroups": true})));
        let share = json!({
            "metadata": {"name": "lab-1", "namespace": "team", "uid": "s", "annotations": {api::names::CREATED_BY: "alice"}},
            "spec": {"workspaceRef": "lab", "workspaceUID": "uid-of-lab", "subjects": [{"kind": "User", "name": "bob"}],
                "expiresAt": END},
        });
        server.put(&serde_json::from_value::<WorkspaceShare>(share).unwrap());
    })
    .await
}

fn typed(fields: &[(&str, &str)]) -> Typed {
    fields
        .iter()
        .fold(Typed::default(), |form, (name, value)| form.by(name, value))
}

async fn sent(portal: &Portal, path: &str, fields: &[(&str, &str)]) -> (StatusCode, Value) {
    let answer = portal.sent("alice", path, &typed(fields)).await;
    (answer.status, answer.json())
}

/// Asserts that the form has what was typed.
fn assert_typed(page: &Value, fields: &[(&str, &str)]) {
    for (name, value) in fields
        .iter()
        .filter(|(name, _)| !["uid", "before"].contains(name))
    {
        let input = field(page, name)["input"].clone();
        let (_, input) = input.as_object().unwrap().iter().next().unwrap();
        assert_eq!(input["value"], *value, "{name}: {page:#}");
    }
}

fn said(page: &Value) -> String {
    page["form"]["summary"].to_string()
}

#[tokio::test]
async fn a_change_that_fails_leaves_the_form_with_what_was_typed() {
    for (path, fields, method, title) in forms() {
        for (code, reason, now) in [
            (403, "Forbidden", "Ask an administrator"),
            (404, "NotFound", "It was deleted meanwhile"),
            (409, "AlreadyExists", "Look at what is there now"),
            (429, "TooManyRequests", "in some seconds"),
            (500, "InternalError", "send it again in a minute"),
        ] {
            let portal = portal().await;
            portal.server.fail(Fault {
                method: method.clone(),
                path_part: "/namespaces/team/workspace",
                code,
                reason,
                message: "the words of the API server".to_owned(),
                times: 99,
            });
            let (status, page) = sent(&portal, path, &fields).await;
            assert_eq!(status.as_u16(), code, "{path}: {page:#}");
            let said = said(&page);
            for part in [title, now, "the words of the API server"] {
                assert!(said.contains(part), "{path} {code}: {part}: {said}");
            }
            assert_typed(&page, &fields);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_not_answered_leaves_the_form_with_what_was_typed() {
    for (path, fields, method, title) in forms() {
        let portal = portal().await;
        portal
            .server
            .disrupt(method, "/namespaces/team/workspace", Disruption::NoAnswer);
        let (status, page) = sent(&portal, path, &fields).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {page:#}");
        assert!(said(&page).contains(title), "{page:#}");
        assert_typed(&page, &fields);
        let again = portal.sent("alice", path, &typed(&fields)).await;
        assert_eq!(again.status, StatusCode::SEE_OTHER, "{path}: {}", again.text);
    }
}

#[tokio::test]
async fn what_is_another_one_by_now_leaves_the_form_with_what_was_typed() {
    for (path, mut fields, _, title) in forms() {
        let portal = portal().await;
        fields[0].1 = "another";
        let (status, page) = sent(&portal, path, &fields).await;
        assert_eq!(status, StatusCode::CONFLICT, "{path}: {page:#}");
        assert!(said(&page).contains(title), "{page:#}");
        assert_typed(&page, &fields);
    }
}

#[tokio::test]
async fn sharing_that_is_turned_off_while_the_form_is_open_leaves_what_was_typed() {
    let portal = portal().await;
    portal.server.put(&sharing(&json!({"enabled": false})));
    while portal.json("alice", "/w/team/lab/share").await["note"].is_null() {
        tokio::task::yield_now().await;
    }
    let [(path, fields, ..), ..] = forms();
    let (status, page) = sent(&portal, path, &fields).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{page:#}");
    assert!(!said(&page).contains("It is not shared"), "{page:#}");
    let fields: Vec<_> = fields.into_iter().filter(|(name, _)| *name != "kind").collect();
    assert_typed(&page, &fields);
}
