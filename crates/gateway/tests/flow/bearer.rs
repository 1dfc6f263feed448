//! Tokens of service accounts in place of a ticket.

use api::workspace::AccessType;
use gateway::index::Target;
use gateway::tokens::cookies;
use http::{HeaderMap, StatusCode};
use rules::access::Shared;
use serde_json::json;

use super::assertion::claims;
use crate::support::browser::{Answer, NAVIGATION, headers};
use crate::support::fixture::{AUTH, BOBS, Fixture, LAB, NONE, NOW, OPEN, origin, target};
use crate::support::tokens::{CLUSTER, SERVICE_ACCOUNT, Tokens, token};

pub(super) fn with(token: &str) -> HeaderMap {
    headers(&[("authorization", &format!("Bearer {token}"))])
}

pub(super) async fn get(fixture: &Fixture, host: &str, lines: HeaderMap) -> Answer {
    fixture
        .verify("GET", &format!("{}/api/status", origin(host)), lines)
        .await
}

/// Paths of the API server that were asked since the last time.
fn asked(fixture: &Fixture) -> Vec<String> {
    let calls = fixture.server.take_calls().into_iter();
    let reviews = calls.filter(|call| call.path.ends_with("reviews"));
    reviews
        .filter_map(|call| call.path.rsplit('/').next().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn disabled_tokens_are_neither_reviewed_nor_advertised() {
    let fixture = Fixture::new().await;
    let claims = json!({"iss": CLUSTER, "aud": [AUTH], "exp": NOW + 3600});
    let answer = get(&fixture, OPEN, with(&token(&claims, 0))).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json()["error"], "SignInRequired");
    assert!(!answer.headers.contains_key("www-authenticate"));
    let text = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(
        text.ends_with("This site does not accept tokens (Authorization: Bearer)."),
        "{text}"
    );
    assert_eq!(asked(&fixture), [""; 0]);
    // It is said to everybody alike, and of every workspace.
    for (workspace, sent) in [(OPEN, headers(&[])), (NONE, with(&token(&claims, 0)))] {
        let alike = get(&fixture, workspace, sent).await;
        assert_eq!(
            (alike.status, alike.json()["message"].as_str()),
            (answer.status, Some(text.as_str()))
        );
    }
}

#[tokio::test]
async fn a_service_account_s_token_admits_to_what_its_account_may_open() {
    let tokens = Tokens::new().await;
    let fixture = &tokens.fixture;
    let account = tokens.account(SERVICE_ACCOUNT);
    let answer = get(fixture, OPEN, with(&account)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    // The token goes no further, and nothing comes back that could be kept.
    assert!(!answer.headers.contains_key("authorization"));
    assert!(!answer.headers.contains_key("set-cookie"));
    let attested = claims(&answer.headers);
    assert_eq!(attested["sub"], SERVICE_ACCOUNT);
    assert_eq!(attested["aud"], format!("uid-of-{OPEN}"));
    // So the application asks for no proof that a page cannot forge: no page sends this unasked.
    assert_eq!(attested["bearer"], true);
    assert_eq!(asked(fixture), ["tokenreviews", "subjectaccessreviews"]);
    for _ in 0..5 {
        assert_eq!(get(fixture, OPEN, with(&account)).await.status, StatusCode::OK);
    }
    assert_eq!(asked(fixture), [""; 0], "from memory");
    let opened = fixture.records("opened", 1).await.remove(0);
    assert_eq!(
        (&opened["user"], &opened["token"]),
        (&json!(SERVICE_ACCOUNT), &json!("service_account"))
    );
    assert_eq!(opened["rule"], "public");
}

#[tokio::test]
async fn owners_and_shares_count_for_accounts_as_for_users_and_strangers_learn_nothing() {
    let tokens = Tokens::new().await;
    let mut shared = Shared::default();
    let subject = json!({"kind": "ServiceAccount", "namespace": "ci", "name": "robot"});
    shared.add(&serde_json::from_value(subject).unwrap(), None);
    tokens.fixture.publish(vec![
        target(LAB, SERVICE_ACCOUNT, AccessType::OwnerOnly),
        Target {
            shared: shared.into(),
            ..target(OPEN, "bob", AccessType::OwnerOnly)
        },
        target(BOBS, "bob", AccessType::OwnerOnly),
    ]);
    let account = tokens.account(SERVICE_ACCOUNT);
    for (host, status) in [(LAB, StatusCode::OK), (OPEN, StatusCode::OK)] {
        assert_eq!(
            get(&tokens.fixture, host, with(&account)).await.status,
            status,
            "{host}"
        );
    }
    let (theirs, nobodys) = (
        get(&tokens.fixture, BOBS, with(&account)).await,
        get(&tokens.fixture, NONE, with(&account)).await,
    );
    assert_eq!(theirs.status, StatusCode::FORBIDDEN);
    assert_eq!(
        (theirs.status, theirs.headers, theirs.body),
        (nobodys.status, nobodys.headers, nobodys.body)
    );
    // An account of that name in another namespace is another user.
    let other = tokens.account("system:serviceaccount:other:robot");
    assert_eq!(
        get(&tokens.fixture, OPEN, with(&other)).await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn requests_without_token_get_a_bearer_challenge_and_browsers_a_redirect() {
    let tokens = Tokens::new().await;
    let answer = get(&tokens.fixture, OPEN, HeaderMap::new()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        answer.headers["www-authenticate"],
        format!("Bearer realm=\"{AUTH}\"")
    );
    for scheme in ["Basic YWxpY2U6YQ==", "token abc", "Negotiate x"] {
        let answer = get(&tokens.fixture, OPEN, headers(&[("authorization", scheme)])).await;
        assert_eq!(answer.json()["error"], "SignInRequired", "{scheme}");
    }
    let page = get(&tokens.fixture, OPEN, headers(&NAVIGATION)).await;
    assert_eq!(page.status, StatusCode::FOUND);
    // But a client that sends a token is never redirected.
    let mut both = headers(&NAVIGATION);
    both.extend(with("garbage"));
    let answer = get(&tokens.fixture, OPEN, both).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.location().is_none());
}

#[tokio::test]
async fn a_ticket_decides_alone_whatever_authorization_says() {
    let tokens = Tokens::new().await;
    let fixture = &tokens.fixture;
    let alice = fixture.signed_in("alice", LAB).await;
    let ticket = alice.cookie(LAB, cookies::TICKET).unwrap();
    let account = tokens.account(SERVICE_ACCOUNT);
    let send = async |ticket: &str, authorization: &str| {
        let cookie = format!("{}={ticket}", cookies::TICKET);
        let lines = [
            ("cookie", cookie.as_str()),
            ("authorization", authorization),
            ("sec-fetch-site", "same-origin"),
        ];
        get(fixture, LAB, headers(&lines)).await
    };
    // The ticket is alice's. The application receives her name, whatever the token says.
    for authorization in [&format!("Bearer {account}"), "Bearer garbage", "token abc"] {
        let answer = send(&ticket, authorization).await;
        assert_eq!(answer.status, StatusCode::OK, "{authorization}");
        assert_eq!(claims(&answer.headers)["sub"], "alice");
        assert_eq!(claims(&answer.headers).get("bearer"), None, "{authorization}");
        assert!(!answer.headers.contains_key("authorization"));
    }
    // A token does not replace an invalid ticket.
    let open = tokens.account(SERVICE_ACCOUNT);
    let answer = send("expired", &format!("Bearer {open}")).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json()["error"], "SignInRequired");
    let reviews = asked(fixture).into_iter().filter(|path| path == "tokenreviews");
    assert_eq!(reviews.count(), 0);
}

#[tokio::test]
async fn garbage_and_forgeries_are_refused_and_no_token_is_in_the_log() {
    let tokens = Tokens::new().await;
    let claims = json!({"iss": CLUSTER, "aud": [AUTH], "exp": NOW + 3600, "sub": SERVICE_ACCOUNT});
    let (forged, good) = (token(&claims, 99), tokens.account(SERVICE_ACCOUNT));
    let other = tokens.user_token("alice", &json!({}));
    let parts: Vec<&str> = good.split('.').collect();
    let others: Vec<&str> = other.split('.').collect();
    let forgeries = [
        "",
        "garbage",
        "a.b.c",
        OPEN,
        &forged,
        &good[..good.len() - 4],
        &good[1..],
        &format!("{good}x"),
        &format!(" {good}"),
        &format!("{good}, Bearer {good}"),
        // Parts of two tokens that count.
        &[others[0], parts[1], parts[2]].join("."),
        &[parts[0], others[1], parts[2]].join("."),
        &[parts[0], parts[1], others[2]].join("."),
        &[others[0], parts[1], others[2]].join("."),
        &"x".repeat(20_000),
    ];
    for text in forgeries {
        let answer = get(&tokens.fixture, OPEN, with(text)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{text}");
        assert_eq!(answer.json()["error"], "InvalidToken");
        assert!(
            !answer.body.contains("invalid bearer token"),
            "the API server's message"
        );
    }
    for good in [&good, &other] {
        let answer = get(&tokens.fixture, OPEN, with(good)).await;
        assert_eq!(answer.status, StatusCode::OK, "{good}");
    }
    let records = tokens.fixture.records("token_refused", forgeries.len()).await;
    for secret in [&forged, &good] {
        let (_, signature) = secret.rsplit_once('.').unwrap();
        assert!(!serde_json::to_string(&records).unwrap().contains(signature));
    }
    // Nowhere but in the header does one count.
    let url = format!("{}/api/status?access_token={good}&token={good}", origin(OPEN));
    let answer = tokens.fixture.verify("GET", &url, HeaderMap::new()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn many_new_tokens_are_rate_limited_and_known_ones_are_not() {
    use gateway::server::{Rate, Rates, Throttle};
    use gateway::verify::AppState;
    let tokens = Tokens::new().await;
    let before = &tokens.fixture.app;
    let app = AppState {
        throttle: std::sync::Arc::new(Throttle::new(Rates {
            address: Rate::per_minute(4),
            ..Rates::unbounded()
        })),
        ..(**before).clone()
    };
    let send = async |token: &str, address: &str| {
        let mut lines = with(token);
        lines.extend(headers(&[
            ("x-forwarded-method", "GET"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", &format!("{OPEN}:8443")),
            ("x-forwarded-uri", "/"),
            ("x-forwarded-for", address),
        ]));
        app.verify(&lines).await
    };
    let account = tokens.account(SERVICE_ACCOUNT);
    assert_eq!(send(&account, "203.0.113.7").await.status(), StatusCode::OK);
    assert_eq!(
        send(&tokens.account(SERVICE_ACCOUNT), "203.0.113.7")
            .await
            .status(),
        StatusCode::OK
    );
    let late = send(&tokens.account(SERVICE_ACCOUNT), "203.0.113.7").await;
    assert_eq!(late.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(late.headers().contains_key("retry-after"));
    for _ in 0..10 {
        assert_eq!(send(&account, "203.0.113.7").await.status(), StatusCode::OK);
    }
    assert_eq!(
        send(&tokens.account(SERVICE_ACCOUNT), "203.0.113.8")
            .await
            .status(),
        StatusCode::OK
    );
}
