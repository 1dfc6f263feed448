//! Renewal of sessions: one replica asks the provider in the background when a session is used.
//!
//! - `provider_down`: the provider does not answer
//! - `replicas`: several replicas of the gateway

mod provider_down;
mod replicas;

use std::time::{Duration, Instant};

use gateway::oidc::Identity;
use gateway::oidc::Tokens;
use gateway::session::{Content, id_of};
use gateway::tokens::RandomId;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use testkit::api_server::{Disruption, Fault};

use crate::support::browser::Browser;
use crate::support::fixture::{Fixture, ISSUER, LAB, lab, origin};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// Waits until `holds`, which is looked at whenever something becomes known.
pub(crate) async fn until(fixture: &Fixture, what: &str, holds: impl Fn() -> bool) {
    let mut changes = fixture.app.sessions.subscribe();
    let waiting = async {
        while !holds() {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

fn the_session(fixture: &Fixture) -> RandomId {
    id_of(fixture.sessions()[0].metadata.name.as_deref().unwrap()).unwrap()
}

fn groups(fixture: &Fixture) -> Vec<String> {
    let session = fixture.app.sessions.peek(the_session(fixture));
    let mut groups = session.map_or_else(Vec::new, |session| session.identity.groups.clone());
    groups.sort();
    groups
}

fn version(fixture: &Fixture) -> Option<String> {
    fixture.sessions()[0].metadata.resource_version.clone()
}

fn claims(groups: &Value) -> Map<String, Value> {
    json!({"sub": "id-of-alice", "preferred_username": "alice", "groups": groups})
        .as_object()
        .unwrap()
        .clone()
}

fn say(fixture: &Fixture, claims: Option<Map<String, Value>>) {
    fixture.issuer.change(|issuer| {
        issuer.claims_by_subject.insert("id-of-alice".into(), claims);
    });
}

fn questions(fixture: &Fixture) -> usize {
    let requests = fixture.issuer.take_requests();
    requests.iter().filter(|path| *path == "/token").count()
}

/// A fixture in which alice is signed in.
async fn signed_in(fixture: &Fixture) -> Browser<'_> {
    fixture.watch().await;
    let alice = fixture.signed_in("alice", LAB).await;
    fixture.issuer.take_requests();
    alice
}

/// Whether a request with what this browser has passes, signed in anew if need be by links of ours only.
async fn passes(browser: &Browser<'_>) -> bool {
    let landing = browser.open_until(&lab(), |url| url.starts_with(ISSUER)).await;
    landing.is_inside()
}

#[tokio::test]
async fn after_five_minutes_a_request_passes_at_once_and_brings_new_groups_in_the_background() {
    let fixture = Fixture::new().await;
    let alice = signed_in(&fixture).await;
    say(&fixture, Some(claims(&json!(["users", "new"]))));
    fixture.pass(5 * MINUTE - 1);
    assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
    fixture.pass(1);
    assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
    until(&fixture, "the new group", || {
        groups(&fixture) == ["oidc:new", "oidc:users"]
    })
    .await;
    assert_eq!(questions(&fixture), 1);

    // Lost groups go, too: an empty list is known to be empty.
    say(&fixture, Some(claims(&json!([]))));
    fixture.pass(5 * MINUTE);
    assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
    until(&fixture, "no group", || groups(&fixture).is_empty()).await;
}

#[tokio::test]
async fn a_session_is_asked_about_when_its_access_token_ends_and_not_while_it_is_unused() {
    let fixture = Fixture::new().await;
    fixture.issuer.change(|issuer| issuer.access_life = Some(60));
    let alice = signed_in(&fixture).await;
    let before = version(&fixture);
    fixture.pass(60);
    assert_eq!(questions(&fixture), 0);
    assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
    until(&fixture, "a renewal", || version(&fixture) != before).await;
    until(&fixture, "one question", || {
        fixture.issuer.take_requests() == ["/token"]
    })
    .await;
}

#[tokio::test]
async fn a_user_who_is_disabled_is_out_with_their_next_use_after_five_minutes() {
    let fixture = Fixture::new().await;
    let alice = signed_in(&fixture).await;
    say(&fixture, None);
    fixture.pass(5 * MINUTE);
    assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
    until(&fixture, "the end of the session", || {
        fixture.sessions().is_empty()
    })
    .await;
    assert!(!passes(&alice).await);
}

#[tokio::test]
async fn another_user_s_answer_ends_the_session() {
    let renamed = json!({"sub": "id-of-alice", "preferred_username": "mallory"});
    let other = json!({"sub": "id-of-bob", "preferred_username": "alice"});
    for user in [renamed, other] {
        let fixture = Fixture::new().await;
        let alice = signed_in(&fixture).await;
        say(&fixture, user.as_object().cloned());
        fixture.pass(5 * MINUTE);
        alice.step(&lab()).await;
        until(&fixture, "the end of the session", || {
            fixture.sessions().is_empty()
        })
        .await;
        assert!(!passes(&alice).await, "{user}");
    }
}

#[tokio::test]
async fn a_provider_that_takes_its_time_delays_no_request() {
    let fixture = Fixture::new().await;
    let alice = signed_in(&fixture).await;
    fixture.issuer.change(|issuer| issuer.silent = true);
    fixture.pass(5 * MINUTE);
    for _ in 0..20 {
        let start = Instant::now();
        assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_for_one_use_outlives_an_api_server_that_is_away() {
    let fixture = Fixture::new().await;
    fixture.issuer.change(|issuer| issuer.rotates = true);
    let alice = signed_in(&fixture).await;
    // After the request to the provider, reads fail for half a minute.
    let away = Disruption::Meanwhile(Box::new(|server| {
        server.fail(Fault::internal(Method::GET, "gatewaysessions", 10));
    }));
    fixture.server.disrupt(Method::PATCH, "gatewaysessions", away);
    for round in ["one", "two"] {
        say(&fixture, Some(claims(&json!([round]))));
        fixture.pass(5 * MINUTE);
        assert!(passes(&alice).await);
        // Virtual time: longer than everything that is tried.
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert_eq!(groups(&fixture), [format!("oidc:{round}")]);
    }
}

#[tokio::test]
async fn a_session_of_another_issuer_ends_and_no_token_of_it_goes_to_this_one() {
    let fixture = Fixture::new().await;
    fixture.watch().await;
    let identity = Identity {
        user_name: "alice".into(),
        groups: vec![],
    };
    let tokens = Tokens {
        refresh_token: Some(gateway::tokens::Secret::new("theirs".into())),
        renew_in: 300,
        ..Tokens::default()
    };
    let now = fixture.clock.now();
    let lasts = now..now + 12 * HOUR;
    let content = Content::new("https://other.example", "id-of-alice", identity, &tokens, lasts);
    let id = fixture.app.sessions.create(&content).await.unwrap();
    fixture.pass(5 * MINUTE);
    assert!(fixture.app.sessions.peek(id).is_some());
    until(&fixture, "the end of the session", || {
        fixture.sessions().is_empty()
    })
    .await;
    assert_eq!(questions(&fixture), 0);
    let message = fixture.records("logout", 1).await;
    assert_eq!(
        (&message[0]["user"], &message[0]["by"]),
        (&json!("alice"), &json!("another_issuer"))
    );
}
