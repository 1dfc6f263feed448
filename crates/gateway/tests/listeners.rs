//! Limits of listeners: which clients get a connection, for how long, and how much they may send.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures::StreamExt as _;
use gateway::server::Limits;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kit::pki::{Purpose, authority, leaf};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use crate::support::rig::Rig;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

fn router() -> Router {
    Router::new().route("/", get(|| async { "here" })).route(
        "/slow",
        get(|| async {
            sleep(Duration::from_millis(300)).await;
            "late"
        }),
    )
}

pub(crate) fn to(path: &str) -> Request<Body> {
    Request::get(format!("https://gateway.test{path}"))
        .header("host", "gateway.test")
        .body(Body::empty())
        .unwrap()
}

/// Whether a connection is good for one request.
pub(crate) async fn answers(
    stream: std::io::Result<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>,
) -> bool {
    let Ok(mut stream) = stream else { return false };
    // In TLS 1.3 a client learns of its refusal when it reads.
    let mut answer = Vec::new();
    let request = b"GET / HTTP/1.1\r\nhost: gateway.test\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.is_ok()
        && timeout(TIMEOUT, stream.read_to_end(&mut answer))
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
async fn forty_five_kibibytes_of_headers_pass_and_more_are_refused() {
    let rig = Rig::start(router(), Limits::default()).await;
    let (mut sender, _) = rig.http2().await;
    for (size, status) in [
        (45 * 1024, StatusCode::OK),
        (55 * 1024, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        (245 * 1024, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
    ] {
        let mut request = to("/");
        request
            .headers_mut()
            .insert("cookie", "x".repeat(size).parse().unwrap());
        sender.ready().await.unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), status, "{size}");
        if status != StatusCode::OK {
            assert_eq!(
                answer.headers()["content-type"],
                "application/json",
                "not a blank one"
            );
        }
    }
    let mut sender = rig.http1().await;
    for (size, status) in [
        (45 * 1024, StatusCode::OK),
        (245 * 1024, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
    ] {
        let mut request = to("/");
        request
            .headers_mut()
            .insert("cookie", "x".repeat(size).parse().unwrap());
        sender.ready().await.unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), status, "{size}");
        // Over HTTP/1.1 the next request waits for the end of this answer.
        answer.into_body().collect().await.unwrap();
    }
}

#[tokio::test]
async fn an_old_connection_is_asked_to_end_and_its_request_is_answered() {
    let limits = Limits {
        age: Duration::from_millis(100),
        jitter: Duration::ZERO,
        ..Limits::default()
    };
    let rig = Rig::start(router(), limits).await;
    let (mut sender, connection) = rig.http2().await;
    assert_eq!(
        sender.send_request(to("/slow")).await.unwrap().status(),
        StatusCode::OK
    );
    assert!(
        timeout(TIMEOUT, connection).await.unwrap().unwrap().is_ok(),
        "ends without an error"
    );
    assert!(!rig.serving.is_finished());
}

/// A proxy sends a form once: it must not meet a connection that is just being closed.
#[tokio::test]
async fn an_old_connection_of_http_1_ends_with_its_next_answer_and_not_while_it_is_silent() {
    let limits = Limits {
        age: Duration::from_secs(1),
        jitter: Duration::ZERO,
        ..Limits::default()
    };
    let rig = Rig::start(router(), limits).await;
    let mut stream = rig.connect("http/1.1").await;
    let mut seen = Vec::new();
    let request = b"GET / HTTP/1.1\r\nhost: gateway.test\r\n\r\n";
    stream.write_all(request).await.unwrap();
    while !seen.ends_with(b"here") {
        timeout(TIMEOUT, stream.read_buf(&mut seen))
            .await
            .unwrap()
            .unwrap();
    }
    let silent = timeout(Duration::from_millis(1500), stream.read_buf(&mut seen)).await;
    assert!(silent.is_err(), "{silent:?}");
    stream.write_all(request).await.unwrap();
    seen.clear();
    timeout(TIMEOUT, stream.read_to_end(&mut seen))
        .await
        .unwrap()
        .unwrap();
    let answer = String::from_utf8(seen).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"),
        "{answer}"
    );
}

#[tokio::test]
async fn requests_that_cannot_be_read_are_answered_and_counted() {
    let rig = Rig::start(router(), Limits::default()).await;
    for path in ["/?x=\"", "/?x=<", "/?x=y z", "/\u{1}"] {
        let mut stream = rig.connect("http/1.1").await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: gateway.test\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(TIMEOUT, stream.read_to_end(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert!(
            answer.starts_with(b"HTTP/1.1 400"),
            "{path}: {}",
            answer.escape_ascii()
        );
    }
    let counted = async {
        loop {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &rig.metrics.registry()).unwrap();
            if text.contains("jupyter_k8s_gateway_requests_malformed_total{listener=\"test\"} 4") {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, counted).await.expect("all are counted");
}

#[tokio::test]
async fn at_the_end_requests_under_way_are_answered_and_new_connections_refused() {
    let limits = Limits {
        drain: Duration::from_secs(1),
        ..Limits::default()
    };
    let rig = Rig::start(router(), limits).await;
    let mut sender = rig.http1().await;
    // A silent peer does not delay the process for longer than the drain.
    let silent = rig.connect("h2").await;
    let slow = tokio::spawn(async move { sender.send_request(to("/slow")).await.unwrap().status() });
    // The request must arrive before the process is requested to end.
    sleep(Duration::from_millis(50)).await;
    rig.stop.cancel();
    assert_eq!(slow.await.unwrap(), StatusCode::OK);
    timeout(TIMEOUT, rig.serving).await.unwrap().unwrap();
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
        timeout(TIMEOUT, silent.read(&mut byte))
            .await
            .unwrap()
            .unwrap_or(0),
        0
    );
    // Its place, the only one, is free again.
    assert!(
        timeout(TIMEOUT, async {
            answers(Ok(rig.connect("http/1.1").await)).await
        })
        .await
        .unwrap()
    );
    // After the handshake of TLS as well.
    let mut silent = rig.connect("http/1.1").await;
    let ended = timeout(TIMEOUT, silent.read(&mut byte)).await;
    assert_eq!(ended.expect("long before its age").unwrap_or(0), 0);
}

#[tokio::test]
async fn a_connection_speaks_the_version_that_was_agreed_on_and_no_other() {
    let rig = Rig::start(router(), Limits::default()).await;
    for (agreed, sent) in [
        (
            "http/1.1",
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..],
        ),
        ("h2", b"GET / HTTP/1.1\r\nhost: gateway.test\r\n\r\n"),
    ] {
        let mut stream = rig.connect(agreed).await;
        stream.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        let ended = timeout(TIMEOUT, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "{agreed} stays open");
        let is_of_other = match agreed {
            "h2" => answer.starts_with(b"HTTP/1.1"),
            _ => !answer.is_empty() && !answer.starts_with(b"HTTP/1.1 400"),
        };
        assert!(!is_of_other, "{agreed}: {}", answer.escape_ascii());
    }
}

#[tokio::test]
async fn a_connection_that_is_open_and_idle_ends_with_its_age() {
    let limits = Limits {
        age: Duration::from_millis(200),
        jitter: Duration::ZERO,
        aged: Duration::from_millis(200),
        ..Limits::default()
    };
    let rig = Rig::start(router(), limits).await;
    // One never says what HTTP/2 begins with, one has said it and nothing more, one is silent after an answer.
    let silent = rig.connect("h2").await;
    let greeted = rig.connect("h2").await;
    let (_sender, greeted) = http2::handshake::<_, _, Body>(TokioExecutor::new(), TokioIo::new(greeted))
        .await
        .unwrap();
    let mut used = rig.connect("http/1.1").await;
    used.write_all(b"GET / HTTP/1.1\r\nhost: gateway.test\r\n\r\n")
        .await
        .unwrap();
    let end = async |mut stream: tokio_rustls::client::TlsStream<_>| {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    };
    timeout(TIMEOUT, async {
        tokio::join!(end(silent), end(used), async {
            let _ = greeted.await;
        })
    })
    .await
    .expect("all are closed");
}

#[tokio::test]
async fn headers_that_come_drop_by_drop_end_the_connection() {
    let limits = Limits {
        handshake: Duration::from_millis(300),
        ..Limits::default()
    };
    let rig = Rig::start(router(), limits).await;
    let mut slow = rig.connect("http/1.1").await;
    let dripping = async {
        slow.write_all(b"GET / HTTP/1.1\r\nhost: gateway.test\r\n")
            .await?;
        loop {
            slow.write_all(b"x: y\r\n").await?;
            slow.flush().await?;
            sleep(Duration::from_millis(20)).await;
        }
    };
    let ended: std::io::Result<()> = timeout(TIMEOUT, dripping).await.expect("it is cut");
    assert!(ended.is_err());
}

#[tokio::test]
async fn more_than_a_hundred_requests_wait_for_their_turn_on_one_connection() {
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, highest) = (inside.clone(), most.clone());
    let router = Router::new().route(
        "/slow",
        get(async move || {
            highest.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(Duration::from_millis(50)).await;
            now.fetch_sub(1, Ordering::SeqCst);
        }),
    );
    let rig = Rig::start(router, Limits::default()).await;
    let (sender, _) = rig.http2().await;
    let requests = (0..400).map(|_| {
        let mut sender = sender.clone();
        async move { sender.send_request(to("/slow")).await.unwrap().status() }
    });
    let answers = timeout(TIMEOUT * 2, futures::future::join_all(requests))
        .await
        .unwrap();
    assert!(answers.iter().all(|status| *status == StatusCode::OK));
    let most = most.load(Ordering::SeqCst);
    assert!((50..=100).contains(&most), "{most} at once");
}

#[tokio::test]
async fn a_client_that_resets_streams_fast_loses_its_connection() {
    let rig = Rig::start(router(), Limits::default()).await;
    let (mut sender, connection) = rig.http2().await;
    let attack = async {
        while !connection.is_finished() {
            for _ in 0..50 {
                // Sent when it is polled, taken back when it is dropped.
                let mut request = Box::pin(sender.send_request(to("/slow")));
                let _ = futures::poll!(&mut request);
                tokio::task::yield_now().await;
            }
            if sender.ready().await.is_err() {
                break;
            }
        }
    };
    timeout(TIMEOUT, attack).await.expect("the connection ends");
    assert!(answers(Ok(rig.connect("http/1.1").await)).await);
}

#[tokio::test]
async fn an_unread_body_takes_little_room() {
    let rig = Rig::start(router(), Limits::default()).await;
    let (mut sender, _) = rig.http2().await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let chunks = futures::stream::iter(0..1000).map(move |_| {
        counted.fetch_add(16 * 1024, Ordering::SeqCst);
        Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[0; 16 * 1024]))
    });
    let mut request = to("/slow");
    *request.method_mut() = http::Method::POST;
    *request.body_mut() = Body::from_stream(chunks);
    let _ = timeout(TIMEOUT, sender.send_request(request)).await.unwrap();
    let sent = sent.load(Ordering::SeqCst);
    assert!(sent <= 256 * 1024, "{sent} bytes were taken");
}
