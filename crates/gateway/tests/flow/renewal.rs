//! Sessions over hours: the provider is asked on use, by one replica, in the background; what it says, or does not say.
//!
//! - `doubt`: while nobody can say whether the provider still vouches
//! - `replicas`: several of the gateway

mod doubt;
mod replicas;

use std::time::{Duration, Instant};

use gateway::oidc::Tokens;
use gateway::oidc::claims::Identity;
use gateway::session::content::{Content, id_of};
use gateway::tokens::RandomId;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use testkit::api_server::{Fault, Hindrance};

use crate::support::browser::Browser;
use crate::support::world::{ISSUER, LAB, World, origin};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

fn lab() -> String {
    format!("{}/", origin(LAB))
}

/// Waits until `holds`, which is looked at whenever something becomes known.
pub(crate) async fn until(world: &World, what: &str, holds: impl Fn() -> bool) {
    let mut changes = world.app.sessions.subscribe();
    let waiting = async {
        while !holds() {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

fn the_session(world: &World) -> RandomId {
    id_of(world.sessions()[0].metadata.name.as_deref().unwrap()).unwrap()
}

fn groups(world: &World) -> Vec<String> {
    let session = world.app.sessions.peek(the_session(world));
    let mut groups = session.map_or_else(Vec::new, |session| session.identity.groups.clone());
    groups.sort();
    groups
}

fn version(world: &World) -> Option<String> {
    world.sessions()[0].metadata.resource_version.clone()
}

fn claims(groups: &Value) -> Map<String, Value> {
    json!({"sub": "id-of-alice", "preferred_username": "alice", "groups": groups})
        .as_object()
        .unwrap()
        .clone()
}

fn say(world: &World, claims: Option<Map<String, Value>>) {
    world.issuer.change(|issuer| {
        issuer.people.insert("id-of-alice".into(), claims);
    });
}

fn questions(world: &World) -> usize {
    let requests = world.issuer.take_requests();
    requests.iter().filter(|path| *path == "/token").count()
}

/// A world in which alice is signed in.
async fn signed_in(world: &World) -> Browser<'_> {
    world.watch().await;
    let alice = world.browser("alice");
    assert!(alice.open(&lab()).await.is_inside());
    world.issuer.take_requests();
    alice
}

/// Whether a request with what this browser has passes, signed in anew if need be by links of ours only.
async fn passes(browser: &Browser<'_>) -> bool {
    let landing = browser.open_until(&lab(), |url| url.starts_with(ISSUER)).await;
    landing.is_inside()
}

#[tokio::test]
async fn after_five_minutes_a_request_passes_at_once_and_brings_new_groups_in_the_background() {
    let world = World::new().await;
    let alice = signed_in(&world).await;
    say(&world, Some(claims(&json!(["users", "new"]))));
    world.pass(5 * MINUTE - 1);
    assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
    world.pass(1);
    assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
    until(&world, "the new group", || {
        groups(&world) == ["oidc:new", "oidc:users"]
    })
    .await;
    assert_eq!(questions(&world), 1);

    // Lost groups go, too: an empty list is known to be empty.
    say(&world, Some(claims(&json!([]))));
    world.pass(5 * MINUTE);
    assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
    until(&world, "no group", || groups(&world).is_empty()).await;
}

#[tokio::test]
async fn a_session_is_asked_about_when_its_access_token_ends_and_not_while_nobody_uses_it() {
    let world = World::new().await;
    world.issuer.change(|issuer| issuer.access_life = Some(60));
    let alice = signed_in(&world).await;
    let before = version(&world);
    world.pass(60);
    assert_eq!(questions(&world), 0);
    assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
    until(&world, "a renewal", || version(&world) != before).await;
    until(&world, "one question", || {
        world.issuer.take_requests() == ["/token"]
    })
    .await;
}

#[tokio::test]
async fn a_person_who_is_disabled_is_out_with_their_next_use_after_five_minutes() {
    let world = World::new().await;
    let alice = signed_in(&world).await;
    say(&world, None);
    world.pass(5 * MINUTE);
    assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
    until(&world, "the end of the session", || world.sessions().is_empty()).await;
    assert!(!passes(&alice).await);
}

#[tokio::test]
async fn somebody_else_s_answer_ends_the_session() {
    let renamed = json!({"sub": "id-of-alice", "preferred_username": "mallory"});
    let other = json!({"sub": "id-of-bob", "preferred_username": "alice"});
    for person in [renamed, other] {
        let world = World::new().await;
        let alice = signed_in(&world).await;
        say(&world, person.as_object().cloned());
        world.pass(5 * MINUTE);
        alice.step(&lab()).await;
        until(&world, "the end of the session", || world.sessions().is_empty()).await;
        assert!(!passes(&alice).await, "{person}");
    }
}

#[tokio::test]
async fn a_provider_that_takes_its_time_delays_no_request() {
    let world = World::new().await;
    let alice = signed_in(&world).await;
    world.issuer.change(|issuer| issuer.silent = true);
    world.pass(5 * MINUTE);
    for _ in 0..20 {
        let start = Instant::now();
        assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_session_ends_two_hours_after_its_last_use_or_twelve_after_the_login() {
    let world = World::new().await;
    let alice = signed_in(&world).await;
    for half_hours in 1..24 {
        let before = version(&world);
        world.pass(30 * MINUTE);
        assert!(passes(&alice).await, "after {half_hours} half hours");
        until(&world, "the use to be written down", || version(&world) != before).await;
    }
    world.pass(30 * MINUTE);
    assert!(!passes(&alice).await, "twelve hours");

    let world = World::new().await;
    let alice = signed_in(&world).await;
    world.pass(2 * HOUR - 1);
    assert!(passes(&alice).await);
    world.pass(2 * HOUR);
    assert!(!passes(&alice).await);
    assert_eq!(world.sessions().len(), 1, "swept a minute later");
    world.pass(61);
    world.app.sessions.sweep().await;
    assert!(world.sessions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_for_one_use_outlives_an_api_server_that_is_away() {
    let world = World::new().await;
    world.issuer.change(|issuer| issuer.rotates = true);
    let alice = signed_in(&world).await;
    // From when the provider is asked on, nothing can be read for half a minute.
    let away = Hindrance::Meanwhile(Box::new(|server| {
        server.fail(Fault::internal(Method::GET, "gatewaysessions", 10));
    }));
    world.server.hinder(Method::PATCH, "gatewaysessions", away);
    for round in ["one", "two"] {
        say(&world, Some(claims(&json!([round]))));
        world.pass(5 * MINUTE);
        assert!(passes(&alice).await);
        // Virtual time: longer than everything that is tried.
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert_eq!(groups(&world), [format!("oidc:{round}")]);
    }
}

#[tokio::test]
async fn an_unreadable_id_token_costs_no_refresh_token() {
    let world = World::new().await;
    world.issuer.change(|issuer| issuer.rotates = true);
    let alice = signed_in(&world).await;
    world.issuer.change(|issuer| {
        issuer.wrong.insert("exp".into(), json!("2099-01-01"));
    });
    world.pass(5 * MINUTE);
    assert!(passes(&alice).await);
    until(&world, "an answer", || questions(&world) > 0).await;
    world.issuer.change(|issuer| issuer.wrong.clear());
    say(&world, Some(claims(&json!(["new"]))));
    world.pass(5 * MINUTE);
    assert!(passes(&alice).await);
    until(&world, "new groups", || groups(&world) == ["oidc:new"]).await;
}

#[tokio::test]
async fn a_session_of_another_issuer_ends_and_no_token_of_it_goes_to_this_one() {
    let world = World::new().await;
    world.watch().await;
    let identity = Identity {
        user_name: "alice".into(),
        groups: vec![],
    };
    let tokens = Tokens {
        refresh_token: Some(gateway::tokens::redacted::Secret::new("theirs".into())),
        renew_in: 300,
        ..Tokens::default()
    };
    let now = world.clock.now();
    let lasts = now..now + 12 * HOUR;
    let content = Content::new("https://other.example", "id-of-alice", identity, &tokens, lasts);
    let id = world.app.sessions.create(&content).await.unwrap();
    world.pass(5 * MINUTE);
    assert!(world.app.sessions.peek(id).is_some());
    until(&world, "the end of the session", || world.sessions().is_empty()).await;
    assert_eq!(questions(&world), 0);
    let told = world.records("logout", 1).await;
    assert_eq!(
        (&told[0]["user"], &told[0]["by"]),
        (&json!("alice"), &json!("another_issuer"))
    );
}
