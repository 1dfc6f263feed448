//! Commands against an API server that answers each path by a function: pages of a list, the user, versions.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cli::exit_code;
use http::{Request, Response};
use http_body_util::Full;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use crate::workspace::run;

/// A client, and the paths with queries that were asked for.
pub(crate) fn canned(answer: fn(&str, &str) -> Value) -> (Client, Arc<Mutex<Vec<String>>>) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = calls.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (path, query) = (
            request.uri().path().to_owned(),
            request.uri().query().unwrap_or_default().to_owned(),
        );
        seen.lock().unwrap().push(format!("{path}?{query}"));
        let value = answer(&path, &query);
        let code = value["code"]
            .as_u64()
            .and_then(|code| u16::try_from(code).ok())
            .unwrap_or(200);
        let response = Response::builder()
            .status(code)
            .body(Full::new(Bytes::from(value.to_string())));
        async move { Ok::<_, Infallible>(response.unwrap()) }
    });
    (Client::new(service, "team"), calls)
}

fn workspace(name: &str, owner: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "team", "uid": format!("uid-{name}"), "annotations": {api::names::CREATED_BY: owner}}, "spec": {}})
}

fn answer(path: &str, query: &str) -> Value {
    if path.ends_with("/selfsubjectreviews") {
        return json!({"status": {"userInfo": {"username": "alice", "groups": ["ml"]}}});
    }
    if path.ends_with("/workspaceshares") {
        let share = |name: &str, subject: Value, active: &str| {
            json!({
                "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceShare", "metadata": {"name": name},
                "spec": {"workspaceRef": name, "workspaceUID": format!("uid-{name}"), "subjects": [subject]},
                "status": {"conditions": [{
                    "type": "Active", "status": active, "reason": "r", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
                }]},
            })
        };
        let group = json!({"kind": "Group", "name": "ml"});
        return json!({"metadata": {}, "items": [
            share("b", group.clone(), "True"), share("c", group, "False"), share("a", json!({"kind": "User", "name": "eve"}), "True"),
        ]});
    }
    if path.ends_with("/workspaces") && !query.contains("continue=") {
        return json!({"metadata": {"continue": "next"}, "items": [workspace("a", "alice"), workspace("b", "bob")]});
    }
    if path.ends_with("/workspaces") {
        return json!({"metadata": {}, "items": [workspace("c", "bob")]});
    }
    if path == "/version" {
        return json!({"gitVersion": "v1.33.1"});
    }
    json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no right"})
}

#[tokio::test]
async fn a_list_is_read_in_pages_of_500() {
    let (client, calls) = canned(answer);
    let ran = run(&client, "list -o name").await;
    assert_eq!(ran.out.lines().count(), 3, "{:?}", ran.outcome);
    let calls = calls.lock().unwrap().clone();
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call.contains("limit=500")), "{calls:?}");
}

#[tokio::test]
async fn mine_are_those_that_one_owns_and_shared_those_of_active_shares() {
    let (client, _) = canned(answer);
    let mine = run(&client, "list --mine -o name").await;
    assert_eq!(mine.out, "workspace.workspaces.jupyter.org/a\n");
    let shared = run(&client, "list --shared -o name").await;
    assert_eq!(
        shared.out, "workspace.workspaces.jupyter.org/b\n",
        "{:?}",
        shared.outcome
    );
}

#[tokio::test]
async fn whoami_and_version_say_what_the_api_server_says() {
    let (client, _) = canned(answer);
    let who = run(&client, "whoami").await;
    assert_eq!(who.out, "User:     alice\nGroups:   ml\n", "{:?}", who.outcome);
    let version = run(&client, "version").await;
    assert_eq!(version.code(), 0);
    assert!(version.out.contains("v1.33.1"), "{}", version.out);
    assert!(
        version.out.contains("you may not read CustomResourceDefinitions"),
        "{}",
        version.out
    );
    let (client, _) = canned(|path, query| match path {
        "/version" => answer(path, query),
        _ => json!({"metadata": {"annotations": {api::names::CRD_VERSION: "77.0.0"}}}),
    });
    let version = run(&client, "version").await;
    assert_eq!(version.code(), exit_code::NOT_AS_WANTED);
    assert!(version.out.contains("They do not fit"), "{}", version.out);
}
