//! A form that is not offered: it says what is missing, and nothing is stored if it is sent.

use api::Workspace;
use http::{Method, StatusCode};
use k8s_openapi::api::core::v1::Namespace;
use serde_json::json;
use testkit::api_server::Fault;
use testkit::objects::template;

use crate::common::Portal;
use crate::forms::{NEW, portal, writes};
use crate::typing::Typed;

const TEXT: &str = "\
apiVersion: workspaces.jupyter.org/v1alpha1
kind: Workspace
metadata: {name: lab}
spec: {displayName: lab}
";

/// Eve may create nothing, and Mallory may not use the template.
async fn for_three() -> (Portal, Typed) {
    let portal = portal().await;
    portal.grant(&[
        ("alice", "create", "workspaces", "team"),
        ("alice", "use", "workspacetemplates", "team"),
        ("mallory", "create", "workspaces", "team"),
    ]);
    let typed = Typed::from_page(&portal.json("alice", NEW).await);
    portal.server.take_calls();
    (portal, typed)
}

fn as_yaml() -> String {
    let fields = [
        ("namespace", "team"),
        ("template", "jupyterlab"),
        ("written", "yaml"),
        ("yaml", TEXT),
    ];
    serde_urlencoded::to_string(fields).unwrap()
}

#[tokio::test]
async fn a_new_workspace_is_refused_in_the_api_server_s_words() {
    let (portal, _) = for_three().await;
    for user in ["eve", "mallory"] {
        let words = format!("{user} may not do this");
        portal.server.fail(Fault::forbidden(
            Method::POST,
            "/namespaces/team/workspaces",
            &words,
            1,
        ));
        let answer = portal.post(user, "/new", &as_yaml()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{user}: {}", answer.text);
        assert!(answer.text.contains(&words), "{}", answer.text);
    }
    assert!(writes(&portal).is_empty());
}

#[tokio::test]
async fn a_new_workspace_that_the_api_server_would_accept_is_not_stored_either() {
    let (portal, _) = for_three().await;
    for (user, part) in [
        ("eve", "Ask an administrator"),
        ("mallory", "ask an administrator"),
    ] {
        let answer = portal.post(user, "/new", &as_yaml()).await;
        assert!(answer.text.contains(part), "{user}: {}", answer.text);
        let calls = portal.calls_as_users();
        let asked: Vec<_> = calls.iter().filter(|call| call.is_write()).collect();
        assert!(asked.len() == 1 && asked[0].is_dry_run(), "{user}: {calls:#?}");
        assert_eq!(asked[0].as_user.as_deref(), Some(user));
    }
    assert!(portal.server.all::<Workspace>().is_empty());
}

#[tokio::test]
async fn what_no_namespace_is_called_reaches_no_api_server() {
    let (portal, typed) = for_three().await;
    for namespace in ["a%2Fb", "..", "Team", "team%3FdryRun"] {
        let body = typed
            .body()
            .replace("namespace=team", &format!("namespace={namespace}"));
        let answer = portal.post("eve", "/new", &body).await;
        assert!(portal.calls_as_users().is_empty(), "{namespace}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_page_without_namespaces_says_which_right_and_label_to_ask_for() {
    let label = "workspaces.jupyter.org/workspaces";
    let portal = Portal::start(|server| {
        server.put(&template("jupyterlab"));
        for (name, labels) in [("plain", json!({})), ("other", json!({label: "true"}))] {
            let namespace = json!({"metadata": {"name": name, "labels": labels}});
            server.put(&serde_json::from_value::<Namespace>(namespace).unwrap());
        }
    })
    .await;
    portal.grant(&[
        ("alice", "create", "workspaces", "plain"),
        ("root", "create", "workspaces", "*"),
    ]);
    for user in ["alice", "eve"] {
        let page = portal.json(user, "/new").await;
        assert_eq!(page["empty"]["copy"], user);
        let text = page["empty"]["text"].to_string();
        assert!(text.contains("`create`") && text.contains(label), "{text}");
        assert!(!text.contains("plain") && !text.contains("other"), "{text}");
    }
    // With the label the namespace is offered. With a right in all of them, every labelled one is.
    portal.server.edit::<Namespace>(None, "plain", |object| {
        object["metadata"]["labels"][label] = json!("true");
    });
    while portal.json("alice", "/new").await["namespace"] != "plain" {
        tokio::task::yield_now().await;
    }
    let page = portal.json("root", "/new").await;
    assert_eq!(page["namespaces"].as_array().unwrap().len(), 2, "{page:#}");
}
