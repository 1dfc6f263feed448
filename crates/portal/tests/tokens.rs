//! A portal that acts with users' own ID tokens: the token of each request, and nothing where it does not prove the same user.

use api::Workspace;
use api::names::WORKSPACE_LABEL;
use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, Request, StatusCode};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use testkit::api_server::{Call, Fault};
use testkit::objects::workspace;

use crate::common::{Portal, Reply, get, posted};

const ALICE: &[(&str, &str, &str, &str)] = &[
    ("alice", "patch", "workspaces", "team"),
    ("alice", "get", "pods/log", "team"),
];
const TOKEN: &str = "token-of-alice";

/// An API server that trusts the issuer of these tokens.
fn status(spec: &Value) -> Value {
    let user = match spec["token"].as_str() {
        Some(TOKEN) => json!({"username": "alice", "groups": ["oidc:ml", "system:authenticated"]}),
        Some("token-of-bob") => json!({"username": "bob", "groups": ["system:authenticated"]}),
        _ => return json!({"authenticated": false}),
    };
    json!({"authenticated": true, "user": user})
}

async fn portal() -> Portal {
    let portal = Portal::start_by_token(|server| {
        server.put(&workspace("lab"));
        let pod = json!({
            "metadata": {"name": "workspace-lab", "namespace": "team", "labels": {WORKSPACE_LABEL: "lab"}},
            "spec": {"containers": [{"name": "workspace"}]},
        });
        server.put(&serde_json::from_value::<Pod>(pod).unwrap());
        server.authenticate(status);
    })
    .await;
    portal.server.write_logs(|_| "a line\n".to_owned());
    portal.grant(ALICE);
    portal
}

fn with(mut request: Request<Body>, authorization: &[&str]) -> Request<Body> {
    for value in authorization {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().append(AUTHORIZATION, value);
    }
    request
}

async fn page(portal: &Portal, path: &str, authorization: &[&str]) -> Reply {
    let answer = portal.send(with(get("alice|oidc:ml", path), authorization)).await;
    assert!(!answer.text.contains("token-of"), "{}", answer.text);
    answer
}

async fn stop(portal: &Portal, authorization: &[&str]) -> Reply {
    let request = posted("alice|oidc:ml", "/w/team/lab/stop", "uid=uid-of-lab");
    portal.send(with(request, authorization)).await
}

fn desired(portal: &Portal) -> String {
    let workspace: Workspace = portal.server.get(Some("team"), "lab").unwrap();
    format!("{:?}", workspace.spec.desired_status)
}

fn is_self_review(call: &Call) -> bool {
    call.path.ends_with("/selfsubjectreviews")
}

#[tokio::test]
async fn what_the_portal_does_for_a_user_has_the_token_of_the_request_and_impersonates_nobody() {
    let portal = portal().await;
    let bearer = format!("Bearer {TOKEN}");
    for path in ["/w/team/lab", "/w/team/lab/logs"] {
        assert_eq!(page(&portal, path, &[&bearer]).await.status, StatusCode::OK);
    }
    let answer = stop(&portal, &[&bearer]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    assert_eq!(desired(&portal), "Stopped");
    let calls = portal.server.take_calls();
    assert!(calls.iter().all(|call| call.as_user.is_none()));
    let (with_token, own): (Vec<_>, Vec<_>) = calls.iter().partition(|call| call.token.is_some());
    assert!(with_token.iter().all(|call| call.token.as_deref() == Some(TOKEN)));
    for part in ["/events", "/pods", "/log", "/resourcequotas", "/workspaces/lab"] {
        assert!(with_token.iter().any(|call| call.path.ends_with(part)), "{part}");
    }
    assert_eq!(with_token.iter().filter(|call| is_self_review(call)).count(), 1);
    let is_question = |call: &&Call| call.path.ends_with("/subjectaccessreviews");
    assert!(own.iter().all(is_question), "{own:#?}");

    let impersonating = Portal::start(|server| server.put(&workspace("lab"))).await;
    impersonating.grant(ALICE);
    assert_eq!(
        stop(&impersonating, &[&bearer]).await.status,
        StatusCode::SEE_OTHER
    );
    for call in impersonating.calls_as_users() {
        assert_eq!((call.as_user.as_deref(), call.token), (Some("alice"), None));
    }
}

#[tokio::test]
async fn without_a_token_that_proves_this_user_nothing_is_read_or_changed_and_the_page_says_why() {
    let good = format!("Bearer {TOKEN}");
    for (authorization, why) in [
        (&[][..], "The gateway sent no ID token of yours"),
        (&["Basic YTpi"], "The gateway sent no ID token of yours"),
        (&["Bearer "], "The gateway sent no ID token of yours"),
        (&[&*good, &*good], "The gateway sent no ID token of yours"),
        (
            &["Bearer of-another-issuer"],
            "An administrator must let it trust",
        ),
        (
            &["Bearer token-of-bob"],
            "the same claim and prefix for user names",
        ),
    ] {
        let portal = portal().await;
        let shown = page(&portal, "/w/team/lab", authorization).await;
        assert_eq!(shown.status, StatusCode::OK);
        for part in [
            why,
            "Nothing can be changed",
            "kubectl workspace stop lab -n team",
        ] {
            assert!(shown.text.contains(part), "{part}: {}", shown.text);
        }
        assert!(page(&portal, "/account", authorization).await.text.contains(why));
        let logs = page(&portal, "/w/team/lab/logs", authorization).await;
        assert!(logs.text.contains(why) && !logs.text.contains("a line"));
        let forced = stop(&portal, authorization).await;
        assert_eq!(forced.status, StatusCode::BAD_REQUEST);
        assert!(forced.text.contains(why), "{}", forced.text);
        assert_eq!(desired(&portal), "Running");
        let calls = portal.server.take_calls();
        assert!(
            calls.iter().all(|call| call.path.ends_with("reviews")),
            "{authorization:?}: {calls:#?}"
        );
    }
}

#[tokio::test]
async fn a_token_that_is_not_taken_any_more_changes_nothing() {
    let portal = portal().await;
    let bearer = format!("Bearer {TOKEN}");
    assert!(
        page(&portal, "/w/team/lab", &[&bearer])
            .await
            .text
            .contains("/stop")
    );
    portal.server.authenticate(|_| json!({"authenticated": false}));
    let answer = stop(&portal, &[&bearer]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(
        answer.text.contains("does not accept your sign-in (401)"),
        "{}",
        answer.text
    );
    assert_eq!(desired(&portal), "Running");
}

#[tokio::test]
async fn whose_a_token_is_is_asked_once_and_again_after_no_answer() {
    let portal = portal().await;
    let bearer = format!("Bearer {TOKEN}");
    portal
        .server
        .fail(Fault::internal(Method::POST, "/selfsubjectreviews", 1));
    let shown = page(&portal, "/w/team/lab", &[&bearer]).await;
    assert!(
        shown.text.contains("did not say in time who you are"),
        "{}",
        shown.text
    );
    for _ in 0..3 {
        let shown = page(&portal, "/w/team/lab", &[&bearer]).await;
        assert!(!shown.text.contains("Nothing can be changed"), "{}", shown.text);
    }
    let calls = portal.server.take_calls();
    assert_eq!(calls.iter().filter(|call| is_self_review(call)).count(), 2);
}

#[tokio::test]
async fn a_refused_request_does_not_ask_the_api_server_whose_a_token_is() {
    let portal = portal().await;
    let bearer = format!("Bearer {TOKEN}");
    // Without an answer each request asks again.
    let failing = Fault::internal(Method::POST, "/selfsubjectreviews", usize::MAX);
    portal.server.fail(failing);
    let mut foreign = with(get("alice|oidc:ml", "/w/team/lab/stop"), &[&bearer]);
    *foreign.method_mut() = Method::POST;
    let evil = HeaderValue::from_static("https://lab.workspaces.localhost:8443");
    foreign.headers_mut().insert("origin", evil);
    let refused = portal.send(foreign).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let mut unread = Vec::new();
    for _ in 0..16 {
        unread.push(portal.open("alice|oidc:ml", "/account").await);
    }
    let refused = page(&portal, "/account", &[&bearer]).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(!portal.server.take_calls().iter().any(is_self_review));

    drop(unread);
    let shown = page(&portal, "/account", &[&bearer]).await;
    assert_eq!(shown.status, StatusCode::OK);
    stop(&portal, &[&bearer]).await;
    let calls = portal.server.take_calls();
    assert_eq!(calls.iter().filter(|call| is_self_review(call)).count(), 2);
}

#[tokio::test]
async fn the_account_page_says_whether_the_api_server_knows_the_same_user_and_groups() {
    let portal = portal().await;
    let bearer = format!("Bearer {TOKEN}");
    let account = page(&portal, "/account", &[&bearer]).await;
    assert!(
        account.text.contains("by the same name and groups"),
        "{}",
        account.text
    );
    let others = with(get("alice|oidc:staff", "/account"), &[&bearer]);
    let text = portal.send(others).await.text;
    for part in [
        "Only the gateway has: oidc:staff.",
        "Only the API server has: oidc:ml.",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let impersonating = Portal::start(|_| {}).await;
    let text = page(&impersonating, "/account", &[]).await.text;
    assert!(!text.contains("accepts your sign-in"), "{text}");
}
