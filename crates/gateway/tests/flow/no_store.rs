//! No cache may store a refusal.
//!
//! A user who gets access later must not see it, and other users must not see an answer for a guest.

use api::workspace::AccessType;
use axum::body::Body;
use gateway::tokens::cookies;
use http::{HeaderMap, Method, Request};
use testkit::api_server::Fault;

use crate::support::browser::{Answer, NAVIGATION, headers};
use crate::support::fixture::{BOBS, Fixture, LAB, NONE, origin, target};

/// Asserts a refusal that no cache stores.
fn refuses(what: &str, answer: &Answer) {
    assert!(!answer.status.is_success(), "{what}: {}", answer.body);
    assert_eq!(
        answer.headers.get_all("cache-control").iter().count(),
        1,
        "{what}"
    );
    assert_eq!(answer.headers["cache-control"], "no-store", "{what}");
    for kept in ["etag", "last-modified", "expires", "age"] {
        assert!(!answer.headers.contains_key(kept), "{what}: {kept}");
    }
}

#[tokio::test]
async fn no_refusal_to_the_proxy_may_be_stored() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    alice.open(&format!("{}/", origin(LAB))).await;
    let own = alice.cookies(LAB).unwrap();
    let page = |site: &str, cookie: &str| {
        headers(&[
            ("sec-fetch-site", site),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-dest", "empty"),
            ("cookie", cookie),
        ])
    };
    let lab = format!("{}/lab", origin(LAB));
    let twice = format!("{own}; {own}");
    let forged = format!("{}=forged", cookies::TICKET);
    let table = [
        ("no ticket, a script", &lab, HeaderMap::new()),
        ("no ticket, a user", &lab, headers(&NAVIGATION)),
        ("a forged ticket", &lab, page("same-origin", &forged)),
        ("two tickets", &lab, page("same-origin", &twice)),
        ("a sibling's page", &lab, page("same-site", &own)),
        (
            "another's workspace",
            &format!("{}/", origin(BOBS)),
            page("same-origin", &own),
        ),
        ("no workspace's", &format!("{}/", origin(NONE)), HeaderMap::new()),
        (
            "a path of ours",
            &format!("{}/_workspace/x", origin(LAB)),
            page("same-origin", &own),
        ),
        (
            "another domain",
            &"https://evil.example/".to_owned(),
            HeaderMap::new(),
        ),
    ];
    for (what, url, lines) in table {
        refuses(what, &fixture.verify("GET", url, lines).await);
    }
    // another user's by now; and an API server that cannot be asked.
    fixture.publish(vec![target(LAB, "bob", AccessType::OwnerOnly)]);
    refuses(
        "no right",
        &fixture.verify("GET", &lab, page("same-origin", &own)).await,
    );
    let malformed = Request::get("/verify")
        .header("host", "gateway.system.svc")
        .body(Body::empty())
        .unwrap();
    refuses("no question", &fixture.ask_verify(malformed).await);
    let replica = fixture.replica().await;
    replica.publish(vec![target(LAB, "alice", AccessType::OwnerOnly)]);
    fixture.server.fail(Fault {
        method: Method::GET,
        path_part: "gatewaysessions",
        code: 503,
        reason: "ServiceUnavailable",
        message: "away".into(),
        times: 100,
    });
    let answer = replica.verify("GET", &lab, page("same-origin", &own)).await;
    refuses("no API server", &answer);
}

#[tokio::test]
async fn no_refusal_of_a_websocket_may_be_stored() {
    let fixture = Fixture::new().await;
    for change in [
        ("cookie", "__Host-ws=forged"),
        ("upgrade", "h2c"),
        ("host", "evil.example"),
    ] {
        let usual = [
            ("host", "lab-a.ws.example:8443"),
            ("origin", "https://lab-a.ws.example:8443"),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let mut request = Request::get("/api/kernels/1/channels")
            .body(Body::empty())
            .unwrap();
        for (name, value) in usual.into_iter().chain([change]) {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        refuses(change.1, &fixture.ask_verify(request).await);
    }
}
