//! Session fixation: cookies that an attacker sets before a user signs in give the attacker no access.

use api::GatewaySession;
use gateway::tokens::cookies;
use http::StatusCode;
use kube::runtime::watcher::Event;

use super::sign_out::sign_out;
use crate::support::browser::{Browser, split};
use crate::support::fixture::{AUTH, Fixture, LAB, OPEN, SYSTEM, lab, origin};

const AUTH_HOST: &str = "auth.ws.example";

/// Whether this browser gets into alice's workspace.
async fn is_in(browser: &Browser<'_>) -> bool {
    browser.step(&lab()).await.status == StatusCode::OK
}

async fn hear(fixture: &Fixture) {
    for session in fixture.sessions() {
        fixture.app.sessions.apply(Event::Apply(session)).await;
    }
}

#[tokio::test]
async fn a_ticket_that_was_planted_before_a_login_does_not_survive_it() {
    let fixture = Fixture::new().await;
    let mallory = fixture.signed_in("mallory", OPEN).await;
    let hers = mallory.cookie(OPEN, cookies::TICKET).unwrap();
    // One that was alice's, and is over.
    let before = fixture.signed_in("alice", LAB).await;
    let over = before.cookie(LAB, cookies::TICKET).unwrap();
    fixture.pass(gateway::tokens::TICKET_LIFE);
    for planted in [hers.as_str(), &over, "x", &hers[..20]] {
        let alice = fixture.browser("alice");
        alice.set_cookie(LAB, cookies::TICKET, Some(planted));
        let landing = alice.open(&lab()).await;
        assert!(landing.is_inside(), "{landing:#?}");
        let ticket = alice.cookie(LAB, cookies::TICKET).unwrap();
        assert_ne!(ticket, planted);
        // Who knows what was planted is as far as before.
        let knows = fixture.browser("mallory");
        knows.set_cookie(LAB, cookies::TICKET, Some(planted));
        assert!(!is_in(&knows).await, "{planted}");
    }
}

#[tokio::test]
async fn a_session_that_was_planted_before_a_login_is_not_the_one_that_it_makes() {
    let fixture = Fixture::new().await;
    let mallory = fixture.browser("mallory");
    mallory.open(&format!("{}/", origin(OPEN))).await;
    let hers = mallory.cookie(AUTH_HOST, cookies::SESSION).unwrap();
    assert_eq!(fixture.sessions().len(), 1);
    let known = fixture.sessions().remove(0);

    // Planted at once, and planted while alice is at the identity provider.
    for late in [false, true] {
        for planted in [hers.as_str(), "x", &hers[..20]] {
            let alice = fixture.browser("alice");
            let callback = |url: &str| url.starts_with(&format!("{AUTH}/callback"));
            if !late && planted != hers {
                alice.set_cookie(AUTH_HOST, cookies::SESSION, Some(planted));
            }
            let answered = alice.open_until(&lab(), callback).await.answer;
            let url = answered.location().unwrap().to_owned();
            assert_eq!(split(&url).0, AUTH_HOST);
            if late {
                alice.set_cookie(AUTH_HOST, cookies::SESSION, Some(planted));
            }
            let landing = alice.open(&url).await;
            assert!(landing.is_inside(), "late: {late} {landing:#?}");
            let session = alice.cookie(AUTH_HOST, cookies::SESSION).unwrap();
            assert_ne!(session, planted);
        }
    }
    // A session of its own for each login; mallory's is as it was, and hers.
    assert_eq!(fixture.sessions().len(), 7);
    hear(&fixture).await;
    let kept = fixture
        .sessions()
        .into_iter()
        .find(|one| one.metadata.name == known.metadata.name);
    assert_eq!(kept.unwrap().metadata.uid, known.metadata.uid);
    let landing = mallory.open(&lab()).await;
    assert_eq!(landing.answer.status, StatusCode::FORBIDDEN, "{landing:#?}");
    assert!(!is_in(&mallory).await);
    let denied = fixture.records("denied", 1).await;
    assert!(
        denied.iter().all(|record| record["user"] == "mallory"),
        "{denied:?}"
    );
}

#[tokio::test]
async fn a_session_that_ended_and_is_planted_again_makes_no_new_one() {
    let fixture = Fixture::new().await;
    let mallory = fixture.browser("mallory");
    mallory.open(&format!("{}/", origin(OPEN))).await;
    let hers = mallory.cookie(AUTH_HOST, cookies::SESSION).unwrap();
    let session = fixture.sessions().remove(0);
    let name = session.metadata.name.clone().unwrap();
    fixture.server.remove::<GatewaySession>(Some(SYSTEM), &name);
    fixture.app.sessions.apply(Event::Delete(session)).await;
    let alice = fixture.browser("alice");
    alice.set_cookie(AUTH_HOST, cookies::SESSION, Some(&hers));
    assert!(alice.open(&lab()).await.is_inside());
    assert_ne!(alice.cookie(AUTH_HOST, cookies::SESSION).unwrap(), hers);
    // The planted one opens nothing: its owner has to sign in again, as herself.
    assert_eq!(mallory.open(&lab()).await.answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_planted_session_can_only_be_signed_out() {
    let fixture = Fixture::new().await;
    let mallory = fixture.browser("mallory");
    mallory.open(&format!("{}/", origin(OPEN))).await;
    let planted = mallory.cookie(AUTH_HOST, cookies::SESSION).unwrap();
    let elsewhere = fixture.signed_in("alice", LAB).await;

    // While alice is at the identity provider: with it before, she would go round as mallory and be refused.
    let here = fixture.browser("alice");
    let callback = |url: &str| url.starts_with(&format!("{AUTH}/callback"));
    let answered = here.open_until(&lab(), callback).await.answer;
    here.set_cookie(AUTH_HOST, cookies::SESSION, Some(&planted));
    assert!(here.open(answered.location().unwrap()).await.is_inside());
    assert!(!is_in(&mallory).await);

    sign_out(&mallory, Some(AUTH), "everywhere=yes").await;
    assert!(!is_in(&here).await, "both count as logins of one browser");
    assert!(is_in(&elsewhere).await, "everywhere is everywhere of mallory");
    assert_eq!(fixture.sessions().len(), 1);
    assert!(here.open(&lab()).await.is_inside());
}
