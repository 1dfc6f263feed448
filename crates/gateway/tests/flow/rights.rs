//! The cluster's roles as a condition, and an API server that says nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gateway::verify::Doorkeeper as _;
use http::{Method, StatusCode};
use kube::runtime::watcher::Event;
use testkit::api_server::Fault;
use tokio::time::advance;

use crate::support::browser::{Browser, NAVIGATION, headers};
use crate::support::world::{LAB, World, origin};

fn lab() -> String {
    format!("{}/", origin(LAB))
}

/// A world whose reviews are counted and answered as the switch says.
async fn world() -> (World, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let world = World::new().await;
    let (granted, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (grants, counts) = (Arc::clone(&granted), Arc::clone(&asked));
    world.server.review(move |spec| {
        counts.fetch_add(1, Ordering::Relaxed);
        assert_eq!(spec["resourceAttributes"]["subresource"], "connect");
        grants.load(Ordering::Relaxed)
    });
    (world, granted, asked)
}

fn breaks(world: &World, times: usize) {
    world
        .server
        .fail(Fault::internal(Method::POST, "subjectaccessreviews", times));
}

async fn status(browser: &Browser<'_>) -> StatusCode {
    browser.send("GET", &lab(), headers(&NAVIGATION)).await.status
}

async fn seconds(seconds: u64) {
    advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_without_the_right_is_refused_and_the_answer_counts_for_its_time() {
    let (world, granted, asked) = world().await;
    let alice = world.browser("alice");
    assert!(alice.open(&lab()).await.is_inside());
    let before = asked.load(Ordering::Relaxed);
    for _ in 0..20 {
        assert_eq!(status(&alice).await, StatusCode::OK);
    }
    assert_eq!(
        asked.load(Ordering::Relaxed),
        before,
        "every answer came from memory"
    );
    granted.store(false, Ordering::Relaxed);
    seconds(30).await;
    assert_eq!(status(&alice).await, StatusCode::FORBIDDEN);
    granted.store(true, Ordering::Relaxed);
    assert_eq!(status(&alice).await, StatusCode::FORBIDDEN);
    seconds(5).await;
    assert_eq!(status(&alice).await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_in_while_the_right_cannot_be_asked_and_nobody_is_told_no() {
    let (world, _, _) = world().await;
    let alice = world.browser("alice");
    assert!(alice.open(&lab()).await.is_inside());
    breaks(&world, 2);
    seconds(30).await;
    let answer = alice.send("GET", &lab(), headers(&NAVIGATION)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(status(&alice).await, StatusCode::SERVICE_UNAVAILABLE);
    // The failure is not remembered.
    assert_eq!(status(&alice).await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_right_taken_away_counts_within_a_second_of_the_change_and_ends_open_sockets() {
    let (world, granted, _) = world().await;
    tokio::spawn(world.app.rights.clone().renew());
    let alice = world.browser("alice");
    assert!(alice.open(&lab()).await.is_inside());
    let session = world.sessions().remove(0);
    world.app.sessions.apply(Event::Apply(session)).await;
    let handshake = headers(&[("cookie", &alice.cookies(LAB).unwrap()), ("origin", &origin(LAB))]);
    let grant = world.handshake(LAB, &handshake).await.unwrap();
    seconds(1).await;
    granted.store(false, Ordering::Relaxed);
    world.app.rights.doubt(Some("team"));
    assert!(world.app.holds(&grant));
    // The relay looks every 750 ms.
    tokio::time::sleep(Duration::from_millis(750)).await;
    assert!(!world.app.holds(&grant));
    assert_eq!(status(&alice).await, StatusCode::FORBIDDEN);
}
