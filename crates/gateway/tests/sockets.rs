//! Websockets through the relay.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::workspace::{AccessType, Phase};
use axum::Router;
use axum::extract::Request;
use futures::{SinkExt as _, StreamExt as _};
use gateway::index::Target;
use gateway::relay::Relay;
use gateway::server::Limits;
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

use crate::support::fixture::{Fixture, LAB, NONE, origin, target};
use crate::support::rig::Rig;

const TIMEOUT: Duration = Duration::from_secs(5);

struct Site {
    fixture: Fixture,
    rig: Rig,
    relay: Arc<Relay>,
    stop: CancellationToken,
    pod: SocketAddr,
    /// Headers that the pod saw, one set per handshake.
    seen: mpsc::UnboundedReceiver<HeaderMap>,
    /// Alice's tickets for her workspaces at [`LAB`] and [`NONE`].
    tickets: [String; 2],
}

/// A workspace of alice's.
fn owned(host: &str, pod: Option<SocketAddr>) -> Target {
    Target {
        endpoint: pod,
        ..target(host, "alice", AccessType::OwnerOnly)
    }
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
        let fixture = Fixture::new().await;
        fixture.watch().await;
        fixture.publish(vec![owned(LAB, Some(pod)), owned(NONE, None)]);
        let alice = fixture.signed_in("alice", LAB).await;
        assert!(alice.open(&format!("{}/", origin(NONE))).await.is_inside());
        let tickets = [LAB, NONE].map(|host| alice.cookies(host).unwrap());
        drop(alice);
        let stop = CancellationToken::new();
        let relay = Arc::new(Relay::new(fixture.app.clone(), stop.clone()));
        let handler = Arc::clone(&relay);
        let router = Router::new().fallback(move |request: Request| Arc::clone(&handler).handle(request));
        let rig = Rig::start(router, Limits::default()).await;
        Self {
            fixture,
            rig,
            relay,
            stop,
            pod,
            seen,
            tickets,
        }
    }

    /// From now on this is all that the index knows.
    fn publish(&self, target: Option<Target>) {
        self.fixture.publish(target.into_iter().collect());
    }

    async fn open(
        &self,
        path: &str,
    ) -> Result<(WebSocketStream<TlsStream<TcpStream>>, http::Response<()>), Error> {
        self.open_with(&self.tickets[0], path).await
    }

    async fn open_with(
        &self,
        ticket: &str,
        path: &str,
    ) -> Result<(WebSocketStream<TlsStream<TcpStream>>, http::Response<()>), Error> {
        let mut request = format!("wss://{LAB}:8443{path}").into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("cookie", format!("_xsrf=1; {ticket}").parse().unwrap());
        headers.insert("origin", origin(LAB).parse().unwrap());
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
    assert_eq!(seen["host"], format!("{LAB}:8443"));
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
    let of_bob = Target {
        endpoint: Some(site.pod),
        ..target(LAB, "bob", AccessType::OwnerOnly)
    };
    let code = site.close_code_after(|| site.publish(Some(of_bob))).await;
    assert_eq!(code, 1008);
}

#[tokio::test]
async fn a_socket_is_closed_when_its_workspace_is_gone_is_deleted_or_is_another_one() {
    let site = Site::start().await;
    let another = Target {
        uid: "another".into(),
        ..owned(LAB, Some(site.pod))
    };
    let deleted = Target {
        phase: Phase::Deleting,
        ..owned(LAB, None)
    };
    for change in [None, Some(another), Some(deleted)] {
        site.publish(Some(owned(LAB, Some(site.pod))));
        let code = site.close_code_after(|| site.publish(change)).await;
        assert_eq!(code, 1008);
    }
}

#[tokio::test]
async fn a_pod_that_is_not_ready_for_a_moment_keeps_its_socket() {
    let site = Site::start().await;
    let (mut socket, _) = site.open("/").await.unwrap();
    site.publish(Some(owned(LAB, None)));
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
    let other = owned(NONE, Some(silent.local_addr().unwrap()));
    site.fixture.publish(vec![owned(LAB, Some(site.pod)), other]);
    let ask = || {
        let request = http::Request::get("/")
            .header("host", format!("{NONE}:8443"))
            .header("origin", origin(NONE))
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("cookie", &site.tickets[1])
            .body(axum::body::Body::empty())
            .unwrap();
        Arc::clone(&site.relay).handle(request)
    };
    let mut waiting = tokio::task::JoinSet::new();
    let mut held = Vec::new();
    for _ in 0..16 {
        waiting.spawn(ask());
        held.push(timeout(TIMEOUT, silent.accept()).await.unwrap().unwrap());
    }
    let refused = timeout(Duration::from_secs(1), ask()).await;
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
    let mut again = tokio::spawn(ask());
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
    site.publish(Some(Target {
        access_type: AccessType::Public,
        ..owned(LAB, Some(site.pod))
    }));
    let ticket = site.fixture.signed_in("bob", LAB).await.cookies(LAB).unwrap();
    let mut held = Vec::new();
    let refused = loop {
        match site.open_with(&ticket, "/api").await {
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
    site.open("/api").await.unwrap();
    // The control: a place that becomes free is the guest's again.
    held.pop().unwrap().close(None).await.unwrap();
    timeout(TIMEOUT, async {
        while site.open_with(&ticket, "/api").await.is_err() {
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

    site.publish(Some(owned(LAB, None)));
    assert_eq!(status(site.open("/").await).0, StatusCode::SERVICE_UNAVAILABLE);

    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    site.publish(Some(owned(LAB, Some(closed))));
    assert_eq!(status(site.open("/").await).0, StatusCode::BAD_GATEWAY);

    site.publish(None);
    assert_eq!(status(site.open("/").await).0, StatusCode::FORBIDDEN);
}
