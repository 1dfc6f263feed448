//! What one user can make the portal hold: sizes of addresses, and answers under way.

use http::{Method, StatusCode};
use testkit::objects::workspace;

use crate::common::{Portal, get};

async fn portal() -> Portal {
    let portal = Portal::start(|server| server.put(&workspace("lab"))).await;
    portal.grant(&[("alice", "list", "workspaces", "team")]);
    portal
}

#[tokio::test]
async fn a_parameter_has_at_most_256_bytes_and_the_refusal_repeats_none_of_it() {
    let portal = portal().await;
    for (path, name) in [
        ("/?q=", "q"),
        ("/?deleted=", "deleted"),
        ("/namespaces/team?q=", "q"),
        ("/events?view=list&q=", "q"),
        ("/events?view=namespace&in=team&template=", "template"),
    ] {
        let open = portal.open("alice", &format!("{path}{}", "x".repeat(256))).await;
        drop(open);
        let answer = portal.get("alice", &format!("{path}{}", "x".repeat(257))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        let sentence = format!("The parameter &quot;{name}&quot; has 257 bytes: it must have at most 256.");
        assert!(answer.text.contains(&sentence), "{path}: {}", answer.text);
        assert!(!answer.text.contains("xxxx"), "{path}: {}", answer.text);
    }
    let unknown = portal
        .get("alice", &format!("/?q=x&{}=y", "x".repeat(4096)))
        .await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    assert!(
        unknown.text.contains("This page has no parameter"),
        "{}",
        unknown.text
    );
    assert!(!unknown.text.contains(&"x".repeat(65)), "{}", unknown.text);
}

#[tokio::test]
async fn an_address_has_at_most_8_kib_which_names_all_workspaces_of_a_page() {
    let portal = portal().await;
    // A page of a list has 50 rows.
    let one = format!("&workspace={}%2F{}", "n".repeat(63), "w".repeat(50));
    let chosen = format!("/stop?from=team{}", one.repeat(50));
    let longest = format!("{chosen}&workspace={}", "x".repeat(8192 - chosen.len() - 11));
    assert_eq!(longest.len(), 8192);
    for address in [chosen, longest.clone()] {
        let answer = portal.get("alice", &address).await;
        assert!(
            answer.text.contains("None of the chosen workspaces runs"),
            "{}",
            answer.text
        );
    }
    let long = longest + "x";
    for address in [long, format!("/w/{}", "x".repeat(60_000))] {
        let answer = portal.get("alice", &address).await;
        assert_eq!(answer.status, StatusCode::URI_TOO_LONG);
        assert!(answer.text.contains("may have at most 8 KiB"), "{}", answer.text);
        assert!(!answer.text.contains("xxxx"), "{}", answer.text);
    }
}

/// Nobody asks for the rest of these answers. A connection takes up to 64 KiB of an answer that its client does not read: then it holds no
/// permit, and its connection ends after the idle time (`kit::https`).
#[tokio::test]
async fn a_user_has_at_most_16_answers_that_are_not_taken() {
    let portal = portal().await;
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(portal.open("alice", "/events?view=list").await);
    }
    let mut unread = Vec::new();
    for _ in 0..16 {
        unread.push(portal.open("alice", "/").await);
    }
    let refused = portal.get("alice", "/").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(
        refused.text.contains("16 pages at the same time"),
        "{}",
        refused.text
    );
    let change = portal
        .post("alice", "/stop", "workspace=team%2Flab%2Fuid-of-lab")
        .await;
    assert_eq!(change.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(portal.calls_as_users().is_empty());
    let other = portal.get("bob", "/").await;
    assert_eq!(other.status, StatusCode::OK);
    // A connection has ended.
    unread.pop();
    assert_eq!(portal.get("alice", "/").await.status, StatusCode::OK);
    // Answers that are taken whole do not count any more.
    assert_eq!(portal.get("alice", "/").await.status, StatusCode::OK);
    drop(streams);
}

#[tokio::test]
async fn an_answer_that_no_limit_counts_is_the_last_of_its_connection() {
    let portal = portal().await;
    let page = portal.get("alice", "/").await;
    let (_, asset) = page.text.split_once("\"/assets/").unwrap();
    let asset = format!("/assets/{}", asset.split_once('"').unwrap().0);
    let mut foreign = get("alice", "/stop");
    *foreign.method_mut() = Method::POST;
    let mut unread = Vec::new();
    for _ in 0..16 {
        unread.push(portal.open("bob", "/").await);
    }
    for (request, status) in [
        (get("alice", &asset), StatusCode::OK),
        (get("alice", "/assets/absent"), StatusCode::NOT_FOUND),
        (
            get("alice", &format!("/{}", "x".repeat(8192))),
            StatusCode::URI_TOO_LONG,
        ),
        (foreign, StatusCode::FORBIDDEN),
        (get("bob", "/"), StatusCode::TOO_MANY_REQUESTS),
    ] {
        let address = request.uri().clone();
        let answer = portal.send(request).await;
        assert_eq!(answer.status, status, "{address}");
        assert_eq!(answer.headers["connection"], "close", "{address}");
    }
    let lost = portal.get("alice", "/absent").await;
    for counted in [page, lost] {
        assert!(!counted.headers.contains_key("connection"), "{}", counted.status);
    }
}

#[tokio::test]
async fn an_answer_says_its_length() {
    let portal = portal().await;
    let answer = portal.send(get("alice", "/")).await;
    assert_eq!(answer.headers["content-length"], answer.text.len().to_string());
}
