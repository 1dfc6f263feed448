//! Clients and a server with small limits -> answers or closed connections (tests).

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
};

use axum::{Extension, body::Body, routing::get};
use hyper::client::conn::{http1, http2};
use jiff::Timestamp;
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest},
    net::TcpSocket,
    sync::Notify,
    time::advance,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::*;
use crate::pki;

/// A running server, and the data that clients need to connect.
struct Served {
    address: SocketAddr,
    authority: String,
    /// Lets the server answer requests for `/slow`.
    release: Arc<Notify>,
    /// Whether a request for `/slow` is waiting.
    asked: Arc<AtomicBool>,
    /// Answers of `/large` that the server has not dropped.
    large_answers: TaskTracker,
    shutdown: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

async fn served(connections: usize, idle: Duration) -> Served {
    served_within(Bounds {
        connections,
        idle,
        ..BOUNDS
    })
    .await
}

async fn served_within(bounds: Bounds) -> Served {
    let now = Timestamp::now();
    let authority = pki::authority("tests", now).unwrap();
    let names = ["webhook".to_owned()];
    let leaf = pki::leaf(&authority, "webhook", &names, pki::Purpose::Server, now).unwrap();
    let certificate = crate::tls::Certificate::default();
    certificate.set(&leaf).unwrap();
    let config = crate::tls::server_config(certificate, None).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (release, asked) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let (waited, noted) = (release.clone(), asked.clone());
    let large_answers = TaskTracker::new();
    let tracker = large_answers.clone();
    let slow = get(async move || {
        noted.store(true, Ordering::Relaxed);
        waited.notified().await;
        "slow"
    });
    let router = Router::new()
        .route("/", get(async |Extension(Peer(peer))| format!("{peer}")))
        .route("/page", get(async || PART))
        .route("/slow", slow)
        .route("/large", get(async move || large(tracker.token())));
    let shutdown = CancellationToken::new();
    let serving = serve_within(bounds, listener, Arc::new(config), router, shutdown.clone());
    Served {
        address,
        authority: authority.certificate,
        release,
        asked,
        large_answers,
        shutdown,
        ended: tokio::spawn(serving),
    }
}

impl Served {
    async fn connect(&self, from: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::from(from), 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    async fn tls(&self, from: [u8; 4], protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
        crate::tls::install_crypto_provider();
        let mut roots = RootCertStore::empty();
        let pem = CertificateDer::from_pem_slice(self.authority.as_bytes()).unwrap();
        roots.add(pem).unwrap();
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = "webhook".try_into().unwrap();
        let stream = self.connect(from).await;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    async fn http1(&self, from: [u8; 4]) -> http1::SendRequest<Body> {
        let tls = self.tls(from, "http/1.1").await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Sends one request over its own connection. Returns the client address that the server saw.
    async fn ask(&self, from: [u8; 4]) -> String {
        let mut sender = self.http1(from).await;
        text(sender.send_request(request("/")).await.unwrap()).await
    }
}

/// An answer that holds `token` until it is dropped.
fn large(token: TaskTrackerToken) -> Body {
    let parts = std::iter::repeat_n(PART, PARTS).map(move |part| {
        let _held = &token;
        Ok::<_, std::convert::Infallible>(part)
    });
    Body::from_stream(futures::stream::iter(parts))
}

fn request(path: &str) -> Request<Body> {
    let uri = format!("https://webhook{path}");
    Request::get(uri)
        .header("host", "webhook")
        .body(Body::empty())
        .unwrap()
}

async fn text(response: hyper::Response<Incoming>) -> String {
    let body = axum::body::to_bytes(Body::new(response.into_body()), 1024).await;
    String::from_utf8(body.unwrap().to_vec()).unwrap()
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_))
}

const BOUNDS: Bounds = Bounds {
    connections: 8,
    idle: IDLE,
    stall: STALL,
    linger: Duration::ZERO,
};
/// Parts of an answer of `/large`: more than the buffers of both ends.
const PARTS: usize = 1024;
const PART: &[u8] = &[b'x'; 64 * 1024];
const ONE: [u8; 4] = [127, 0, 0, 1];
const GREEDY: [u8; 4] = [127, 0, 0, 2];

#[tokio::test]
async fn an_address_that_uses_every_connection_does_not_block_others() {
    let served = served(8, IDLE).await;
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(served.connect(GREEDY).await);
    }
    let _newest = served.connect(GREEDY).await;
    assert!(is_closed(&mut silent[0]).await, "its address has most");
    assert_eq!(served.ask(ONE).await, "127.0.0.1");
    assert!(is_closed(&mut silent[1]).await, "it made room");
    // The slow client's connection closed or is closing. Other connections of the same address did not block it.
    for _ in 0..16 {
        assert_eq!(served.ask(ONE).await, "127.0.0.1");
    }
}

#[tokio::test]
async fn an_idle_connection_ends_and_an_active_one_stays() {
    let served = served(8, Duration::from_millis(300)).await;
    let open = async |protocol| served.tls(ONE, protocol).await.unwrap();
    let executor = TokioExecutor::new();
    let (mut busy, connection) = http2::handshake(executor.clone(), TokioIo::new(open("h2").await))
        .await
        .unwrap();
    let busy_one = tokio::spawn(connection);
    let slow = tokio::spawn(busy.send_request(request("/slow")));
    let (mut idle, connection) = http2::handshake(executor, TokioIo::new(open("h2").await))
        .await
        .unwrap();
    let idle_one = tokio::spawn(connection);
    assert_eq!(
        text(idle.send_request(request("/")).await.unwrap()).await,
        "127.0.0.1"
    );
    idle_one.await.unwrap().unwrap();
    assert!(idle.is_closed());
    assert!(served.asked.load(Ordering::Relaxed) && !busy_one.is_finished());
    served.release.notify_one();
    assert_eq!(text(slow.await.unwrap().unwrap()).await, "slow");
    // The connection is idle now, too.
    busy_one.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unread_answer_keeps_its_connection_for_the_idle_time_and_a_further_request_for_longer() {
    // While a blocking task runs, time moves by `advance` alone.
    let (end, until_end) = std::sync::mpsc::channel::<()>();
    let still = tokio::task::spawn_blocking(move || until_end.recv());
    let served = served_within(Bounds {
        stall: IDLE * 9,
        ..BOUNDS
    })
    .await;
    let mut unread = served.tls(ONE, "http/1.1").await.unwrap();
    unread
        .write_all(b"GET /page HTTP/1.1\r\nhost: webhook\r\n\r\n")
        .await
        .unwrap();
    // The answer has begun. The kernel takes the rest of it.
    unread.read_u8().await.unwrap();
    let tls = served.tls(ONE, "http/1.1").await.unwrap();
    let (mut used, connection) = http1::handshake(TokioIo::new(tls)).await.unwrap();
    let used_one = tokio::spawn(connection);
    for _ in 0..2 {
        let answer = used.send_request(request("/")).await.unwrap();
        assert_eq!(text(answer).await, "127.0.0.1");
        advance(IDLE * 3 / 4).await;
    }
    let socket = unread.get_ref().0;
    while !socket.ready(Interest::READABLE).await.unwrap().is_read_closed() {
        tokio::task::yield_now().await;
    }
    let answer = used.send_request(request("/")).await.unwrap();
    assert_eq!(text(answer).await, "127.0.0.1");
    assert!(!used_one.is_finished());
    advance(IDLE).await;
    used_one.await.unwrap().unwrap();
    drop(end);
    still.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_connection_whose_client_takes_nothing_of_an_answer_ends_and_one_that_is_read_stays() {
    let served = served_within(Bounds {
        stall: Duration::from_millis(300),
        ..BOUNDS
    })
    .await;
    // Its body is never read.
    let mut silent = served.http1(ONE).await;
    let _unread = silent.send_request(request("/large")).await.unwrap();
    served.large_answers.close();
    served.large_answers.wait().await;

    let served = served_within(BOUNDS).await;
    let mut read = served.http1(ONE).await;
    let answer = read.send_request(request("/large")).await.unwrap();
    let bytes = axum::body::to_bytes(Body::new(answer.into_body()), PARTS * PART.len()).await;
    assert_eq!(bytes.unwrap().len(), PARTS * PART.len());
    // The connection can be used again.
    let again = read.send_request(request("/")).await.unwrap();
    assert_eq!(text(again).await, "127.0.0.1");
}

#[tokio::test]
async fn at_the_end_requests_under_way_are_answered() {
    let served = served(8, IDLE).await;
    let tls = served.tls(ONE, "h2").await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls))
        .await
        .unwrap();
    tokio::spawn(connection);
    let slow = tokio::spawn(sender.send_request(request("/slow")));
    while !served.asked.load(Ordering::Relaxed) {
        tokio::task::yield_now().await;
    }
    served.shutdown.cancel();
    served.release.notify_one();
    assert_eq!(text(slow.await.unwrap().unwrap()).await, "slow");
    served.ended.await.unwrap();
}

#[tokio::test]
async fn before_the_end_new_connections_are_served_and_every_answer_is_the_last_of_its_connection() {
    let served = served_within(Bounds {
        linger: IDLE,
        ..BOUNDS
    })
    .await;
    let open = async || {
        let tls = served.tls(ONE, "http/1.1").await.unwrap();
        http1::handshake(TokioIo::new(tls)).await.unwrap()
    };
    let (mut used, connection) = open().await;
    let used_one = tokio::spawn(connection);
    let first = used.send_request(request("/")).await.unwrap();
    assert!(!first.headers().contains_key("connection"));
    text(first).await;
    served.shutdown.cancel();
    let last = used.send_request(request("/")).await.unwrap();
    assert_eq!(last.headers()["connection"], "close");
    assert_eq!(text(last).await, "127.0.0.1");
    used_one.await.unwrap().unwrap();

    let (mut new, connection) = open().await;
    tokio::spawn(connection);
    let answer = new.send_request(request("/")).await.unwrap();
    assert_eq!(answer.headers()["connection"], "close");
    let tls = served.tls(ONE, "h2").await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls))
        .await
        .unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request("/")).await.unwrap();
    assert_eq!(answer.status(), 200);
}
