//! Connections that must end while an answer on them continues.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::get;
use gateway::server::{Limits, LongLived};
use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::support::rig::{NAME, Rig};

const TIMEOUT: Duration = Duration::from_secs(10);

/// The lifetime that `/stream` declares, and the lines of its body.
type LongLivedAnswers = (CancellationToken, mpsc::UnboundedReceiver<&'static str>);

/// A listener that ends its connections early, with an answer that never completes and a long-lived one.
async fn of_age(long_lived: Duration, (over, lines): LongLivedAnswers) -> Rig {
    let limits = Limits {
        age: Duration::from_millis(100),
        jitter: Duration::ZERO,
        aged: Duration::from_millis(500),
        long_lived,
        ..Limits::default()
    };
    let lines = Arc::new(Mutex::new(Some(lines)));
    let message = move || {
        let lines = lines.lock().unwrap().take().unwrap();
        let lines = futures::stream::unfold(lines, async |mut lines| {
            let line = lines.recv().await?;
            Some((Ok::<_, std::io::Error>(line), lines))
        });
        let mut answer = Response::new(Body::from_stream(lines));
        answer.extensions_mut().insert(LongLived(over.clone()));
        async { answer }
    };
    let never = async || Body::from_stream(futures::stream::pending::<std::io::Result<Bytes>>());
    let router = Router::new()
        .route("/slow", get(never))
        .route("/stream", get(message));
    Rig::start(router, limits).await
}

/// The body of a request on its own connection.
async fn alone(rig: &Rig, protocol: &str, path: &str) -> Incoming {
    let stream = TokioIo::new(rig.connect(protocol).await);
    let request = Request::get(format!("https://gateway.test{path}"))
        .header("host", NAME)
        .body(Body::empty())
        .unwrap();
    let answer = if protocol == "h2" {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await
    } else {
        let (mut sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    answer.unwrap().into_body()
}

/// Waits until the connection of this body was ended.
async fn ended(body: &mut Incoming) {
    let frame = timeout(TIMEOUT, body.frame()).await.unwrap();
    assert!(matches!(frame, Some(Err(_))), "{frame:?}");
}

#[tokio::test]
async fn only_a_connection_with_a_stream_that_goes_on_outlives_its_age_and_what_it_says_last_arrives() {
    for protocol in ["h2", "http/1.1"] {
        let (over, (lines, message)) = (CancellationToken::new(), mpsc::unbounded_channel());
        let rig = of_age(Duration::from_mins(1), (over.clone(), message)).await;
        let mut stream = alone(&rig, protocol, "/stream").await;
        let mut slow = alone(&rig, protocol, "/slow").await;
        ended(&mut slow).await;
        let mut goes_on = async |line: &'static str| {
            lines.send(line).unwrap();
            let frame = timeout(TIMEOUT, stream.frame()).await.unwrap().unwrap();
            assert_eq!(frame.unwrap().into_data().unwrap(), line, "{protocol}");
        };
        goes_on("its age is over").await;
        over.cancel();
        goes_on("and so is all that lasts").await;
        // That does not allow it to continue for ever.
        ended(&mut stream).await;
    }
}

#[tokio::test]
async fn a_stream_that_does_not_end_does_not_keep_its_connection_for_ever() {
    for protocol in ["h2", "http/1.1"] {
        let (over, (lines, message)) = (CancellationToken::new(), mpsc::unbounded_channel());
        let rig = of_age(Duration::from_secs(1), (over.clone(), message)).await;
        let started = Instant::now();
        let mut stream = alone(&rig, protocol, "/stream").await;
        ended(&mut stream).await;
        let lived = started.elapsed();
        assert!(lived >= Duration::from_millis(1100), "{protocol}: {lived:?}");
        drop((over, lines));
    }
}
