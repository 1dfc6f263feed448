//! Tokens of users, issued by their identity provider.

use gateway::oidc::Admission;
use gateway::oidc::Mapping;
use gateway::oidc::Registered;
use http::StatusCode;
use serde_json::{Value, json};
use testkit::issuer::Signature;

use super::bearer::{get, with};
use super::bearer_sockets::settle;
use crate::support::fixture::{BOBS, ISSUER, LAB, NOW, PARTNERS};
use crate::support::tokens::{SCRIPTS, Tokens};

#[tokio::test]
async fn a_user_s_token_is_as_good_as_their_login() {
    let tokens = Tokens::new().await;
    let alice = tokens.user_token("alice", &json!({}));
    let answer = get(&tokens.fixture, LAB, with(&alice)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert!(!answer.headers.contains_key("authorization"));
    let opened = tokens.fixture.records("opened", 1).await.remove(0);
    assert_eq!(
        (&opened["user"], &opened["token"], &opened["rule"]),
        (&json!("alice"), &json!("user"), &json!("owner"))
    );
    assert_eq!(
        get(&tokens.fixture, BOBS, with(&alice)).await.status,
        StatusCode::FORBIDDEN
    );
    // No session comes of it.
    assert!(tokens.fixture.sessions().is_empty());
}

#[tokio::test]
async fn claims_become_names_as_at_a_login_and_keep_users_out_as_there() {
    let mapping = Mapping::new(ISSUER, "email", None, Some("groups"), "oidc:");
    let mut only = Registered::only(ISSUER, mapping);
    only.admission = Admission::new(&["example.org".into()], &["oidc:staff".into()]).unwrap();
    let tokens = Tokens::of(only).await;
    let index = &tokens.fixture.app.index;
    let mut lab = (**index.load().target(&LAB.into()).unwrap()).clone();
    lab.owner = "alice@example.org".into();
    tokens.fixture.publish(vec![lab]);
    let good = json!({"email": "alice@example.org", "email_verified": true, "groups": ["staff"]});
    let changed = |changes: Value| {
        let mut claims = good.clone();
        let fields = claims.as_object_mut().unwrap();
        fields.extend(changes.as_object().unwrap().clone());
        claims
    };
    for (claims, status, message) in [
        (good.clone(), 200, ""),
        (changed(json!({"email_verified": false})), 401, "verified"),
        (changed(json!({"email_verified": null})), 401, "verified"),
        (changed(json!({"email": null})), 401, "user name"),
        (changed(json!({"email": "system:admin"})), 401, "system:"),
        (changed(json!({"groups": 7})), 401, "groups"),
        (changed(json!({"groups": ["others"]})), 403, "does not admit"),
        (
            changed(json!({"email": "alice@evil.example"})),
            403,
            "does not admit",
        ),
        (
            changed(json!({"email": "mallory@example.org"})),
            403,
            "no such workspace",
        ),
    ] {
        let token = tokens.user_token("alice", &claims);
        let answer = get(&tokens.fixture, LAB, with(&token)).await;
        assert_eq!(answer.status.as_u16(), status, "{claims}: {}", answer.body);
        assert!(answer.body.contains(message), "{claims}: {}", answer.body);
    }
    let kept_out = tokens.fixture.records("not_admitted", 2).await;
    assert_eq!(kept_out[0]["rule"], "not_admitted_group");
    assert_eq!(kept_out[1]["rule"], "not_admitted_email_domain");
}

#[tokio::test]
async fn a_token_of_the_client_that_users_sign_in_with_is_never_taken() {
    let tokens = Tokens::new().await;
    for audience in [
        json!("gateway"),
        json!(["gateway", SCRIPTS]),
        json!("other"),
        json!([]),
        json!(null),
    ] {
        let token = tokens.user_token("alice", &json!({"aud": audience}));
        let answer = get(&tokens.fixture, LAB, with(&token)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{audience}");
    }
    // What a login got for another audience: the client that asked is named beside it.
    for client in [
        json!({"aud": SCRIPTS, "azp": "gateway"}),
        json!({"aud": SCRIPTS, "azp": null, "client_id": "gateway"}),
        json!({"aud": SCRIPTS, "azp": SCRIPTS, "client_id": "gateway"}),
    ] {
        let answer = get(&tokens.fixture, LAB, with(&tokens.user_token("alice", &client))).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{client}");
    }
    let token = tokens.user_token(
        "alice",
        &json!({"aud": ["robots"], "azp": null, "client_id": "robots"}),
    );
    assert_eq!(
        get(&tokens.fixture, LAB, with(&token)).await.status,
        StatusCode::OK
    );
    let other = get(
        &tokens.fixture,
        LAB,
        with(&tokens.user_token("alice", &json!({"aud": "x"}))),
    )
    .await;
    let text = other.json()["message"].as_str().unwrap().to_owned();
    assert!(text.ends_with("audience (aud) is scripts or robots."), "{text}");
}

#[tokio::test]
async fn tokens_that_the_provider_did_not_sign_or_that_are_of_another_kind_are_refused() {
    let tokens = Tokens::new().await;
    for signature in [
        Signature::ForeignKey,
        Signature::PublicKeyAsSecret,
        Signature::ClientSecret,
        Signature::None,
    ] {
        tokens
            .fixture
            .issuer
            .change(|issuer| issuer.signature = signature);
        let token = tokens.user_token("alice", &json!({}));
        let answer = get(&tokens.fixture, LAB, with(&token)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{signature:?}");
    }
    tokens
        .fixture
        .issuer
        .change(|issuer| issuer.signature = Signature::Valid);
    for header in [
        json!({"typ": "logout+jwt"}),
        json!({"typ": "dpop+jwt"}),
        json!({"typ": 1}),
        json!({"crit": ["exp"]}),
        json!({"alg": "HS256"}),
        json!({"alg": "RS384"}),
        json!({"alg": "none"}),
        json!({"alg": null}),
        json!({"kid": ["first"]}),
    ] {
        let changes = header.as_object().unwrap().clone();
        tokens.fixture.issuer.change(|issuer| issuer.header = changes);
        let answer = get(
            &tokens.fixture,
            LAB,
            with(&tokens.user_token("alice", &json!({}))),
        )
        .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{header}");
    }
    tokens.fixture.issuer.change(|issuer| issuer.header.clear());
    for claims in [
        json!({"iss": PARTNERS}),
        json!({"iss": null}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"exp": NOW - 60}),
        json!({"exp": null}),
        json!({"exp": (NOW + 300).to_string()}),
        json!({"iat": NOW + 61}),
        json!({"iat": "now"}),
        json!({"nbf": NOW + 61}),
        json!({"cnf": {"jkt": "x"}}),
        json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
    ] {
        let answer = get(&tokens.fixture, LAB, with(&tokens.user_token("alice", &claims))).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{claims}");
    }
    for claims in [
        json!({"exp": NOW - 59}),
        json!({"iat": NOW + 60}),
        json!({"nbf": NOW + 60}),
    ] {
        let answer = get(&tokens.fixture, LAB, with(&tokens.user_token("alice", &claims))).await;
        assert_eq!(answer.status, StatusCode::OK, "clocks differ: {claims}");
    }
    // Keys that the gateway requests, and that the provider does not have.
    let issuer = &tokens.fixture.issuer;
    tokens.fixture.pass(60);
    issuer.change(|issuer| issuer.signature = Signature::UnknownKeyId);
    let answer = get(
        &tokens.fixture,
        LAB,
        with(&tokens.user_token("alice", &json!({}))),
    )
    .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    tokens.fixture.pass(60);
    let elsewhere = json!({"kid": "../../dev/null", "jku": "https://evil.example/jwks"});
    let header = elsewhere.as_object().unwrap().clone();
    issuer.change(|issuer| (issuer.signature, issuer.header) = (Signature::Valid, header));
    let answer = get(
        &tokens.fixture,
        LAB,
        with(&tokens.user_token("alice", &json!({}))),
    )
    .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_new_key_is_fetched_and_a_provider_that_does_not_answer_refuses_no_token() {
    let tokens = Tokens::new().await;
    let issuer = &tokens.fixture.issuer;
    tokens.fixture.pass(61);
    issuer.change(|issuer| {
        issuer.second_key = true;
        issuer.failure = Some(503);
    });
    let token = tokens.user_token("alice", &json!({"exp": NOW + 3600}));
    for _ in 0..2 {
        let answer = get(&tokens.fixture, LAB, with(&token)).await;
        assert_eq!(
            answer.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "the answer is unknown"
        );
    }
    issuer.change(|issuer| issuer.failure = None);
    tokens.fixture.pass(60);
    assert_eq!(
        get(&tokens.fixture, LAB, with(&token)).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_key_that_the_provider_withdrew_counts_no_longer_than_minutes() {
    let tokens = Tokens::new().await;
    let token = tokens.user_token("alice", &json!({"exp": NOW + 3600}));
    let status = async || get(&tokens.fixture, LAB, with(&token)).await.status;
    assert_eq!(status().await, StatusCode::OK);
    tokens.fixture.issuer.change(|issuer| issuer.second_key = true);
    tokens.fixture.issuer.take_requests();
    tokens.fixture.pass(599);
    assert_eq!(status().await, StatusCode::OK);
    settle().await;
    assert_eq!(tokens.fixture.issuer.take_requests(), [""; 0]);
    tokens.fixture.pass(60);
    assert_eq!(status().await, StatusCode::OK, "it waits for no fetch");
    settle().await;
    assert_eq!(tokens.fixture.issuer.take_requests(), ["/jwks"]);
    tokens.fixture.pass(60);
    assert_eq!(status().await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn keys_that_are_a_day_old_prove_nothing() {
    let tokens = Tokens::new().await;
    let token = tokens.user_token("alice", &json!({"exp": NOW + 90_000}));
    let status = async || get(&tokens.fixture, LAB, with(&token)).await.status;
    tokens.fixture.issuer.change(|issuer| issuer.failure = Some(503));
    tokens.fixture.pass(86_399);
    assert_eq!(status().await, StatusCode::OK);
    settle().await;
    tokens.fixture.pass(60);
    assert_eq!(status().await, StatusCode::SERVICE_UNAVAILABLE);
    tokens.fixture.issuer.change(|issuer| issuer.failure = None);
    tokens.fixture.pass(60);
    assert_eq!(status().await, StatusCode::OK);
}
