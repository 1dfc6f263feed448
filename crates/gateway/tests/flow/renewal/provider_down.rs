//! The provider does not answer: how long a session stays valid, and how it ends or recovers.

use std::cell::Cell;

use testkit::issuer::Signature;

use super::*;

#[tokio::test]
async fn while_the_provider_is_down_sessions_go_on_for_an_hour_and_come_back_with_it() {
    let fixture = Fixture::new().await;
    let alice = signed_in(&fixture).await;
    fixture.issuer.change(|issuer| issuer.failure = Some(503));
    for _ in 0..11 {
        fixture.pass(5 * MINUTE);
        for _ in 0..10 {
            assert!(passes(&alice).await);
        }
        let asked = Cell::new(0);
        until(&fixture, "a question", || {
            asked.set(asked.get() + questions(&fixture));
            asked.get() > 0
        })
        .await;
        assert_eq!(asked.get(), 1, "however many requests there are");
    }
    fixture.pass(5 * MINUTE - 1);
    assert!(passes(&alice).await);
    fixture.pass(1);
    // The provider confirmed nothing for an hour: nothing passes, and no user is signed out.
    let answer = alice.step(&lab()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(fixture.sessions().len(), 1);

    fixture.issuer.change(|issuer| issuer.failure = None);
    fixture.pass(3 * MINUTE);
    // What was just said is remembered for two seconds.
    let start = Instant::now();
    while alice.step(&lab()).await.status != StatusCode::OK {
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.sessions().len(), 1);
}

#[tokio::test]
async fn after_an_hour_without_use_the_provider_attests_before_anything_passes() {
    let fixture = Fixture::new().await;
    let alice = signed_in(&fixture).await;
    fixture.pass(90 * MINUTE);
    // The ticket has expired. The sign-in leads over the auth host, and waits there for the provider.
    assert!(passes(&alice).await);
    assert_eq!(questions(&fixture), 1);

    say(&fixture, None);
    fixture.pass(90 * MINUTE);
    assert!(!passes(&alice).await);
    assert!(fixture.sessions().is_empty());
}

#[tokio::test]
async fn groups_that_cannot_be_known_are_the_last_known_ones_for_an_hour_and_never_none() {
    let mut hidden = claims(&Value::Null);
    hidden.insert("_claim_names".into(), json!({"groups": "elsewhere"}));
    for user in [hidden, claims(&json!(vec!["g"; 1001])), claims(&json!({"a": 1}))] {
        let fixture = Fixture::new().await;
        let alice = signed_in(&fixture).await;
        say(&fixture, Some(user));
        let before = version(&fixture);
        fixture.pass(5 * MINUTE);
        assert!(passes(&alice).await);
        until(&fixture, "an answer", || questions(&fixture) > 0).await;
        until(&fixture, "it was written down", || version(&fixture) != before).await;
        assert_eq!(groups(&fixture), ["oidc:users"]);
        fixture.pass(55 * MINUTE);
        assert_eq!(
            alice.step(&format!("{}/", origin(LAB))).await.status,
            StatusCode::FOUND,
            "the ticket has ended"
        );
        assert!(!passes(&alice).await);
    }
}

#[tokio::test]
async fn an_id_token_that_is_forged_or_missing_changes_no_groups() {
    for signature in [Signature::ForeignKey, Signature::None, Signature::ClientSecret] {
        let fixture = Fixture::new().await;
        let alice = signed_in(&fixture).await;
        fixture.issuer.change(|issuer| issuer.signature = signature);
        say(&fixture, Some(claims(&json!(["admins"]))));
        let before = version(&fixture);
        fixture.pass(5 * MINUTE);
        assert!(passes(&alice).await);
        until(&fixture, "an answer", || questions(&fixture) > 0).await;
        until(&fixture, "it was written down", || version(&fixture) != before).await;
        assert_eq!(groups(&fixture), ["oidc:users"], "{signature:?}");
    }
    // Without an ID token the provider confirms the user, and reports no changes.
    let fixture = Fixture::new().await;
    let alice = signed_in(&fixture).await;
    fixture.issuer.change(|issuer| issuer.renews_id_token = false);
    for _ in 0..30 {
        let before = version(&fixture);
        fixture.pass(5 * MINUTE);
        assert!(passes(&alice).await);
        until(&fixture, "a renewal", || version(&fixture) != before).await;
    }
    assert_eq!(groups(&fixture), ["oidc:users"]);
}

#[tokio::test]
async fn without_refresh_tokens_a_session_lasts_an_hour_and_the_next_one_begins_at_the_provider() {
    let fixture = Fixture::new().await;
    fixture.issuer.change(|issuer| issuer.refreshes = false);
    let alice = signed_in(&fixture).await;
    fixture.pass(HOUR - 1);
    assert!(passes(&alice).await);
    fixture.pass(1);
    assert!(!passes(&alice).await);
    assert!(alice.open(&lab()).await.is_inside());
}

#[tokio::test]
async fn a_provider_that_refuses_the_gateway_for_an_hour_ends_sessions_so_that_logins_say_why() {
    let fixture = Fixture::new().await;
    let alice = signed_in(&fixture).await;
    fixture
        .issuer
        .change(|issuer| issuer.token_error = Some("invalid_client"));
    for _ in 0..11 {
        fixture.pass(5 * MINUTE);
        assert!(passes(&alice).await);
    }
    fixture.pass(5 * MINUTE);
    assert_eq!(alice.step(&lab()).await.status, StatusCode::FOUND);
    assert!(fixture.sessions().is_empty());
    let page = alice.open(&lab()).await.answer;
    assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        page.body.contains("does not accept this gateway"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn a_session_without_attestation_causes_no_redirect_loop() {
    let fixture = Fixture::new().await;
    let alice = signed_in(&fixture).await;
    fixture.issuer.change(|issuer| issuer.failure = Some(404));
    for _ in 0..12 {
        fixture.pass(5 * MINUTE);
        alice.step(&lab()).await;
    }
    // Two hours after the last use that came to something, however often it was tried since.
    let mut asked = 0;
    for _ in 0..12 {
        asked += questions(&fixture);
        fixture.pass(10 * MINUTE - 1);
        for _ in 0..5 {
            let enter = alice.open_until(&lab(), |url| url.starts_with(ISSUER)).await;
            assert!(!enter.is_inside());
        }
    }
    assert!(asked <= 30, "{asked} questions");
    fixture.pass(MINUTE);
    let landing = alice.open_until(&lab(), |url| url.starts_with(ISSUER)).await;
    assert_eq!(
        landing.answer.status,
        StatusCode::FOUND,
        "a new login: {landing:#?}"
    );
}
