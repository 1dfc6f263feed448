//! Sessions over hours: the provider is asked on use, by one replica, in the background; what it says, or does not say.

use std::cell::Cell;
use std::time::{Duration, Instant};

use gateway::crypto::tokens::RandomId;
use gateway::oidc::Tokens;
use gateway::oidc::claims::Identity;
use gateway::request::cookies::TICKET;
use gateway::session::content::{Content, id_of};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use testkit::api_server::{Fault, Hindrance};
use testkit::issuer::Signature;

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
async fn of_many_requests_at_two_replicas_one_asks_and_refresh_tokens_for_one_use_do_no_harm() {
    let world = World::new().await;
    world.issuer.change(|issuer| issuer.rotates = true);
    let alice = signed_in(&world).await;
    let second = world.replica().await;
    second.watch().await;
    world.issuer.take_requests();
    let elsewhere = alice.at(&second);
    for round in 1..=4 {
        say(&world, Some(claims(&json!([format!("round-{round}")]))));
        world.pass(5 * MINUTE);
        let address = lab();
        let requests = (0..20).map(|number| if number % 2 == 0 { &alice } else { &elsewhere }.step(&address));
        for answer in futures::future::join_all(requests).await {
            assert_eq!(answer.status, StatusCode::OK);
        }
        let expected = [format!("oidc:round-{round}")];
        until(&world, "new groups here", || groups(&world) == expected).await;
        until(&second, "new groups there", || groups(&second) == expected).await;
        assert_eq!(questions(&world), 1, "round {round}");
        // Tickets are carried on, as browsers do.
        elsewhere.set_cookie(LAB, TICKET, alice.cookie(LAB, TICKET).as_deref());
    }
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
async fn while_the_provider_is_down_sessions_go_on_for_an_hour_and_come_back_with_it() {
    let world = World::new().await;
    let alice = signed_in(&world).await;
    world.issuer.change(|issuer| issuer.failure = Some(503));
    for _ in 0..11 {
        world.pass(5 * MINUTE);
        for _ in 0..10 {
            assert!(passes(&alice).await);
        }
        let asked = Cell::new(0);
        until(&world, "a question", || {
            asked.set(asked.get() + questions(&world));
            asked.get() > 0
        })
        .await;
        assert_eq!(asked.get(), 1, "however many requests there are");
    }
    world.pass(5 * MINUTE - 1);
    assert!(passes(&alice).await);
    world.pass(1);
    // Nobody vouched for an hour: nothing passes, and nobody is signed out.
    let answer = alice.step(&lab()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(world.sessions().len(), 1);

    world.issuer.change(|issuer| issuer.failure = None);
    world.pass(3 * MINUTE);
    // What was just said is remembered for two seconds.
    let start = Instant::now();
    while alice.step(&lab()).await.status != StatusCode::OK {
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::task::yield_now().await;
    }
    assert_eq!(world.sessions().len(), 1);
}

#[tokio::test]
async fn after_an_hour_without_use_the_provider_vouches_before_anything_passes() {
    let world = World::new().await;
    let alice = signed_in(&world).await;
    world.pass(90 * MINUTE);
    // The ticket has ended; the way in leads over the auth host, and waits there for the provider.
    assert!(passes(&alice).await);
    assert_eq!(questions(&world), 1);

    say(&world, None);
    world.pass(90 * MINUTE);
    assert!(!passes(&alice).await);
    assert!(world.sessions().is_empty());
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
async fn groups_that_cannot_be_known_are_the_last_known_ones_for_an_hour_and_never_none() {
    let mut hidden = claims(&Value::Null);
    hidden.insert("_claim_names".into(), json!({"groups": "elsewhere"}));
    for person in [hidden, claims(&json!(vec!["g"; 1001])), claims(&json!({"a": 1}))] {
        let world = World::new().await;
        let alice = signed_in(&world).await;
        say(&world, Some(person));
        let before = version(&world);
        world.pass(5 * MINUTE);
        assert!(passes(&alice).await);
        until(&world, "an answer", || questions(&world) > 0).await;
        until(&world, "it was written down", || version(&world) != before).await;
        assert_eq!(groups(&world), ["oidc:users"]);
        world.pass(55 * MINUTE);
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
        let world = World::new().await;
        let alice = signed_in(&world).await;
        world.issuer.change(|issuer| issuer.signature = signature);
        say(&world, Some(claims(&json!(["admins"]))));
        let before = version(&world);
        world.pass(5 * MINUTE);
        assert!(passes(&alice).await);
        until(&world, "an answer", || questions(&world) > 0).await;
        until(&world, "it was written down", || version(&world) != before).await;
        assert_eq!(groups(&world), ["oidc:users"], "{signature:?}");
    }
    // Without an ID token the provider vouches, and says nothing new.
    let world = World::new().await;
    let alice = signed_in(&world).await;
    world.issuer.change(|issuer| issuer.renews_id_token = false);
    for _ in 0..30 {
        let before = version(&world);
        world.pass(5 * MINUTE);
        assert!(passes(&alice).await);
        until(&world, "a renewal", || version(&world) != before).await;
    }
    assert_eq!(groups(&world), ["oidc:users"]);
}

#[tokio::test]
async fn without_refresh_tokens_a_session_lasts_an_hour_and_the_next_one_begins_at_the_provider() {
    let world = World::new().await;
    world.issuer.change(|issuer| issuer.refreshes = false);
    let alice = signed_in(&world).await;
    world.pass(HOUR - 1);
    assert!(passes(&alice).await);
    world.pass(1);
    assert!(!passes(&alice).await);
    assert!(alice.open(&lab()).await.is_inside());
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

#[tokio::test]
async fn a_replica_that_dies_while_it_asks_holds_nobody_up() {
    let world = World::new().await;
    let alice = signed_in(&world).await;
    // The first replica has said that it asks, and is never heard of again.
    world.issuer.change(|issuer| issuer.silent = true);
    let before = version(&world);
    world.pass(5 * MINUTE);
    assert!(passes(&alice).await);
    until(&world, "the claim", || version(&world) != before).await;
    world.issuer.change(|issuer| issuer.silent = false);
    let second = world.replica().await;
    second.watch().await;
    say(&world, Some(claims(&json!(["later"]))));
    world.pass(31);
    assert_eq!(alice.at(&second).step(&lab()).await.status, StatusCode::OK);
    until(&second, "the second to ask", || groups(&second) == ["oidc:later"]).await;
}

#[tokio::test]
async fn an_answer_that_comes_after_another_replica_has_asked_changes_and_ends_nothing() {
    let late_answers = [Some(claims(&json!(["late"]))), None];
    for late in late_answers {
        let world = World::new().await;
        let alice = signed_in(&world).await;
        let second = world.replica().await;
        second.watch().await;
        world.held.send_replace(true);
        world.issuer.take_requests();
        say(&world, late);
        world.pass(5 * MINUTE);
        assert!(passes(&alice).await);
        while questions(&world) == 0 {
            tokio::task::yield_now().await;
        }
        say(&world, Some(claims(&json!(["new"]))));
        world.pass(31);
        assert_eq!(alice.at(&second).step(&lab()).await.status, StatusCode::OK);
        until(&second, "the second to ask", || groups(&second) == ["oidc:new"]).await;
        until(&world, "the first to hear", || groups(&world) == ["oidc:new"]).await;
        let before = version(&world);
        world.server.take_calls();
        let mut changes = world.app.sessions.subscribe();
        world.held.send_replace(false);
        changes.changed().await.unwrap();
        assert_eq!(version(&world), before);
        assert!(
            !world
                .server
                .take_calls()
                .iter()
                .any(testkit::api_server::Call::is_write)
        );
    }
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
        refresh_token: Some(gateway::crypto::redacted::Secret::new("theirs".into())),
        renew_in: 300,
        ..Tokens::default()
    };
    let begun = (world.clock.now(), 12 * HOUR);
    let content = Content::new("https://other.example", "id-of-alice", identity, &tokens, begun);
    let id = world.app.sessions.create(&content).await.unwrap();
    world.pass(5 * MINUTE);
    assert!(world.app.sessions.peek(id).is_some());
    until(&world, "the end of the session", || world.sessions().is_empty()).await;
    assert_eq!(questions(&world), 0);
    let told = world.log.records("logout", 1).await;
    assert_eq!(
        (&told[0]["user"], &told[0]["by"]),
        (&json!("alice"), &json!("another_issuer"))
    );
}

#[tokio::test]
async fn a_provider_that_refuses_the_gateway_for_an_hour_ends_sessions_so_that_logins_say_why() {
    let world = World::new().await;
    let alice = signed_in(&world).await;
    world
        .issuer
        .change(|issuer| issuer.token_error = Some("invalid_client"));
    for _ in 0..11 {
        world.pass(5 * MINUTE);
        assert!(passes(&alice).await);
    }
    world.pass(5 * MINUTE);
    assert_eq!(alice.step(&lab()).await.status, StatusCode::FOUND);
    assert!(world.sessions().is_empty());
    let page = alice.open(&lab()).await.answer;
    assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        page.body.contains("does not accept this gateway"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn groups_that_cannot_be_known_for_an_hour_end_the_session_so_that_a_login_says_why() {
    let world = World::new().await;
    let alice = signed_in(&world).await;
    let mut hidden = claims(&Value::Null);
    hidden.insert("_claim_names".into(), json!({"groups": "elsewhere"}));
    say(&world, Some(hidden));
    for _ in 0..11 {
        world.pass(5 * MINUTE);
        let before = version(&world);
        assert!(passes(&alice).await);
        until(&world, "it was written down", || version(&world) != before).await;
    }
    world.pass(5 * MINUTE);
    assert_eq!(alice.step(&lab()).await.status, StatusCode::FOUND);
    assert!(world.sessions().is_empty());
}

#[tokio::test]
async fn a_session_that_nobody_vouches_for_is_no_loop_and_ends_for_want_of_use() {
    let world = World::new().await;
    let alice = signed_in(&world).await;
    world.issuer.change(|issuer| issuer.failure = Some(404));
    for _ in 0..12 {
        world.pass(5 * MINUTE);
        alice.step(&lab()).await;
    }
    // Two hours after the last use that came to something, however often it was tried since.
    let mut asked = 0;
    for _ in 0..12 {
        asked += questions(&world);
        world.pass(10 * MINUTE - 1);
        for _ in 0..5 {
            let enter = alice.open_until(&lab(), |url| url.starts_with(ISSUER)).await;
            assert!(!enter.is_inside());
        }
    }
    assert!(asked <= 30, "{asked} questions");
    world.pass(MINUTE);
    let landing = alice.open_until(&lab(), |url| url.starts_with(ISSUER)).await;
    assert_eq!(
        landing.answer.status,
        StatusCode::FOUND,
        "a new login: {landing:#?}"
    );
}
