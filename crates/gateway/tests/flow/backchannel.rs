//! Back-channel logout: which logout tokens are valid, what they end, and what invalid ones cost.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use testkit::api_server::Fault;
use testkit::issuer::Signature;

use crate::support::browser::{Answer, Browser, headers};
use crate::support::fixture::{AUTH, BOBS, Fixture, LAB, NOW, lab, origin};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

pub(super) async fn send_logout(fixture: &Fixture, token: &str) -> Answer {
    let lines = headers(&[("content-type", "application/x-www-form-urlencoded")]);
    let url = format!("{AUTH}/backchannel-logout");
    fixture
        .page(Method::POST, &url, lines, format!("logout_token={token}"))
        .await
}

/// A logout token of alice with these changes.
fn token(fixture: &Fixture, changes: &Value) -> String {
    let mut claims = json!({"sub": "id-of-alice"});
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    fixture.issuer.logout_token(&claims)
}

async fn is_in(browser: &Browser<'_>, host: &str) -> bool {
    browser.step(&format!("{}/", origin(host))).await.status == StatusCode::OK
}

#[tokio::test]
async fn all_sessions_of_the_user_are_gone_before_the_answer_and_those_of_others_stay() {
    let fixture = Fixture::new().await;
    let (one, two) = (
        fixture.signed_in("alice", LAB).await,
        fixture.signed_in("alice", LAB).await,
    );
    let bob = fixture.signed_in("bob", BOBS).await;
    let answer = send_logout(&fixture, &token(&fixture, &json!({}))).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(fixture.sessions().len(), 1);
    assert!(!is_in(&one, LAB).await && !is_in(&two, LAB).await);
    assert!(is_in(&bob, BOBS).await);
}

#[tokio::test]
async fn one_session_of_the_provider_is_one_session_here_whether_it_names_the_user_or_not() {
    for names_user in [true, false] {
        let fixture = Fixture::new().await;
        let one = fixture.browser("alice");
        fixture.issuer.change(|issuer| {
            issuer.wrong.insert("sid".into(), json!("session-1"));
        });
        assert!(one.open(&lab()).await.is_inside());
        fixture.issuer.change(|issuer| {
            issuer.wrong.insert("sid".into(), json!("session-2"));
        });
        let two = fixture.signed_in("alice", LAB).await;
        fixture.issuer.change(|issuer| issuer.wrong.clear());
        let mut changes = json!({"sid": "session-1"});
        if !names_user {
            changes["sub"] = Value::Null;
        }
        assert_eq!(
            send_logout(&fixture, &token(&fixture, &changes)).await.status,
            StatusCode::OK
        );
        assert!(!is_in(&one, LAB).await);
        assert!(is_in(&two, LAB).await, "names the user: {names_user}");
        // A session of that name which is another user's is not meant.
        let other = token(&fixture, &json!({"sid": "session-2", "sub": "id-of-bob"}));
        assert_eq!(send_logout(&fixture, &other).await.status, StatusCode::OK);
        assert!(is_in(&two, LAB).await);
    }
}

#[tokio::test]
async fn invalid_logout_messages_end_no_session() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let table = [
        json!({"iss": "https://evil.example"}),
        json!({"iss": null}),
        json!({"aud": "another"}),
        json!({"aud": ["another"]}),
        json!({"aud": null}),
        json!({"iat": null}),
        json!({"iat": "now"}),
        json!({"iat": NOW + 61}),
        json!({"iat": NOW - 11 * 60 - 1, "exp": NOW + 60}),
        json!({"exp": NOW - 60}),
        json!({"exp": "later"}),
        json!({"events": null}),
        json!({"events": {}}),
        json!({"events": {"other": {}}}),
        json!({"events": {EVENT: "yes"}}),
        json!({"nonce": "n"}),
        json!({"sub": null}),
        json!({"sub": 7}),
        json!({"jti": null}),
        json!({"jti": ""}),
    ];
    for changes in table {
        let answer = send_logout(&fixture, &token(&fixture, &changes)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{changes}");
        assert_eq!(answer.json()["error"], "invalid_request");
        assert!(!answer.body.contains("evil") && !answer.body.contains("alice"));
    }
    // Of header and signature: what makes a user's token worthless (`bearer_users`) makes this one so.
    let as_access_token = json!({"typ": "at+jwt"}).as_object().unwrap().clone();
    fixture.issuer.change(|issuer| issuer.header = as_access_token);
    let answer = send_logout(&fixture, &token(&fixture, &json!({}))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    fixture
        .issuer
        .change(|issuer| (issuer.signature, issuer.header) = (Signature::ForeignKey, Map::new()));
    let answer = send_logout(&fixture, &token(&fixture, &json!({}))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    fixture
        .issuer
        .change(|issuer| issuer.signature = Signature::Valid);
    let good = token(&fixture, &json!({}));
    let (head, tail) = good.split_at(good.len() / 2);
    for forged in [
        String::new(),
        "a.b.c".into(),
        format!("{head}x{tail}"),
        format!("{good}.x"),
        good.rsplit_once('.').unwrap().0.to_owned(),
        "x".repeat(9000),
        format!("{good}&logout_token={good}"),
    ] {
        assert_eq!(
            send_logout(&fixture, &forged).await.status,
            StatusCode::BAD_REQUEST,
            "{forged}"
        );
    }
    assert!(is_in(&alice, LAB).await);
    assert_eq!(send_logout(&fixture, &good).await.status, StatusCode::OK);
    assert!(!is_in(&alice, LAB).await);
}

#[tokio::test]
async fn a_repeated_logout_message_ends_no_newer_session() {
    let fixture = Fixture::new().await;
    fixture.signed_in("alice", LAB).await;
    let message = token(&fixture, &json!({}));
    assert_eq!(send_logout(&fixture, &message).await.status, StatusCode::OK);
    assert_eq!(
        send_logout(&fixture, &message).await.status,
        StatusCode::BAD_REQUEST
    );
    fixture.pass(1);
    let alice = fixture.signed_in("alice", LAB).await;
    // A replica that has not heard it before takes it for new, and finds nothing that it could mean.
    let second = fixture.replica().await;
    assert_eq!(send_logout(&second, &message).await.status, StatusCode::OK);
    assert!(is_in(&alice, LAB).await);
}

#[tokio::test]
async fn a_logout_message_that_overtakes_a_login_ends_its_session() {
    let fixture = Fixture::new().await;
    assert_eq!(
        send_logout(&fixture, &token(&fixture, &json!({}))).await.status,
        StatusCode::OK
    );
    // The provider's ID token is of the same second as its message.
    let alice = fixture.browser("alice");
    let landing = alice.open(&lab()).await;
    assert_eq!(landing.answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(fixture.sessions().is_empty());
    fixture.pass(1);
    fixture.signed_in("alice", LAB).await;
}

#[tokio::test]
async fn a_deletion_that_fails_is_asked_for_again() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let message = token(&fixture, &json!({}));
    for (method, code) in [(Method::GET, 503), (Method::DELETE, 500)] {
        fixture.server.fail(Fault {
            method,
            path_part: "gatewaysessions",
            code,
            reason: "InternalError",
            message: "later".into(),
            times: 1,
        });
        assert_eq!(
            send_logout(&fixture, &message).await.status,
            StatusCode::SERVICE_UNAVAILABLE
        );
    }
    assert_eq!(send_logout(&fixture, &message).await.status, StatusCode::OK);
    assert!(!is_in(&alice, LAB).await);
    // Before the provider is known nothing can be judged.
    let early = Fixture::without_provider();
    assert_eq!(
        send_logout(&early, &message).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn strangers_with_unknown_keys_cost_one_fetch_a_minute_and_no_login_its_own() {
    let fixture = Fixture::new().await;
    let fetches = || {
        let requests = fixture.issuer.take_requests();
        requests.iter().filter(|path| *path == "/jwks").count()
    };
    fixture.pass(60);
    fixture
        .issuer
        .change(|issuer| issuer.signature = Signature::UnknownKeyId);
    for _ in 0..20 {
        send_logout(&fixture, &token(&fixture, &json!({}))).await;
    }
    assert_eq!(fetches(), 1);
    // New keys at the same moment: a login gets them all the same.
    fixture.issuer.change(|issuer| {
        issuer.signature = Signature::Valid;
        issuer.second_key = true;
    });
    let alice = fixture.signed_in("alice", LAB).await;
    assert_eq!(fetches(), 1);
    assert_eq!(
        send_logout(&fixture, &token(&fixture, &json!({}))).await.status,
        StatusCode::OK
    );
    assert!(!is_in(&alice, LAB).await);
}

#[tokio::test]
async fn only_a_form_is_read_and_only_a_short_one() {
    let fixture = Fixture::new().await;
    let url = format!("{AUTH}/backchannel-logout");
    let body = format!("logout_token={}", token(&fixture, &json!({})));
    for kind in ["application/json", "text/plain"] {
        let lines = headers(&[("content-type", kind)]);
        let answer = fixture.page(Method::POST, &url, lines, body.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    let lines = headers(&[("content-type", "application/x-www-form-urlencoded")]);
    let long = format!("logout_token={}", "x".repeat(20_000));
    let answer = fixture.page(Method::POST, &url, lines.clone(), long).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let answer = fixture.page(Method::GET, &url, lines, body).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
}
