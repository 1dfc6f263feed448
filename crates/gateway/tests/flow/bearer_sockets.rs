//! Websockets of scripts, and authorization requests of other proxies for them.

use super::assertion::text;
use super::bearer::with;
use crate::support::browser::headers;
use crate::support::fixture::{LAB, OPEN, origin};
use crate::support::tokens::{SERVICE_ACCOUNT, Tokens};

pub(super) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_script_opens_a_websocket_without_an_origin_and_a_page_only_with_the_workspace_s() {
    let tokens = Tokens::new().await;
    let lines = with(&tokens.account(SERVICE_ACCOUNT));
    let admitted = tokens.fixture.app.admit_socket(&OPEN.into(), "/", &lines).await;
    let Ok((target, grant)) = admitted else {
        panic!("it may")
    };
    let assertion = tokens.fixture.app.attest_socket(&target, &grant).unwrap();
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
