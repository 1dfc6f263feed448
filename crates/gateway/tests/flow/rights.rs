//! Roles of the cluster as a condition of access, and an API server that does not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use kube::runtime::watcher::Event;
use testkit::api_server::Fault;
use tokio::time::{advance, sleep};

use crate::support::browser::{Browser, NAVIGATION, headers};
use crate::support::fixture::{Fixture, LAB, lab, origin};

/// A fixture whose reviews are counted and answered as the switch says.
async fn fixture() -> (Fixture, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let fixture = Fixture::new().await;
    let (granted, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (grants, counts) = (Arc::clone(&granted), Arc::clone(&asked));
    fixture.server.review(move |spec| {
        counts.fetch_add(1, Ordering::Relaxed);
        assert_eq!(spec["resourceAttributes"]["subresource"], "connect");
        grants.load(Ordering::Relaxed)
    });
    (fixture, granted, asked)
}

fn breaks(fixture: &Fixture, times: usize) {
    fixture
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
async fn a_gateway_of_one_namespace_asks_about_rights_in_that_namespace() {
    let fixture = Fixture::in_namespace("team").await;
    // The API server refuses the other question to an account without rights on the cluster.
    fixture.server.fail(Fault {
        code: 403,
        reason: "Forbidden",
        ..Fault::internal(Method::POST, "/v1/subjectaccessreviews", usize::MAX)
    });
    fixture
        .server
        .review(|spec| spec["user"] == "alice" && spec["resourceAttributes"]["namespace"] == "team");
    let alice = fixture.signed_in("alice", LAB).await;
    let calls = fixture.server.take_calls().into_iter();
    let asked: Vec<_> = calls
        .map(|call| call.line())
        .filter(|line| line.contains("accessreviews"))
        .collect();
    assert!(!asked.is_empty());
    let local = "POST /apis/authorization.k8s.io/v1/namespaces/team/localsubjectaccessreviews";
    assert!(asked.iter().all(|line| line == local), "{asked:?}");
    fixture.server.review(|_| false);
    seconds(30).await;
    assert_eq!(status(&alice).await, StatusCode::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn without_access_reviews_no_user_is_admitted_or_refused() {
    let (fixture, _, _) = fixture().await;
    let alice = fixture.signed_in("alice", LAB).await;
    breaks(&fixture, 2);
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
    let (fixture, granted, _) = fixture().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let session = fixture.sessions().remove(0);
    fixture.app.sessions.apply(Event::Apply(session)).await;
    let handshake = headers(&[("cookie", &alice.cookies(LAB).unwrap()), ("origin", &origin(LAB))]);
    let grant = fixture.handshake(LAB, &handshake).await.unwrap();
    seconds(1).await;
    granted.store(false, Ordering::Relaxed);
    fixture.app.rights.doubt(Some("team"));
    assert!(fixture.app.is_valid(&grant));
    // The relay looks every 750 ms.
    sleep(Duration::from_millis(750)).await;
    assert!(!fixture.app.is_valid(&grant));
    assert_eq!(status(&alice).await, StatusCode::FORBIDDEN);
}
