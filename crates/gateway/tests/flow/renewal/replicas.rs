//! Several replicas and one provider: one replica asks, and a late answer changes nothing.

use gateway::tokens::cookies::TICKET;

use super::*;

#[tokio::test]
async fn replicas_renew_a_session_once_even_with_single_use_refresh_tokens() {
    let fixture = Fixture::new().await;
    fixture.issuer.change(|issuer| issuer.rotates = true);
    let alice = signed_in(&fixture).await;
    let second = fixture.replica().await;
    second.watch().await;
    fixture.issuer.take_requests();
    let elsewhere = alice.at(&second);
    for round in 1..=4 {
        say(&fixture, Some(claims(&json!([format!("round-{round}")]))));
        fixture.pass(5 * MINUTE);
        let address = lab();
        let requests = (0..20).map(|number| if number % 2 == 0 { &alice } else { &elsewhere }.step(&address));
        for answer in futures::future::join_all(requests).await {
            assert_eq!(answer.status, StatusCode::OK);
        }
        let expected = [format!("oidc:round-{round}")];
        until(&fixture, "new groups here", || groups(&fixture) == expected).await;
        until(&second, "new groups there", || groups(&second) == expected).await;
        assert_eq!(questions(&fixture), 1, "round {round}");
        // Tickets are carried on, as browsers do.
        elsewhere.set_cookie(LAB, TICKET, alice.cookie(LAB, TICKET).as_deref());
    }
}

#[tokio::test]
async fn a_replica_that_dies_while_it_asks_delays_no_user() {
    let fixture = Fixture::new().await;
    let alice = signed_in(&fixture).await;
    // The first replica has said that it asks, and is never heard of again.
    fixture.issuer.change(|issuer| issuer.silent = true);
    let before = version(&fixture);
    fixture.pass(5 * MINUTE);
    assert!(passes(&alice).await);
    until(&fixture, "the claim", || version(&fixture) != before).await;
    fixture.issuer.change(|issuer| issuer.silent = false);
    let second = fixture.replica().await;
    second.watch().await;
    say(&fixture, Some(claims(&json!(["later"]))));
    fixture.pass(31);
    assert_eq!(alice.at(&second).step(&lab()).await.status, StatusCode::OK);
    until(&second, "the second to ask", || groups(&second) == ["oidc:later"]).await;
}

#[tokio::test]
async fn a_late_renewal_answer_changes_nothing() {
    let late_answers = [Some(claims(&json!(["late"]))), None];
    for late in late_answers {
        let fixture = Fixture::new().await;
        let alice = signed_in(&fixture).await;
        let second = fixture.replica().await;
        second.watch().await;
        fixture.held.send_replace(true);
        fixture.issuer.take_requests();
        say(&fixture, late);
        fixture.pass(5 * MINUTE);
        assert!(passes(&alice).await);
        while questions(&fixture) == 0 {
            tokio::task::yield_now().await;
        }
        say(&fixture, Some(claims(&json!(["new"]))));
        fixture.pass(31);
        assert_eq!(alice.at(&second).step(&lab()).await.status, StatusCode::OK);
        until(&second, "the second to ask", || groups(&second) == ["oidc:new"]).await;
        until(&fixture, "the first to hear", || groups(&fixture) == ["oidc:new"]).await;
        let before = version(&fixture);
        fixture.server.take_calls();
        let mut changes = fixture.app.sessions.subscribe();
        fixture.held.send_replace(false);
        changes.changed().await.unwrap();
        assert_eq!(version(&fixture), before);
        assert!(
            !fixture
                .server
                .take_calls()
                .iter()
                .any(testkit::api_server::Call::is_write)
        );
    }
}
