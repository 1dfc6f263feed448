//! Decisions on an index that may be out of date.

use std::time::Duration;

use gateway::tokens::cookies;
use http::StatusCode;
use kube::runtime::watcher::Event;
use tokio::time::advance;

use crate::support::browser::{NAVIGATION, headers};
use crate::support::fixture::{Fixture, LAB, OPEN, lab, origin};

#[tokio::test(start_paused = true)]
async fn a_lagging_index_stops_tickets_then_access_then_sockets() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let session = fixture.sessions().remove(0);
    fixture.app.sessions.apply(Event::Apply(session)).await;
    let handshake = headers(&[("cookie", &alice.cookies(LAB).unwrap()), ("origin", &origin(LAB))]);
    let grant = fixture.handshake(LAB, &handshake).await.unwrap();
    let page = async || alice.send("GET", &lab(), headers(&NAVIGATION)).await;

    let freshness = &fixture.app.freshness;
    freshness.sent(1);
    advance(Duration::from_secs(3)).await;
    assert_eq!(page().await.status, StatusCode::OK);
    // No ticket for another workspace.
    let elsewhere = alice.open(&format!("{}/", origin(OPEN))).await;
    assert_eq!(elsewhere.answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(alice.cookie(OPEN, cookies::TICKET), None);

    advance(Duration::from_secs(57)).await;
    let stale = page().await;
    assert_eq!(stale.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(stale.headers.contains_key("retry-after"));
    assert!(fixture.handshake(LAB, &handshake).await.is_none());
    assert!(fixture.app.is_valid(&grant));

    // The last look within the stated time ends them.
    advance(Duration::from_millis(59_249)).await;
    assert!(fixture.app.is_valid(&grant));
    advance(Duration::from_millis(1)).await;
    assert!(!fixture.app.is_valid(&grant));

    // That one came back says what was, and not what is.
    freshness.seen(1);
    assert_eq!(page().await.status, StatusCode::SERVICE_UNAVAILABLE);
    freshness.sent(2);
    freshness.seen(2);
    assert_eq!(page().await.status, StatusCode::OK);
    assert!(alice.open(&format!("{}/", origin(OPEN))).await.is_inside());
}
