//! The portal receives users' ID tokens where it acts with them: new ones, and nobody else does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::Value;

use super::portal::{ORIGIN, fetch, page, signed_in, switch_on};
use crate::support::browser::{Answer, headers};
use crate::support::fixture::{Fixture, ISSUER, NOW, lab};

async fn fixture() -> Fixture {
    let fixture = Fixture::sending_id_tokens().await;
    fixture.watch().await;
    switch_on(&fixture);
    fixture
}

/// The claims of the token that an answer hands on; `None`: it has no `Authorization`.
fn handed_on(answer: &Answer) -> Option<Value> {
    let header = answer.headers.get(AUTHORIZATION)?;
    assert!(header.is_sensitive());
    let token = header.to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let claims = token.split('.').nth(1).unwrap();
    Some(serde_json::from_slice(&BASE64URL.decode(claims).unwrap()).unwrap())
}

/// When the token ends that an answer hands on, in seconds after the login.
fn ends(answer: &Answer) -> Option<i64> {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    handed_on(answer).map(|claims| claims["exp"].as_i64().unwrap() - NOW)
}

#[tokio::test]
async fn the_portal_gets_the_users_own_token_whatever_the_browser_sends_and_a_workspace_gets_none() {
    let fixture = fixture().await;
    let alice = signed_in(&fixture, "alice").await;
    assert!(alice.open(&lab()).await.is_inside());
    let lines = || {
        headers(&[
            ("sec-fetch-site", "same-origin"),
            ("origin", ORIGIN),
            ("authorization", "Bearer forged"),
        ])
    };
    for method in ["GET", "POST"] {
        let answer = alice.send(method, &page(), lines()).await;
        let claims = handed_on(&answer).unwrap();
        assert_eq!(
            (&claims["sub"], &claims["aud"], &claims["iss"]),
            (&"id-of-alice".into(), &"gateway".into(), &ISSUER.into())
        );
    }
    let own = headers(&[
        ("sec-fetch-site", "same-origin"),
        ("authorization", "Bearer forged"),
    ]);
    let answer = alice.send("GET", &lab(), own).await;
    assert_eq!(ends(&answer), None);

    let impersonating = Fixture::new().await;
    switch_on(&impersonating);
    let alice = signed_in(&impersonating, "alice").await;
    assert_eq!(ends(&fetch(&alice, "GET", &page()).await), None);
}

#[tokio::test]
async fn a_token_is_renewed_in_the_background_before_it_ends() {
    let fixture = fixture().await;
    let alice = signed_in(&fixture, "alice").await;
    fixture.issuer.take_requests();
    fixture.pass(194);
    assert_eq!(ends(&fetch(&alice, "GET", &page()).await), Some(300));
    assert!(fixture.issuer.take_requests().is_empty());
    fixture.pass(1);
    let mut changes = fixture.app.sessions.subscribe();
    assert_eq!(
        ends(&fetch(&alice, "GET", &page()).await),
        Some(300),
        "it still lasts"
    );
    while ends(&fetch(&alice, "GET", &page()).await) != Some(495) {
        changes.changed().await.unwrap();
    }
}

#[tokio::test]
async fn after_a_pause_the_first_request_waits_for_a_new_token() {
    let fixture = fixture().await;
    let alice = signed_in(&fixture, "alice").await;
    fixture.pass(10 * 60);
    assert_eq!(ends(&fetch(&alice, "POST", &page()).await), Some(900));
}

#[tokio::test]
async fn a_token_that_the_provider_does_not_renew_is_sent_until_it_ends_and_the_portal_stays_open() {
    for renews in [true, false] {
        let fixture = fixture().await;
        let alice = signed_in(&fixture, "alice").await;
        fixture.issuer.change(|issuer| {
            issuer.renews_id_token = renews;
            issuer.failure = renews.then_some(503);
        });
        fixture.pass(250);
        assert_eq!(ends(&fetch(&alice, "GET", &page()).await), Some(300), "{renews}");
        fixture.pass(50);
        assert_eq!(ends(&fetch(&alice, "GET", &page()).await), None, "{renews}");
        fixture.issuer.change(|issuer| {
            issuer.renews_id_token = true;
            issuer.failure = None;
        });
        // Longer than the pause after a failure, and than the usual interval of renewals.
        fixture.pass(5 * 60);
        let mut changes = fixture.app.sessions.subscribe();
        while ends(&fetch(&alice, "GET", &page()).await) != Some(900) {
            changes.changed().await.unwrap();
        }
    }
}
