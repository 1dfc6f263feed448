//! The events of a start: in which order, for whom, how many streams, and when they end.

use std::sync::Arc;
use std::time::Duration;

use api::condition::reason;
use api::workspace::{AccessType, Phase};
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use gateway::index::{StatusDetail, Target};
use gateway::login::progress;
use gateway::router;
use http::header::HeaderMap;
use http::{Method, Request, StatusCode};
use kube::runtime::watcher::Event;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::bearer::with;
use super::sign_out::sign_out;
use crate::support::browser::{Answer, Browser, headers};
use crate::support::events::{Event as ReceivedEvent, Events};
use crate::support::fixture::{AUTH, BOBS, Fixture, LAB, NONE, OPEN, origin, target};
use crate::support::tokens::{SERVICE_ACCOUNT, Tokens};

const SCRIPT: [(&str, &str); 3] = [
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-dest", "empty"),
];
const PATH: &str = "/_workspace/progress";

/// On its way, as far as the status says.
pub(super) fn starting(host: &str, owner: &str, word: &str, started: bool) -> Target {
    Target {
        phase: Phase::Starting,
        run_id: "run-1".into(),
        message: format!("{word} in the operator's words"),
        status_detail: Some(Arc::new(StatusDetail {
            reason: word.into(),
            started,
            ..StatusDetail::default()
        })),
        ..target(host, owner, AccessType::OwnerOnly)
    }
}

pub(super) fn running(host: &str, owner: &str) -> Target {
    Target {
        run_id: "run-1".into(),
        endpoint: Some("10.0.0.1:8888".parse().unwrap()),
        ..target(host, owner, AccessType::OwnerOnly)
    }
}

pub(super) async fn ask(pages: &Router, host: &str, lines: HeaderMap) -> Response {
    let mut request = Request::get(PATH)
        .header("host", format!("{host}:8443"))
        .body(Body::empty())
        .unwrap();
    request.headers_mut().extend(lines);
    pages.clone().oneshot(request).await.unwrap()
}

/// What a page of the workspace itself sends, with this browser's cookies.
pub(super) fn own_page(browser: &Browser<'_>, host: &str) -> HeaderMap {
    let mut lines = headers(&SCRIPT);
    if let Some(cookies) = browser.cookies(host) {
        lines.extend(headers(&[("cookie", &cookies)]));
    }
    lines
}

pub(super) fn coming_again(mut lines: HeaderMap, last: &ReceivedEvent) -> HeaderMap {
    lines.extend(headers(&[("last-event-id", &last.id)]));
    lines
}

pub(super) async fn events(pages: &Router, host: &str, lines: HeaderMap) -> Events<Body> {
    let answer = ask(pages, host, lines).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.headers()["x-accel-buffering"], "no");
    assert!(!answer.headers().contains_key("set-cookie"));
    Events::new(answer.into_body())
}

/// A gateway that hears of sessions.
pub(super) async fn watched() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.watch().await;
    fixture
}

pub(super) async fn signed_in<'w>(fixture: &'w Fixture, name: &'static str, host: &str) -> Browser<'w> {
    let browser = fixture.browser(name);
    assert!(browser.open(&format!("{}/", origin(host))).await.is_inside());
    browser
}

#[tokio::test]
async fn events_of_a_start_come_in_order_grow_to_a_hundred_and_end() {
    let fixture = watched().await;
    let alice = signed_in(&fixture, "alice", LAB).await;
    fixture.publish(vec![starting(LAB, "alice", "", false)]);
    let mut stream = events(&fixture.pages, LAB, own_page(&alice, LAB)).await;
    let way = [
        (starting(LAB, "alice", reason::STARTING, false), 20, "preparing"),
        (
            starting(LAB, "alice", reason::IMAGE_PULL_FAILED, false),
            40,
            "pulling",
        ),
        // What was said is not taken back.
        (
            starting(LAB, "alice", reason::UNSCHEDULABLE, false),
            40,
            "scheduling",
        ),
        (starting(LAB, "alice", reason::STARTING, true), 75, "answering"),
        (running(LAB, "alice"), 100, "ready"),
    ];
    let mut received = vec![stream.next().await.unwrap()];
    assert_eq!((received[0].percent(), received[0].step()), (5, "requested"));
    for (state, percent, step) in way {
        fixture.publish(vec![state.clone()]);
        let event = stream.next().await.unwrap();
        assert_eq!((event.percent(), event.step()), (percent, step));
        if state.phase == Phase::Starting {
            assert_eq!(event.kind, "progress");
            assert_eq!(event.data["page"]["title"], "lab-a is starting");
        }
        received.push(event);
    }
    assert_eq!(received.last().unwrap().kind, "ready");
    assert_eq!(received[2].data["reason"], reason::IMAGE_PULL_FAILED);
    assert_eq!(
        received[2].data["message"],
        "ImagePullFailed in the operator's words"
    );
    assert_eq!(stream.next().await, None);
    let ids: std::collections::BTreeSet<_> = received.iter().map(|event| &event.id).collect();
    assert_eq!(ids.len(), received.len());
}

#[tokio::test]
async fn progress_of_another_run_begins_from_its_start() {
    let fixture = watched().await;
    let alice = signed_in(&fixture, "alice", LAB).await;
    let of = |run: &str, started| Target {
        run_id: run.into(),
        ..starting(LAB, "alice", reason::STARTING, started)
    };
    // The start was requested, and no run exists yet. The first run continues these events.
    fixture.publish(vec![of("", false)]);
    let mut stream = events(&fixture.pages, LAB, own_page(&alice, LAB)).await;
    let mut received = vec![];
    for (state, count) in [
        (of("", false), 2),
        (of("run-1", true), 1),
        (of("run-2", false), 2),
    ] {
        fixture.publish(vec![state]);
        for _ in 0..count {
            let event = stream.next().await.unwrap();
            let run = event.id.split('.').next().unwrap().to_owned();
            received.push((run, event.percent()));
        }
    }
    let expected = [("", 5), ("", 20), ("run-1", 75), ("run-2", 5), ("run-2", 20)];
    assert_eq!(received, expected.map(|(run, percent)| (run.to_owned(), percent)));
}

#[tokio::test]
async fn a_failure_ends_it_with_reason_and_message_and_a_stop_with_neither_cause() {
    let fixture = watched().await;
    let alice = signed_in(&fixture, "alice", LAB).await;
    let end = async |state: Target| {
        fixture.publish(vec![starting(LAB, "alice", reason::STARTING, false)]);
        let mut stream = events(&fixture.pages, LAB, own_page(&alice, LAB)).await;
        assert_eq!(stream.next().await.unwrap().step(), "requested");
        assert_eq!(stream.next().await.unwrap().step(), "preparing");
        fixture.publish(vec![state]);
        let last = stream.next().await.unwrap();
        assert_eq!(stream.next().await, None);
        last
    };
    let failed = end(Target {
        phase: Phase::Failed,
        ..starting(LAB, "alice", reason::QUOTA_EXCEEDED, false)
    })
    .await;
    assert_eq!((failed.kind.as_str(), failed.percent()), ("failed", 20));
    assert_eq!(failed.data["reason"], reason::QUOTA_EXCEEDED);
    assert_eq!(failed.data["message"], "QuotaExceeded in the operator's words");
    let stopped = end(Target {
        phase: Phase::Stopping,
        ..starting(LAB, "alice", reason::STOPPING, false)
    })
    .await;
    assert_eq!((stopped.kind.as_str(), stopped.percent()), ("stopped", 20));
    let deleted = end(Target {
        phase: Phase::Deleting,
        ..starting(LAB, "alice", reason::DELETING, false)
    })
    .await;
    assert_eq!(deleted.kind, "failed");
    assert_eq!(deleted.data["reason"], reason::DELETING);
}

#[tokio::test]
async fn other_users_follow_a_start_without_its_blocker() {
    let fixture = watched().await;
    let alice = signed_in(&fixture, "alice", OPEN).await;
    let stuck = Target {
        access_type: AccessType::Public,
        ..starting(OPEN, "bob", reason::IMAGE_PULL_FAILED, false)
    };
    fixture.publish(vec![stuck]);
    let mut stream = events(&fixture.pages, OPEN, own_page(&alice, OPEN)).await;
    let mut all = vec![];
    for _ in 0..3 {
        all.push(stream.next().await.unwrap());
    }
    assert_eq!((all[2].step(), all[2].percent()), ("pulling", 40));
    assert_eq!(all[2].data["reason"], "Hidden");
    let text = format!("{all:?}");
    for hidden in [reason::IMAGE_PULL_FAILED, "operator's words", "bob", "alice"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
}

#[tokio::test]
async fn late_followers_get_all_events_and_reconnects_resume_at_any_replica() {
    let fixture = watched().await;
    let alice = signed_in(&fixture, "alice", LAB).await;
    let other = fixture.replica().await;
    other.watch().await;
    let lines = own_page(&alice, LAB);
    for replica in [&fixture, &other] {
        replica.publish(vec![starting(LAB, "alice", reason::STARTING, true)]);
    }
    let mut stream = events(&fixture.pages, LAB, lines.clone()).await;
    let mut received = vec![];
    for _ in 0..3 {
        received.push(stream.next().await.unwrap());
    }
    let percents: Vec<u64> = received.iter().map(ReceivedEvent::percent).collect();
    assert_eq!(percents, [5, 20, 75]);
    drop(stream);

    // The other replica continues after the first one's last event, and repeats nothing.
    let mut stream = events(&other.pages, LAB, coming_again(lines.clone(), &received[2])).await;
    other.publish(vec![starting(LAB, "alice", reason::READINESS_FAILED, true)]);
    let next = stream.next().await.unwrap();
    assert_eq!((next.step(), next.percent()), ("answering", 75));
    assert_eq!(next.data["reason"], reason::READINESS_FAILED);
    // In the middle: what is missing comes, and only that.
    let mut stream = events(&other.pages, LAB, coming_again(lines.clone(), &received[0])).await;
    assert_eq!(stream.next().await.unwrap().percent(), 20);
    assert_eq!(stream.next().await.unwrap().percent(), 75);
    // Event identifiers of another run are ignored.
    let foreign = ReceivedEvent {
        id: received[2].id.replace("run-1", "run-0"),
        ..received[2].clone()
    };
    let mut stream = events(&fixture.pages, LAB, coming_again(lines.clone(), &foreign)).await;
    assert_eq!(stream.next().await.unwrap().percent(), 5);

    fixture.publish(vec![running(LAB, "alice")]);
    let end = stream.rest().await.pop().unwrap();
    assert_eq!(end.kind, "ready");
    let again = ask(&fixture.pages, LAB, coming_again(lines, &end)).await;
    assert_eq!(again.status(), StatusCode::NO_CONTENT, "a browser comes no more");
}

#[tokio::test]
async fn a_stream_ends_with_the_right_to_follow_it_as_soon_as_a_websocket() {
    let fixture = watched().await;
    let followed = async || {
        fixture.publish(vec![starting(LAB, "alice", reason::STARTING, false)]);
        let alice = signed_in_while_running(&fixture).await;
        let mut stream = events(&fixture.pages, LAB, own_page(&alice, LAB)).await;
        stream.next().await.unwrap();
        stream.next().await.unwrap();
        (alice, stream)
    };
    let ends = async |stream: &mut Events<Body>, why: &str| {
        let started = Instant::now();
        assert_eq!(stream.next().await, None, "{why}");
        assert!(started.elapsed() < Duration::from_secs(2), "{why}");
    };
    let (_alice, mut stream) = followed().await;
    fixture.publish(vec![starting(LAB, "carol", reason::STARTING, false)]);
    ends(&mut stream, "another owner").await;

    let (_alice, mut stream) = followed().await;
    fixture.publish(vec![]);
    ends(&mut stream, "deleted").await;

    let (_alice, mut stream) = followed().await;
    fixture.publish(vec![Target {
        uid: "another".into(),
        ..starting(LAB, "alice", reason::STARTING, false)
    }]);
    ends(&mut stream, "made anew").await;

    let (alice, mut stream) = followed().await;
    let answer = sign_out(&alice, Some(AUTH), "").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    ends(&mut stream, "signed out").await;
}

/// Signs alice in while her workspace runs, and leaves the fixture as it was.
async fn signed_in_while_running(fixture: &Fixture) -> Browser<'_> {
    let before = fixture.app.index.load().target(&LAB.into()).cloned();
    fixture.publish(vec![running(LAB, "alice")]);
    let alice = signed_in(fixture, "alice", LAB).await;
    fixture.publish(before.iter().map(|target| Target::clone(target)).collect());
    alice
}

#[tokio::test]
async fn strangers_learn_no_more_than_of_a_workspace_that_is_not_there() {
    let fixture = watched().await;
    let bob = signed_in(&fixture, "bob", BOBS).await;
    let alice = signed_in(&fixture, "alice", LAB).await;
    let states = [
        starting(LAB, "alice", reason::IMAGE_PULL_FAILED, false),
        target(BOBS, "bob", AccessType::OwnerOnly),
    ];
    fixture.publish(states.to_vec());
    let received =
        async |host: &str, lines: HeaderMap| Answer::of(ask(&fixture.pages, host, lines).await).await;
    // Without ticket, and with another workspace's.
    let bobs = own_page(&bob, BOBS);
    for lines in [headers(&SCRIPT), bobs] {
        let private = received(LAB, lines.clone()).await;
        let none = received(NONE, lines.clone()).await;
        let asked = fixture
            .verify("GET", &format!("{}/api", origin(LAB)), lines)
            .await;
        assert_eq!(private.status, StatusCode::UNAUTHORIZED);
        assert_eq!(private.body.replace(LAB, ""), none.body.replace(NONE, ""));
        assert_eq!((private.status, &private.body), (asked.status, &asked.body));
    }
    // With a ticket whose right has ended.
    fixture.publish(vec![starting(LAB, "carol", reason::IMAGE_PULL_FAILED, false)]);
    let lines = own_page(&alice, LAB);
    let refused = received(LAB, lines.clone()).await;
    let asked = fixture
        .verify("GET", &format!("{}/api", origin(LAB)), lines)
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!((refused.status, &refused.body), (asked.status, &asked.body));
    // A page of another workspace cannot follow hers in her name.
    fixture.publish(vec![starting(LAB, "alice", reason::STARTING, false)]);
    for source in ["same-site", "cross-site"] {
        let mut lines = own_page(&alice, LAB);
        lines.insert("sec-fetch-site", source.parse().unwrap());
        let refused = received(LAB, lines).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{source}");
        assert_eq!(refused.json()["error"], "CrossOrigin");
    }
    let url = format!("{}{PATH}", origin(LAB));
    // No browser shows it as a page, nor in a frame.
    for dest in ["document", "iframe"] {
        let mut lines = own_page(&alice, LAB);
        lines.insert("sec-fetch-mode", "navigate".parse().unwrap());
        lines.insert("sec-fetch-dest", dest.parse().unwrap());
        assert_eq!(
            received(LAB, lines).await.status,
            StatusCode::BAD_REQUEST,
            "{dest}"
        );
    }
    for method in [Method::HEAD, Method::POST, Method::OPTIONS] {
        let refused = fixture
            .page(method.clone(), &url, own_page(&alice, LAB), String::new())
            .await;
        assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
}

#[tokio::test]
async fn a_session_has_eight_streams_and_a_workspace_thirty_two_and_others_theirs() {
    let fixture = watched().await;
    let mut sessions = vec![];
    for _ in 0..5 {
        sessions.push(signed_in(&fixture, "alice", LAB).await);
    }
    let bob = signed_in(&fixture, "bob", BOBS).await;
    fixture.publish(vec![
        starting(LAB, "alice", reason::STARTING, false),
        starting(BOBS, "bob", reason::STARTING, false),
    ]);
    let one_too_many = async |lines: &HeaderMap| {
        let refused = ask(&fixture.pages, LAB, lines.clone()).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.headers().contains_key("retry-after"));
    };
    let mut open = vec![];
    for session in &sessions[..4] {
        let lines = own_page(session, LAB);
        for _ in 0..8 {
            open.push(events(&fixture.pages, LAB, lines.clone()).await);
        }
        // The same session, while the workspace has room for another.
        one_too_many(&lines).await;
    }
    let lines = own_page(&sessions[4], LAB);
    one_too_many(&lines).await;
    drop(events(&fixture.pages, BOBS, own_page(&bob, BOBS)).await);
    open.pop();
    // The task that sends a stream releases its place.
    yield_now().await;
    drop(events(&fixture.pages, LAB, lines.clone()).await);
    yield_now().await;
    // One that has ended holds nothing, read or not.
    fixture.publish(vec![running(LAB, "alice")]);
    for mut stream in open {
        assert_eq!(stream.rest().await.pop().unwrap().kind, "ready");
    }
    assert_eq!(ask(&fixture.pages, LAB, lines).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_replica_that_ends_ends_its_streams_and_begins_none() {
    let fixture = watched().await;
    let alice = signed_in(&fixture, "alice", LAB).await;
    fixture.publish(vec![starting(LAB, "alice", reason::STARTING, false)]);
    let stop = CancellationToken::new();
    let (index, app) = (fixture.app.index.clone(), fixture.app.clone());
    let streams = progress::routes(app.clone(), stop.clone());
    let pages = router::pages(index, app, Router::new(), streams);
    let lines = own_page(&alice, LAB);
    let mut stream = events(&pages, LAB, lines.clone()).await;
    stream.next().await.unwrap();
    stream.next().await.unwrap();
    stop.cancel();
    let end = timeout(Duration::from_millis(500), stream.next()).await;
    assert_eq!(end.unwrap(), None);
    let refused = ask(&pages, LAB, lines).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_sends_a_comment_every_fifteen_seconds() {
    // Followed by no watch, and no heartbeat comes back.
    let fixture = Fixture::new().await;
    let alice = signed_in(&fixture, "alice", LAB).await;
    let session = fixture.sessions().remove(0);
    fixture.app.sessions.apply(Event::Apply(session)).await;
    fixture.publish(vec![starting(LAB, "alice", reason::STARTING, false)]);
    let mut stream = events(&fixture.pages, LAB, own_page(&alice, LAB)).await;
    let started = Instant::now();
    assert_eq!(stream.awaited().await.unwrap().percent(), 5);
    assert_eq!(stream.awaited().await.unwrap().percent(), 20);
    assert_eq!(stream.awaited().await, None);
    let held = started.elapsed().as_secs_f64();
    assert!((118.5..=120.0).contains(&held), "{held}");
    assert!((7..=8).contains(&stream.idle), "{}", stream.idle);
}

#[tokio::test]
async fn a_script_follows_a_start_by_its_token_until_that_counts_no_longer() {
    let tokens = Tokens::new().await;
    let state = |word| Target {
        access_type: AccessType::Public,
        ..starting(OPEN, "bob", word, false)
    };
    tokens.fixture.publish(vec![state(reason::STARTING)]);
    let token = tokens.account(SERVICE_ACCOUNT);
    let mut stream = events(&tokens.fixture.pages, OPEN, with(&token)).await;
    assert_eq!(stream.next().await.unwrap().percent(), 5);
    assert_eq!(stream.next().await.unwrap().percent(), 20);
    let garbage = ask(&tokens.fixture.pages, OPEN, with("garbage")).await;
    assert_eq!(garbage.status(), StatusCode::UNAUTHORIZED);
    assert!(garbage.headers().contains_key("www-authenticate"));
    tokens.fixture.pass(3600);
    assert_eq!(stream.next().await, None, "its hour is over");
}
