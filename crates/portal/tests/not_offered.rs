//! A form that a user is not offered, sent all the same: the API server answers, and nothing is stored.

use api::Workspace;
use http::{Method, StatusCode};
use testkit::api_server::Fault;

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
    let typed = Typed::of(&portal.json("alice", NEW).await);
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
        portal.server.fail(Fault {
            method: Method::POST,
            path_part: "/namespaces/team/workspaces",
            code: 403,
            reason: "Forbidden",
            message: words.clone(),
            times: 1,
        });
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
