//! Websockets through the relay.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use api::workspace::Phase;
use axum::Router;
use axum::extract::Request;
use futures::{SinkExt as _, StreamExt as _};
use gateway::index::{Index, Target};
use gateway::metrics::Metrics;
use gateway::relay::Relay;
use gateway::server::Limits;
use gateway::tokens::cookies::StripList;
use http::{HeaderMap, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{
    ErrorResponse, Request as PodRequest, Response as PodResponse,
};
use tokio_tungstenite::tungstenite::{Error, Message, client::IntoClientRequest as _};
use tokio_util::sync::CancellationToken;

use crate::support::fake_authorizer::FakeAuthorizer;
use crate::support::rig::Rig;
use crate::support::workspace::{HOST, snapshot, target};

const TIMEOUT: Duration = Duration::from_secs(5);

struct Site {
    rig: Rig,
    authorizer: Arc<FakeAuthorizer>,
    relay: Arc<Relay<FakeAuthorizer>>,
    stop: CancellationToken,
    pod: SocketAddr,
    /// Headers that the pod saw, one set per handshake.
    seen: mpsc::UnboundedReceiver<HeaderMap>,
}

/// A pod that echoes messages, refuses `/forbidden` and tries to set one of our cookies.
async fn pod() -> (SocketAddr, mpsc::UnboundedReceiver<HeaderMap>) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (sender, seen) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                #[expect(clippy::result_large_err, reason = "the signature is the library's")]
                let answer =
                    |request: &PodRequest, mut response: PodResponse| -> Result<PodResponse, ErrorResponse> {
                        sender.send(request.headers().clone()).unwrap();
                        if request.uri().path() == "/forbidden" {
                            return Err(http::Response::builder()
                                .status(403)
                                .body(Some("secret".into()))
                                .unwrap());
                        }
                        let headers = response.headers_mut();
                        headers.append("set-cookie", "__Host-ws=forged; Path=/".parse().unwrap());
                        headers.append("set-cookie", "_xsrf=1; Path=/".parse().unwrap());
                        Ok(response)
                    };
                let Ok(socket) = tokio_tungstenite::accept_hdr_async(stream, answer).await else {
                    return;
                };
                let (sink, stream) = socket.split();
                let _ = stream.forward(sink).await;
            });
        }
    });
    (address, seen)
}

impl Site {
    async fn start() -> Self {
        let (pod, seen) = pod().await;
        let index = Arc::new(Index::with(snapshot(Some(target(Some(pod))))));
        let authorizer = Arc::new(FakeAuthorizer::new(Arc::clone(&index)));
        let stop = CancellationToken::new();
        let relay = Relay::new(
            Arc::clone(&authorizer),
            index,
            StripList::default(),
            Metrics::default(),
            stop.clone(),
        );
        let relay = Arc::new(relay);
        let handler = Arc::clone(&relay);
        let router = Router::new().fallback(move |request: Request| Arc::clone(&handler).handle(request));
        let rig = Rig::start(router, Limits::default()).await;
        Self {
            rig,
            authorizer,
            relay,
            stop,
            pod,
            seen,
        }
    }

    async fn open(
        &self,
        path: &str,
    ) -> Result<(WebSocketStream<TlsStream<TcpStream>>, http::Response<()>), Error> {
        let mut request = format!("wss://{HOST}{path}").into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("cookie", "_xsrf=1; __Host-ws=ticket".parse().unwrap());
        headers.insert("authorization", "Bearer secret".parse().unwrap());
        let stream = self.rig.connect("http/1.1").await;
        let (socket, response) = tokio_tungstenite::client_async(request, stream).await?;
        Ok((socket, response.map(|_| ())))
    }

    /// Opens a socket, sees it echo, and waits for the close frame after `event`.
    async fn close_code_after(&self, event: impl FnOnce()) -> u16 {
        let (mut socket, _) = self.open("/").await.unwrap();
        socket.send(Message::text("hello")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
        event();
        let start = Instant::now();
        let message = timeout(TIMEOUT, socket.next()).await.unwrap().unwrap().unwrap();
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "closed after {:?}",
            start.elapsed()
        );
        let Message::Close(Some(frame)) = message else {
            panic!("{message:?} is no close frame")
        };
        frame.code.into()
    }
}

#[tokio::test]
async fn messages_pass_both_ways_and_the_pod_sees_nothing_of_ours() {
    let mut site = Site::start().await;
    let (mut socket, response) = site.open("/api/kernels/1/channels?session_id=2").await.unwrap();
    let big = vec![7; 300_000];
    socket.send(Message::binary(big.clone())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::binary(big));
    let seen = site.seen.recv().await.unwrap();
    assert_eq!(seen["host"], HOST);
    assert_eq!(seen["cookie"], "_xsrf=1");
    assert!(!seen.contains_key("authorization"));
    let set: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
    assert_eq!(set, ["_xsrf=1; Path=/"]);
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
    site.relay.drain().await;
}

#[tokio::test]
async fn a_socket_is_closed_when_its_right_ends() {
    let site = Site::start().await;
    let code = site
        .close_code_after(|| site.authorizer.holds.store(false, Ordering::Relaxed))
        .await;
    assert_eq!(code, 1008);
}

#[tokio::test]
async fn a_socket_is_closed_when_its_workspace_is_gone_is_deleted_or_is_another_one() {
    let site = Site::start().await;
    let another = Target {
        uid: "another".into(),
        ..target(Some(site.pod))
    };
    let deleted = Target {
        phase: Phase::Deleting,
        ..target(None)
    };
    for change in [None, Some(another), Some(deleted)] {
        site.authorizer
            .index
            .publish(snapshot(Some(target(Some(site.pod)))));
        let code = site
            .close_code_after(|| site.authorizer.index.publish(snapshot(change)))
            .await;
        assert_eq!(code, 1008);
    }
}

#[tokio::test]
async fn a_pod_that_is_not_ready_for_a_moment_keeps_its_socket() {
    let site = Site::start().await;
    let (mut socket, _) = site.open("/").await.unwrap();
    site.authorizer.index.publish(snapshot(Some(target(None))));
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        socket.send(Message::text("still here")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("still here"));
    }
}

#[tokio::test]
async fn sockets_are_closed_with_service_restart_when_the_replica_ends() {
    let site = Site::start().await;
    // JupyterLab comes again after this code, and not after 1001.
    assert_eq!(site.close_code_after(|| site.stop.cancel()).await, 1012);
    timeout(TIMEOUT, site.relay.drain()).await.unwrap();
}

#[tokio::test]
async fn a_pod_that_says_nothing_holds_up_few_handshakes_and_none_of_others() {
    let site = Site::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = Target {
        uid: "other".into(),
        site: "other.ws.example".into(),
        ..target(Some(silent.local_addr().unwrap()))
    };
    let both = [target(Some(site.pod)), other];
    let domain = gateway::index::Domain::new("ws.example", 443);
    site.authorizer
        .index
        .publish(gateway::index::Snapshot::new(Some(domain), both));
    let ask = |host: &str| {
        let request = http::Request::get("/")
            .header("host", host)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("cookie", "__Host-ws=ticket")
            .body(axum::body::Body::empty())
            .unwrap();
        Arc::clone(&site.relay).handle(request)
    };
    let mut waiting = tokio::task::JoinSet::new();
    let mut held = Vec::new();
    for _ in 0..16 {
        waiting.spawn(ask("other.ws.example"));
        held.push(timeout(TIMEOUT, silent.accept()).await.unwrap().unwrap());
    }
    let refused = timeout(Duration::from_secs(1), ask("other.ws.example")).await;
    assert_eq!(
        refused.expect("at once").status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert!(site.open("/").await.is_ok(), "another workspace");
    drop(held);
    for answer in waiting.join_all().await {
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    }
    // The places are free again.
    let mut again = tokio::spawn(ask("other.ws.example"));
    let dialled = tokio::select! {
        dialled = timeout(TIMEOUT, silent.accept()) => dialled.unwrap().unwrap(),
        answer = &mut again => panic!("{answer:?}"),
    };
    drop(dialled);
    assert_eq!(again.await.unwrap().status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_guest_who_takes_all_sockets_leaves_the_owner_some() {
    let site = Site::start().await;
    site.authorizer.is_guest.store(true, Ordering::Relaxed);
    let mut held = Vec::new();
    let refused = loop {
        match site.open("/api").await {
            Ok((socket, _)) => held.push(socket),
            Err(error) => break error,
        }
    };
    let Error::Http(answer) = refused else {
        panic!("{refused}")
    };
    assert_eq!(
        (answer.status(), held.len()),
        (StatusCode::SERVICE_UNAVAILABLE, 64)
    );
    site.authorizer.is_guest.store(false, Ordering::Relaxed);
    site.open("/api").await.unwrap();
    // The control: a place that becomes free is the guest's again.
    site.authorizer.is_guest.store(true, Ordering::Relaxed);
    held.pop().unwrap().close(None).await.unwrap();
    timeout(TIMEOUT, async {
        while site.open("/api").await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn handshakes_that_lead_nowhere_are_refused_without_a_word_of_the_pod() {
    let site = Site::start().await;
    let status = |result: Result<_, Error>| match result {
        Err(Error::Http(response)) => (
            response.status(),
            String::from_utf8(response.into_body().unwrap()).unwrap(),
        ),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the socket opened"),
    };
    let (code, body) = status(site.open("/forbidden").await);
    assert_eq!(code, StatusCode::FORBIDDEN);
    assert!(!body.contains("secret"), "{body}");

    site.authorizer.index.publish(snapshot(Some(target(None))));
    assert_eq!(status(site.open("/").await).0, StatusCode::SERVICE_UNAVAILABLE);

    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    site.authorizer
        .index
        .publish(snapshot(Some(target(Some(closed)))));
    assert_eq!(status(site.open("/").await).0, StatusCode::BAD_GATEWAY);

    site.authorizer.index.publish(snapshot(None));
    assert_eq!(status(site.open("/").await).0, StatusCode::FORBIDDEN);
}
