//! TLS connections -> an axum router (IO).
//!
//! - `connection_limit`: maximum number of connections, shared fairly among client addresses
//! - `write_timeout`: end of a connection whose client takes nothing of an answer

mod connection_limit;
mod write_timeout;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::Router;
use http::{HeaderValue, Version, header::CONNECTION};
use hyper::{Request, body::Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service as _;

use connection_limit::{ConnectionLimit, Permit};
use write_timeout::WriteTimeout;

/// Timeout of the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time for requests in flight when the process shuts down or the connection is closed.
const DRAIN: Duration = Duration::from_secs(10);
/// Time between the end of readiness and the end of listening, in which Services lead their clients to other pods.
const LINGER: Duration = Duration::from_secs(5);
/// Maximum number of connections. At the limit, the address with most connections loses one: see [`ConnectionLimit::acquire`].
const CONNECTIONS: usize = 1024;
/// Idle time for clients that nothing is known of: they close their connections earlier (Go: after 90 s).
pub const IDLE: Duration = Duration::from_mins(2);

/// Time after which a connection ends whose client takes nothing of an answer. The answer, and what it holds, is dropped. This does not hold
/// for the windows of HTTP/2: only clients that are trusted with their memory speak it here.
const STALL: Duration = Duration::from_secs(20);

/// Address of the client. It is an extension of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer(pub IpAddr);

/// Largest size of a request's headers, in bytes. An assertion with a thousand groups has up to 175 KiB.
const HEADERS: u32 = 256 * 1024;

/// Limits of connections.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    connections: usize,
    idle: Duration,
    stall: Duration,
    linger: Duration,
}

/// Serves `router` over TLS until [`LINGER`] after `shutdown`. Then it waits for the requests in flight.
///
/// A connection ends when its last answer began `idle` ago, read or not. A part of it that is not sent yet has [`DRAIN`] more. Clients must
/// end idle connections earlier, so that no connection ends just when a client uses it.
///
/// From `shutdown` on, each answer over HTTP/1 ends its connection. A connection that the server closes while a client sends its next
/// request is an error for that client: Go does not repeat a POST.
pub async fn serve(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    router: Router,
    idle: Duration,
    shutdown: CancellationToken,
) {
    let bounds = Bounds {
        connections: CONNECTIONS,
        idle,
        stall: STALL,
        linger: LINGER,
    };
    serve_within(bounds, listener, config, router, shutdown).await;
}

async fn serve_within(
    bounds: Bounds,
    listener: TcpListener,
    config: Arc<ServerConfig>,
    router: Router,
    shutdown: CancellationToken,
) {
    let acceptor = TlsAcceptor::from(config);
    let limit = ConnectionLimit::new(bounds.connections);
    let connections = TaskTracker::new();
    let lingered = async {
        shutdown.cancelled().await;
        tokio::time::sleep(bounds.linger).await;
    };
    let mut lingered = std::pin::pin!(lingered);
    let stop = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            () = lingered.as_mut() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok((stream, address)) => (stream, address.ip().to_canonical()),
            Err(error) => {
                // This happens, for example, without free file descriptors. Closing connections frees some while this waits.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(permit) = limit.acquire(peer) else {
            tracing::debug!(%peer, "the limit of connections is reached, and this address has most, all in use");
            continue;
        };
        let (acceptor, router) = (acceptor.clone(), router.clone());
        let end = End {
            idle: bounds.idle,
            stall: bounds.stall,
            last_answer: shutdown.clone(),
            stop: stop.clone(),
        };
        connections.spawn(async move {
            tokio::select! {
                () = permit.wait_for_eviction() => tracing::debug!(%peer, "a connection is closed to accept another one"),
                () = answer(stream, &acceptor, Peer(peer), &permit, router, end) => {}
            }
        });
    }
    drop(listener);
    stop.cancel();
    connections.close();
    if timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::warn!("requests were still in progress when the drain time ended");
    }
}

/// What ends a connection.
struct End {
    /// So much time without a request.
    idle: Duration,
    /// So much time in which the client takes nothing of an answer.
    stall: Duration,
    /// From now on an answer is the connection's last one.
    last_answer: CancellationToken,
    stop: CancellationToken,
}

/// Serves one connection until the client closes it, or until its end.
async fn answer(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    peer: Peer,
    permit: &Permit,
    router: Router,
    end: End,
) {
    let Ok(Ok(tls)) = timeout(HANDSHAKE, acceptor.accept(stream)).await else {
        return;
    };
    let mut server = auto::Builder::new(TokioExecutor::new());
    // There is no header timeout: it would close connections between two requests. The idle timeout covers this case.
    server.http1().timer(TokioTimer::new()).header_read_timeout(None);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .max_header_list_size(HEADERS);
    let activity = permit.activity();
    let (requests, last_answer) = (activity.clone(), end.last_answer);
    let service = tower::service_fn(move |mut request: Request<Incoming>| {
        let under_way = requests.begin();
        request.extensions_mut().insert(peer);
        // HTTP/2 has a message of its own for this, and no such header.
        let is_http1 = request.version() <= Version::HTTP_11;
        let (response, last_answer) = (router.clone().call(request), last_answer.clone());
        async move {
            let mut response = response.await;
            if let (true, true, Ok(response)) = (is_http1, last_answer.is_cancelled(), &mut response) {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            drop(under_way);
            response
        }
    });
    let stream = TokioIo::new(WriteTimeout::new(tls, end.stall));
    let connection = server.serve_connection(stream, TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { tokio::select! {
            () = end.stop.cancelled() => {}
            () = activity.idle(end.idle) => {}
        } } => {
            connection.as_mut().graceful_shutdown();
            match timeout(DRAIN, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests;
