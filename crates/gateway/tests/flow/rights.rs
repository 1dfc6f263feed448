//! The cluster's roles as a condition, and an API server that says nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gateway::verify::Doorkeeper as _;
use http::{Method, StatusCode};
use kube::runtime::watcher::Event;
use testkit::api_server::Fault;
use tokio::time::{Instant, advance, sleep};

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
async fn a_right_is_asked_about_again_after_two_and_ten_seconds_since_other_api_servers_lag_behind() {
    // How late the one knows that is asked, and until when that may count.
    for (lag, latest) in [(0, 1_200), (1_500, 3_200), (8_000, 11_200)] {
        let (world, granted, _) = world().await;
        tokio::spawn(world.app.rights.clone().renew(Duration::from_mins(2)));
        let alice = world.browser("alice");
        assert!(alice.open(&lab()).await.is_inside());
        seconds(1).await;
        let (change, lag) = (Instant::now(), Duration::from_millis(lag));
        world.app.rights.doubt(Some("team"));
        loop {
            granted.store(change.elapsed() < lag, Ordering::Relaxed);
            if status(&alice).await == StatusCode::FORBIDDEN {
                break;
            }
            sleep(Duration::from_millis(50)).await;
            let since = change.elapsed();
            assert!(
                since <= Duration::from_millis(latest),
                "{lag:?}: lets in after {since:?}"
            );
        }
        assert!(change.elapsed() >= lag);
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_shuts_owners_out_after_half_a_minute_and_lets_them_in_when_it_is_back() {
    let (world, _, _) = world().await;
    let alice = world.browser("alice");
    assert!(alice.open(&lab()).await.is_inside());
    let session = world.sessions().remove(0);
    world.app.sessions.apply(Event::Apply(session)).await;
    world.server.partition(true);
    for _ in 0..29 {
        assert_eq!(status(&alice).await, StatusCode::OK);
        seconds(1).await;
    }
    seconds(1).await;
    assert_eq!(status(&alice).await, StatusCode::SERVICE_UNAVAILABLE);
    world.server.partition(false);
    assert_eq!(status(&alice).await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_right_taken_away_counts_within_a_second_of_the_change_and_ends_open_sockets() {
    let (world, granted, _) = world().await;
    tokio::spawn(world.app.rights.clone().renew(Duration::from_mins(2)));
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
    sleep(Duration::from_millis(750)).await;
    assert!(!world.app.holds(&grant));
    assert_eq!(status(&alice).await, StatusCode::FORBIDDEN);
}
