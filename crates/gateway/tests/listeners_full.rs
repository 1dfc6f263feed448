//! Listeners with more connections or requests than they can serve.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use gateway::server::Limits;
use gateway::server::{Kind, Most, at_pages};
use http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, sleep, timeout};

use crate::listeners::{TIMEOUT, answers, to};
use crate::support::rig::Rig;

/// Requests at once from `connections` connections, `each` on each: statuses, and the time of the slowest admitted one.
async fn burst(rig: &Rig, connections: usize, each: usize) -> (usize, usize, Duration) {
    let mut senders = Vec::new();
    for _ in 0..connections {
        let (sender, _) = rig.http2().await;
        senders.push(sender);
    }
    let requests = senders.iter().flat_map(|sender| {
        (0..each).map(move |_| {
            let mut sender = sender.clone();
            async move {
                let start = Instant::now();
                let answer = sender.send_request(to("/work")).await.unwrap();
                (
                    answer.status(),
                    answer.headers().contains_key("retry-after"),
                    start.elapsed(),
                )
            }
        })
    });
    let answers = timeout(TIMEOUT * 4, futures::future::join_all(requests))
        .await
        .unwrap();
    let (mut accepted, mut shed, mut slowest) = (0, 0, Duration::ZERO);
    for (status, says_when, took) in answers {
        match status {
            StatusCode::OK => {
                accepted += 1;
                slowest = slowest.max(took);
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                assert!(says_when, "no Retry-After");
                shed += 1;
            }
            other => panic!("{other}"),
        }
    }
    (accepted, shed, slowest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn excess_requests_are_shed_at_once_and_others_are_answered() {
    // 20 places and 10 ms each, one at a time: 100 requests a second.
    let turn = Arc::new(tokio::sync::Mutex::new(()));
    let router = Router::new().route(
        "/work",
        get(async move || {
            let _turn = turn.lock().await;
            sleep(Duration::from_millis(10)).await;
        }),
    );
    let most = Most::default().with(Kind::Question, 20);
    let rig = Rig::start_with(router, Limits::default(), most).await;
    let (accepted, shed, slowest) = burst(&rig, 10, 100).await;
    assert!(
        accepted >= 20 && shed >= 900,
        "{accepted} accepted, {shed} turned away"
    );
    // The last of 20 waits for 0.2 s, and a second or two more on a busy machine. If all were accepted, the last would wait for 10 s.
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    // As soon as it is over, everybody is served.
    let (accepted, shed, _) = burst(&rig, 2, 10).await;
    assert_eq!((accepted, shed), (20, 0));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &rig.metrics.registry()).unwrap();
    assert!(
        text.contains("jupyter_k8s_gateway_requests_under_way{kind=\"question\"} 0"),
        "{text}"
    );
}

#[tokio::test]
async fn bodies_that_never_come_prevent_no_sign_in() {
    let router = Router::new()
        .route("/enter", get(|| async { "here" }))
        .route("/sign-out", post(|body: String| async { body }))
        .route("/backchannel-logout", post(|body: String| async { body }));
    let most = Most::default()
        .with(Kind::Login, 1)
        .with(Kind::Backchannel, 1)
        .with(Kind::Body, 8);
    let rig = Rig::start_as(at_pages, router, Limits::default(), most).await;
    let (mut sender, _) = rig.http2().await;
    let form = |path: &str, body: Body| {
        let mut request = to(path);
        *request.method_mut() = http::Method::POST;
        *request.body_mut() = body;
        request
    };
    let mut silent: Vec<_> = (0..8)
        .map(|_| {
            let never = Body::from_stream(futures::stream::pending::<std::io::Result<bytes::Bytes>>());
            Box::pin(sender.send_request(form("/backchannel-logout", never)))
        })
        .collect();
    for silent in &mut silent {
        assert!(futures::poll!(silent).is_pending());
    }
    // They were sent before, on the same connection.
    let entered = sender.send_request(to("/enter")).await.unwrap();
    assert_eq!(entered.status(), StatusCode::OK);
    let more = sender
        .send_request(form("/sign-out", Body::from("a=b")))
        .await
        .unwrap();
    assert_eq!(
        more.status(),
        StatusCode::SERVICE_UNAVAILABLE,
        "bodies have a bound as well"
    );
    for silent in silent {
        let answer = timeout(TIMEOUT, silent).await.unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    }
    for path in ["/sign-out", "/backchannel-logout"] {
        let answer = sender.send_request(form(path, Body::from("a=b"))).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "a=b");
        let long = form(path, Body::from(vec![b'x'; 20_000]));
        let answer = sender.send_request(long).await.unwrap();
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_that_wait_for_their_pods_keep_no_question_waiting() {
    let hangs = Arc::new(tokio::sync::Notify::new());
    let release = hangs.clone();
    let router = Router::new()
        .route("/hangs", get(async move || hangs.notified().await))
        .route("/", get(|| async { "here" }));
    let most = Most::default().with(Kind::Question, 1).with(Kind::Handshake, 2);
    let rig = Rig::start_with(router, Limits::default(), most).await;
    let (mut held, mut refused) = (Vec::new(), 0);
    for _ in 0..3 {
        let mut sender = rig.http1().await;
        let mut request = to("/hangs");
        request
            .headers_mut()
            .insert("upgrade", "websocket".parse().unwrap());
        let mut answer = tokio::spawn(async move { sender.send_request(request).await.unwrap().status() });
        match timeout(Duration::from_millis(500), &mut answer).await {
            Ok(status) => {
                assert_eq!(status.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
                refused += 1;
            }
            Err(_) => held.push(answer),
        }
    }
    assert_eq!((held.len(), refused), (2, 1));
    assert!(answers(Ok(rig.connect("http/1.1").await)).await);
    release.notify_waiters();
}
