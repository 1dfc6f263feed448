//! An admitted request carries the gateway's assertion of its user, and no other assertion.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::support::browser::{Browser, headers};
use crate::support::fixture::{Fixture, LAB, NOW, OPEN, lab, origin};

const NAME: &str = "workspace-assertion";

/// What the one assertion says, without looking at its signature.
pub(super) fn claims(headers: &HeaderMap) -> Value {
    let values: Vec<_> = headers.get_all(NAME).iter().collect();
    assert_eq!(values.len(), 1, "{values:?}");
    text(values[0])
}

pub(super) fn text(assertion: &HeaderValue) -> Value {
    let token = assertion.to_str().unwrap();
    let body = BASE64URL.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&body).unwrap()
}

async fn ask(alice: &Browser<'_>, host: &str, more: &[(&str, &str)]) -> HeaderMap {
    let mut lines = headers(&[("sec-fetch-site", "same-origin")]);
    lines.extend(headers(more));
    let answer = alice
        .send("GET", &format!("{}/api/status", origin(host)), lines)
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.headers
}

#[tokio::test]
async fn a_request_that_passes_names_the_user_to_this_workspace_for_a_minute() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    for host in [LAB, OPEN] {
        assert!(alice.open(&format!("{}/", origin(host))).await.is_inside());
    }
    let first = ask(&alice, LAB, &[(NAME, "forged"), (NAME, "forged, too")]).await;
    let session_end = claims(&first)["session_end"].clone();
    assert!(session_end.as_i64().unwrap() > NOW);
    let expected = |host: &str, now: i64| {
        json!({
            "iss": "jupyter-k8s-gateway", "aud": format!("uid-of-{host}"), "sub": "alice",
            "iat": now, "nbf": now, "exp": now + 60, "session_end": session_end, "owner": true,
        })
    };
    assert_eq!(claims(&first), expected(LAB, NOW));
    assert_eq!(
        claims(&ask(&alice, OPEN, &[]).await)["aud"],
        format!("uid-of-{OPEN}")
    );
    fixture.pass(30);
    assert_eq!(
        ask(&alice, LAB, &[]).await[NAME],
        first[NAME],
        "kept for half of its life"
    );
    fixture.pass(1);
    assert_eq!(claims(&ask(&alice, LAB, &[]).await), expected(LAB, NOW + 31));
}

#[tokio::test]
async fn a_refusal_carries_none_and_a_websocket_one_of_its_own() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let unknown_user = fixture.browser("bob");
    let lines = headers(&[("sec-fetch-site", "same-origin"), (NAME, "forged")]);
    let answer = unknown_user.send("GET", &lab(), lines).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(!answer.headers.contains_key(NAME));

    let cookie = alice.cookies(LAB).unwrap();
    let lines = headers(&[("cookie", &cookie), ("origin", &origin(LAB)), (NAME, "forged")]);
    let Ok((target, grant)) = fixture.app.admit_socket(&LAB.into(), "/", &lines).await else {
        panic!("she may")
    };
    let text = text(&fixture.app.attest_socket(&target, &grant).unwrap());
    assert_eq!(
        (&text["sub"], &text["aud"]),
        (&json!("alice"), &json!(target.uid))
    );
}
