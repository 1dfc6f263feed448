//! Only the gateway's assertion names the user, and only pages of the portal change something.

use axum::body::Body;
use http::{Request, StatusCode};

use crate::common::{ORIGIN, Portal, get};

#[tokio::test]
async fn without_exactly_one_assertion_that_counts_nothing_is_shown() {
    let portal = Portal::start(|_| {}).await;
    let request = |headers: &[(&str, &str)]| {
        let request = headers
            .iter()
            .fold(Request::builder().uri("/"), |request, (name, value)| {
                request.header(*name, *value)
            });
        request.body(Body::empty()).unwrap()
    };
    for headers in [
        &[][..],
        &[("x-forwarded-user", "alice")],
        &[("impersonate-user", "alice")],
        &[("workspace-assertion", "no such token")],
        &[("workspace-assertion", "alice|"), ("workspace-assertion", "bob|")],
    ] {
        let answer = portal.send(request(headers)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{headers:?}");
        assert!(!answer.text.contains("alice"));
    }
    let both = request(&[("workspace-assertion", "alice|"), ("impersonate-user", "root")]);
    let answer = portal.send(both).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text.contains("alice") && !answer.text.contains("root"));
}

#[tokio::test]
async fn a_change_from_another_page_is_refused_before_the_api_server_is_asked() {
    let portal = Portal::start(|server| server.put(&testkit::objects::workspace("lab"))).await;
    for (name, value) in [
        ("origin", "https://lab-x.workspaces.localhost:8443"),
        ("origin", "null"),
        ("x-other", ORIGIN),
    ] {
        let request = Request::builder()
            .method("POST")
            .uri("/w/team/lab/stop")
            .header("workspace-assertion", "alice|")
            .header("content-type", "application/x-www-form-urlencoded")
            .header(name, value)
            .body(Body::from("uid=uid-of-lab"))
            .unwrap();
        let answer = portal.send(request).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    assert!(portal.calls_as_users().is_empty());
}

#[tokio::test]
async fn every_answer_forbids_foreign_scripts_frames_and_storage() {
    let portal = Portal::start(|_| {}).await;
    for path in ["/", "/account", "/nothing", "/w/team/lab"] {
        let answer = portal.send(get("alice", path)).await;
        let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
        assert!(
            header("content-security-policy").starts_with("default-src 'none'; script-src 'self'"),
            "{path}"
        );
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert!(
            !answer.text.contains(" style=") && !answer.text.contains("<script>"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn texts_of_others_stay_text() {
    let hostile = "<img src=x onerror=alert(1)>{{7*7}}";
    let portal = Portal::start(|server| {
        let mut workspace = testkit::objects::workspace("lab");
        workspace.spec.display_name = hostile.to_owned();
        server.put(&workspace);
    })
    .await;
    for path in [
        "/",
        "/w/team/lab",
        "/w/team/lab/delete",
        "/w/team/lab/share",
        "/?q=%3Cimg%20src=x%3E",
    ] {
        let answer = portal.get("alice", path).await;
        assert!(!answer.text.contains("<img src"), "{path}: {}", answer.text);
        assert!(!answer.text.contains("&#62;49"), "{path}");
    }
    assert!(
        portal
            .get("alice", "/")
            .await
            .text
            .contains("&#60;img src=x onerror=alert(1)&#62;{{7*7}}")
    );
}
