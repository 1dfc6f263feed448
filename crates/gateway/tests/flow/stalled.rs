//! Event streams of a start: some that no client reads, and some that a client reads to the end.

use std::time::Duration;

use api::condition::reason;
use axum::Router;
use gateway::index::Target;
use gateway::login::progress;
use gateway::router;
use gateway::server::LongLived;
use http::StatusCode;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::progress::{ask, coming_again, events, own_page, running, signed_in, starting, watched};
use super::sign_out::sign_out;
use crate::support::fixture::{AUTH, LAB};

#[tokio::test(start_paused = true)]
async fn an_unread_stream_is_closed_after_half_a_minute() {
    let fixture = watched().await;
    let alice = signed_in(&fixture, "alice", LAB).await;
    let lines = own_page(&alice, LAB);
    let publish_message = |message: String| {
        let target = Target {
            message,
            ..starting(LAB, "alice", reason::UNSCHEDULABLE, false)
        };
        fixture.publish(vec![target]);
    };
    publish_message("at first".to_owned());
    let status = async || ask(&fixture.pages, LAB, lines.clone()).await.status();
    let mut unread = vec![];
    for _ in 0..7 {
        unread.push(events(&fixture.pages, LAB, lines.clone()).await);
    }
    let answer = ask(&fixture.pages, LAB, lines.clone()).await;
    let LongLived(over) = answer.extensions().get::<LongLived>().unwrap().clone();
    for number in 0..1000 {
        publish_message(number.to_string());
        yield_now().await;
    }
    sleep(Duration::from_secs(29)).await;
    assert_eq!(status().await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!over.is_cancelled());
    sleep(Duration::from_secs(2)).await;
    // The place is free, and its connection may end, although the answer is still held.
    assert!(over.is_cancelled());
    assert_eq!(status().await, StatusCode::OK);
    for stream in &mut unread {
        // Of a thousand changes nothing was kept for whom reads none.
        assert_eq!(stream.rest().await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unread_stream_ends_with_the_right_to_it_and_with_the_replica() {
    let fixture = watched().await;
    let alice = signed_in(&fixture, "alice", LAB).await;
    fixture.publish(vec![starting(LAB, "alice", reason::STARTING, false)]);
    let stop = CancellationToken::new();
    let streams = progress::routes(fixture.app.clone(), stop.clone());
    let pages = router::pages(
        fixture.app.index.clone(),
        fixture.app.clone(),
        Router::new(),
        streams,
    );
    let unread = async |pages: &Router| {
        let answer = ask(pages, LAB, own_page(&alice, LAB)).await;
        let LongLived(over) = answer.extensions().get::<LongLived>().unwrap().clone();
        // It has an unread line, and waits with the next.
        sleep(Duration::from_secs(5)).await;
        assert!(!over.is_cancelled());
        (answer, over)
    };
    let soon = async |over: CancellationToken| timeout(Duration::from_secs(1), over.cancelled()).await;

    let (_held, over) = unread(&pages).await;
    stop.cancel();
    soon(over).await.unwrap();

    let (_held, over) = unread(&fixture.pages).await;
    let answer = sign_out(&alice, Some(AUTH), "").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    soon(over).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_lasts_ten_minutes_and_who_comes_again_goes_on_where_it_ended() {
    let fixture = watched().await;
    // The gateway checks alice's rights repeatedly while she reads the stream.
    tokio::spawn(fixture.app.rights.clone().renew(Duration::from_mins(2)));
    let alice = signed_in(&fixture, "alice", LAB).await;
    fixture.publish(vec![starting(LAB, "alice", reason::STARTING, false)]);
    let mut stream = events(&fixture.pages, LAB, own_page(&alice, LAB)).await;
    let started = Instant::now();
    assert_eq!(stream.awaited().await.unwrap().percent(), 5);
    let last = stream.awaited().await.unwrap();
    assert_eq!(last.percent(), 20);
    assert_eq!(stream.awaited().await, None);
    let lasted = started.elapsed().as_secs_f64();
    assert!((600.0..600.1).contains(&lasted), "{lasted}");
    // The stream sent a keep-alive comment every 15 seconds.
    assert_eq!(stream.idle, 39);

    let again = coming_again(own_page(&alice, LAB), &last);
    let mut stream = events(&fixture.pages, LAB, again).await;
    yield_now().await;
    fixture.publish(vec![running(LAB, "alice")]);
    let rest = stream.rest().await;
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!((rest[0].kind.as_str(), rest[0].percent()), ("ready", 100));
}
