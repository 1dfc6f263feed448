//! Who gets a connection, for how long, and with how much.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use gateway::listen::Limits;
use http::{Request, StatusCode};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kit::pki::{Purpose, authority, leaf};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use crate::support::rig::Rig;

const SOON: Duration = Duration::from_secs(5);

fn router() -> Router {
    Router::new().route("/", get(|| async { "here" })).route(
        "/slow",
        get(|| async {
            sleep(Duration::from_millis(300)).await;
            "late"
        }),
    )
}

fn to(path: &str) -> Request<Body> {
    Request::get(format!("https://gateway.test{path}"))
        .header("host", "gateway.test")
        .body(Body::empty())
        .unwrap()
}

/// Whether a connection is good for one request.
async fn answers(stream: std::io::Result<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>) -> bool {
    let Ok(mut stream) = stream else { return false };
    // In TLS 1.3 a client learns of its refusal when it reads.
    let mut answer = Vec::new();
    let request = b"GET / HTTP/1.1\r\nhost: gateway.test\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.is_ok()
        && timeout(SOON, stream.read_to_end(&mut answer))
            .await
            .unwrap()
            .is_ok()
        && answer.starts_with(b"HTTP/1.1 200")
}

#[tokio::test]
async fn only_the_proxys_certificate_opens_a_connection() {
    let rig = Rig::start(router(), Limits::default()).await;
    assert!(answers(Ok(rig.connect("http/1.1").await)).await);
    assert!(!answers(rig.connect_as("http/1.1", None).await).await);
    let now = jiff::Timestamp::now();
    let foreign = authority("test", now).unwrap();
    let forged = leaf(&foreign, "proxy", &[], Purpose::Client, now).unwrap();
    assert!(!answers(rig.connect_as("http/1.1", Some(&forged)).await).await);
}

#[tokio::test]
async fn sixty_kilobytes_of_headers_pass_and_more_are_refused() {
    let rig = Rig::start(router(), Limits::default()).await;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(rig.connect("h2").await))
            .await
            .unwrap();
    tokio::spawn(connection);
    for (size, status) in [
        (60 * 1024, StatusCode::OK),
        (70 * 1024, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
    ] {
        let mut request = to("/");
        request
            .headers_mut()
            .insert("cookie", "x".repeat(size).parse().unwrap());
        sender.ready().await.unwrap();
        assert_eq!(
            sender.send_request(request).await.unwrap().status(),
            status,
            "{size}"
        );
    }
    let (mut sender, connection) = http1::handshake(TokioIo::new(rig.connect("http/1.1").await))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut request = to("/");
    request
        .headers_mut()
        .insert("cookie", "x".repeat(60 * 1024).parse().unwrap());
    assert_eq!(
        sender.send_request(request).await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn an_old_connection_is_asked_to_end_and_its_request_is_answered() {
    let limits = Limits {
        age: Duration::from_millis(100),
        jitter: Duration::ZERO,
        ..Limits::default()
    };
    let rig = Rig::start(router(), limits).await;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(rig.connect("h2").await))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    assert_eq!(
        sender.send_request(to("/slow")).await.unwrap().status(),
        StatusCode::OK
    );
    assert!(
        timeout(SOON, connection).await.unwrap().unwrap().is_ok(),
        "ends without an error"
    );
    assert!(!rig.serving.is_finished());
}

#[tokio::test]
async fn at_the_end_requests_under_way_are_answered_and_new_connections_refused() {
    let limits = Limits {
        drain: Duration::from_secs(1),
        ..Limits::default()
    };
    let rig = Rig::start(router(), limits).await;
    let (mut sender, connection) = http1::handshake(TokioIo::new(rig.connect("http/1.1").await))
        .await
        .unwrap();
    tokio::spawn(connection);
    // A peer that says nothing does not hold the process for longer than the drain.
    let silent = rig.connect("h2").await;
    let slow = tokio::spawn(async move { sender.send_request(to("/slow")).await.unwrap().status() });
    // The request has to arrive before the end is asked for.
    sleep(Duration::from_millis(50)).await;
    rig.stop.cancel();
    assert_eq!(slow.await.unwrap(), StatusCode::OK);
    timeout(SOON, rig.serving).await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(rig.address).await.is_err());
    drop(silent);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_dropped_in_time() {
    let limits = Limits {
        handshake: Duration::from_millis(200),
        connections: 1,
        ..Limits::default()
    };
    let rig = Rig::start(router(), limits).await;
    let mut silent = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    let mut byte = [0];
    assert_eq!(
        timeout(SOON, silent.read(&mut byte)).await.unwrap().unwrap_or(0),
        0
    );
    // Its place, the only one, is free again.
    assert!(
        timeout(SOON, async { answers(Ok(rig.connect("http/1.1").await)).await })
            .await
            .unwrap()
    );
}
