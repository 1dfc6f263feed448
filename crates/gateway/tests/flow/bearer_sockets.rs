//! Websockets of scripts, and authorization requests of other proxies for them.

use std::time::Duration;

use axum::body::Body;
use gateway::verify::Authorizer;
use http::{Request, StatusCode};
use tokio::time::{Instant, advance};

use super::assertion::text;
use super::bearer::with;
use crate::support::browser::headers;
use crate::support::fixture::{LAB, OPEN, origin};
use crate::support::tokens::{SERVICE_ACCOUNT, Tokens};

async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_script_opens_a_websocket_without_an_origin_and_a_page_only_with_the_workspace_s() {
    let tokens = Tokens::new().await;
    let lines = with(&tokens.account(SERVICE_ACCOUNT));
    let admitted = Authorizer::admit(&*tokens.fixture.app, &OPEN.into(), &lines).await;
    let Ok((target, grant)) = admitted else {
        panic!("it may")
    };
    let assertion = Authorizer::attest(&*tokens.fixture.app, &target, &grant).unwrap();
    assert_eq!(
        text(&assertion)["bearer"],
        true,
        "the handshake, too, tells of a token"
    );
    assert!(tokens.fixture.handshake(LAB, &lines).await.is_none(), "alice's");
    let from = |sender: &str| {
        let mut lines = lines.clone();
        lines.extend(headers(&[("origin", sender)]));
        lines
    };
    assert!(
        tokens
            .fixture
            .handshake(OPEN, &from(&origin(OPEN)))
            .await
            .is_some()
    );
    for sender in [&origin(LAB), "null", "https://evil.example"] {
        assert!(
            tokens.fixture.handshake(OPEN, &from(sender)).await.is_none(),
            "{sender}"
        );
    }
    let mut twice = lines.clone();
    twice.append("authorization", "Basic YQ==".parse().unwrap());
    assert!(tokens.fixture.handshake(OPEN, &twice).await.is_none());
    assert!(tokens.fixture.handshake(OPEN, &with("garbage")).await.is_none());
}

#[tokio::test]
async fn a_websocket_ends_within_a_minute_of_its_account_and_with_its_token() {
    let tokens = Tokens::new().await;
    let (gone, ends) = (tokens.account(SERVICE_ACCOUNT), tokens.account(SERVICE_ACCOUNT));
    let gone_grant = tokens.fixture.handshake(OPEN, &with(&gone)).await.unwrap();
    let ends_grant = tokens.fixture.handshake(OPEN, &with(&ends)).await.unwrap();
    tokens.revoke(&gone);
    for _ in 0..6 {
        tokens.fixture.pass(10);
        tokens.fixture.app.is_valid(&gone_grant);
        assert!(tokens.fixture.app.is_valid(&ends_grant));
        settle().await;
    }
    assert!(!tokens.fixture.app.is_valid(&gone_grant));
    assert!(tokens.fixture.app.is_valid(&ends_grant));
    tokens.fixture.pass(3600 - 60);
    assert!(!tokens.fixture.app.is_valid(&ends_grant), "its hour is over");
}

#[tokio::test(start_paused = true)]
async fn a_websocket_ends_when_the_account_s_right_is_taken_away() {
    let tokens = Tokens::new().await;
    let rights = tokens.fixture.app.rights.clone();
    tokio::spawn(rights.clone().renew(Duration::from_mins(2)));
    let grant = tokens
        .fixture
        .handshake(OPEN, &with(&tokens.account(SERVICE_ACCOUNT)))
        .await
        .unwrap();
    assert!(tokens.fixture.app.is_valid(&grant));
    // What was asked in this very moment would say nothing about before.
    advance(Duration::from_secs(1)).await;
    tokens.fixture.server.review(|_| false);
    rights.doubt(None);
    let started = Instant::now();
    while tokens.fixture.app.is_valid(&grant) {
        advance(Duration::from_millis(50)).await;
        settle().await;
        assert!(started.elapsed() < Duration::from_secs(2), "it is still open");
    }
}

#[tokio::test]
async fn every_proxy_s_question_about_a_token_gets_the_same_decision() {
    let tokens = Tokens::new().await;
    let (account, garbage) = (tokens.account(SERVICE_ACCOUNT), "garbage".to_owned());
    let own = "gateway.system.svc:8443";
    let ask = async |proxy: &str, host: &str, token: &str| {
        let authority = format!("{host}:8443");
        let request = match proxy {
            "nginx" => Request::get("/verify/nginx")
                .header("host", own)
                .header("x-original-url", format!("https://{authority}/api"))
                .header("x-original-method", "GET"),
            "caddy" => Request::get("/verify/caddy")
                .header("host", own)
                .header("x-forwarded-method", "GET")
                .header("x-forwarded-proto", "https")
                .header("x-forwarded-host", &authority)
                .header("x-forwarded-uri", "/api"),
            _ => Request::get("/ext_authz/api")
                .header("host", &authority)
                .header("x-forwarded-proto", "https"),
        };
        let request = request.header("authorization", format!("Bearer {token}"));
        tokens
            .fixture
            .ask_verify(request.body(Body::empty()).unwrap())
            .await
    };
    for proxy in ["nginx", "caddy", "envoy"] {
        let good = ask(proxy, OPEN, &account).await;
        assert_eq!(good.status, StatusCode::OK, "{proxy}");
        // Removed: by an empty value, or by name.
        match good.headers.get("authorization") {
            Some(value) => assert_eq!(value, ""),
            None => assert!(
                good.headers["x-envoy-auth-headers-to-remove"]
                    .to_str()
                    .unwrap()
                    .contains("authorization")
            ),
        }
        assert_eq!(
            ask(proxy, LAB, &account).await.status,
            StatusCode::FORBIDDEN,
            "{proxy}"
        );
        let bad = ask(proxy, OPEN, &garbage).await;
        assert_eq!(bad.status, StatusCode::UNAUTHORIZED, "{proxy}");
        assert!(bad.headers.contains_key("www-authenticate"), "{proxy}");
    }
}
