//! connections on one port -> requests to a router, within limits of number, size, time (IO).
//!
//! - `certificates`: the private authority for mutual TLS between gateway and proxy. `self_signed`: the certificate for browsers, if
//!   the gateway makes it. `pairs`: Secrets with a certificate and its key.
//! - `bounds`: limits of concurrent requests. `throttle`: rate limits.
//! - `oversized`: requests with too many headers. `body`: waits for bodies of forms.
//!
//! `axum::serve` has no TLS, no maximum age of a connection, and no limits of connections and HTTP/2 streams.
//!
//! Timeouts:
//!
//! - `handshake`: a TLS handshake, or the head of an HTTP/1.1 request (and so a silent connection).
//! - `age` with its jitter: a connection. Then `aged`, or `drain` when the process ends, whatever the peer does.
//! - `body`'s timeout: the body of a form. `router::ANSWER_TIMEOUT`: a request.
//! - Two `PROBE`s: an HTTP/2 peer that answers no ping.

mod body;
pub(crate) mod bounds;
pub(crate) mod certificates;
mod oversized;
pub(crate) mod pairs;
mod self_signed;
pub(crate) mod throttle;

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody as _;
use axum::response::Response;
use futures::FutureExt as _;
use http::header::CONNECTION;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tracing::{debug, warn};

pub use self::bounds::{Bounds, Kind, Most, at_entrance, at_pages, at_routes};
use self::certificates::TlsConfigs;
pub use self::oversized::Owners;
pub use self::throttle::{Rate, Rates, Throttle};
use crate::metrics::Metrics;
use crate::pages::{Failure, Reader, render};
use crate::tokens::{random, request_id};

/// Limits of one listener. The defaults fit a port that only the proxy reaches.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Concurrent connections; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Concurrent HTTP/2 requests on one connection.
    pub streams: u32,
    /// Bytes of one request's headers, names and values together. Cookies that other sites set add to this. What is below must reach pods:
    /// many servers take 64 KiB with the address and what the gateway adds.
    pub headers: u32,
    /// Timeout of the TLS handshake, and of the headers of an HTTP/1.1 request.
    pub handshake: Duration,
    /// Age at which a connection is asked to close, so that proxies spread over the replicas again.
    pub age: Duration,
    /// Maximum jitter of `age`, so that connections made together do not close together.
    pub jitter: Duration,
    /// Time for requests in progress after their connection was asked to close because of its age.
    pub aged: Duration,
    /// The same when the process ends.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            streams: 100,
            headers: 48 * 1024,
            handshake: Duration::from_secs(10),
            age: Duration::from_secs(30),
            jitter: Duration::from_secs(10),
            aged: Duration::from_secs(10),
            drain: Duration::from_secs(10),
        }
    }
}

/// Interval of TCP and HTTP/2 probes on silent connections; two unanswered ones close a connection.
const PROBE: Duration = Duration::from_secs(10);
/// Bytes that a peer may send of one HTTP/2 request's body before a handler reads it: the maximum size of a form.
const STREAM_WINDOW: u32 = 16 * 1024;
/// The same for all requests of a connection together.
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Buffered bytes of an answer that the peer has not read yet.
const SEND_BUFFER: usize = 64 * 1024;
/// Maximum number of HTTP/2 requests that a peer may reset before they are processed, and of others that ended in an error. With
/// one more the connection closes ("rapid reset").
const RESETS: usize = 20;
/// The same for errors caused by the peer.
const ERRORS: usize = 256;

/// Bytes of headers that are read, so that too many headers still get a helpful answer. It is the proxy's own limit plus what the
/// proxy adds.
const READ: u32 = (1024 + 64) * 1024;

/// One port.
#[derive(Debug)]
pub struct Listener {
    /// For metrics and logs.
    pub name: &'static str,
    /// Where connections arrive.
    pub socket: TcpListener,
    /// Settings for new connections, updated as they change. `None` serves plain HTTP/1.1, for measurements on loopback.
    pub tls: Option<TlsConfigs>,
    /// Limits of connections.
    pub limits: Limits,
    /// Limits of requests, shared by the listeners of a process.
    pub bounds: Bounds,
    /// The kind of a request with this path and headers.
    pub kind: fn(&str, &HeaderMap) -> Kind,
    /// The cookies that must not be removed when there are too many.
    pub owners: Owners,
    /// Counts open connections.
    pub metrics: Metrics,
}

impl Listener {
    /// Serves until `stop`, then lets requests in progress finish. Each connection gets a router of its own from `router`, which
    /// may hold state of the connection.
    pub async fn serve(self, router: impl Fn() -> Router, stop: CancellationToken) {
        let Self {
            name,
            socket,
            tls,
            limits,
            bounds,
            kind,
            owners,
            metrics,
        } = self;
        let (bounds, owners) = (Arc::new(bounds), Arc::new(owners));
        let permits = Arc::new(Semaphore::new(limits.connections));
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(&socket, &permits) => accepted,
            };
            let (stream, permit) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, for example: connections that close make room.
                    warn!(listener = name, %error, "a connection cannot be accepted");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (acceptor, requests, stop, open, metrics) = (
                tls.as_ref()
                    .map(|tls| TlsAcceptor::from(Arc::clone(&tls.borrow()))),
                Requests {
                    router: router(),
                    bounds: Arc::clone(&bounds),
                    kind,
                    owners: Arc::clone(&owners),
                    headers: limits.headers as usize,
                },
                stop.clone(),
                metrics.connection(name),
                metrics.clone(),
            );
            connections.spawn(async move {
                let ended = match acceptor {
                    None => serve_connection(stream, false, requests, limits, stop).await,
                    Some(acceptor) => match timeout(limits.handshake, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                            serve_connection(stream, is_http2, requests, limits, stop).await
                        }
                        Ok(Err(error)) => {
                            debug!(listener = name, %error, "a TLS handshake failed");
                            Ok(())
                        }
                        Err(_) => Ok(()),
                    },
                };
                if let Err(error) = ended {
                    if error.is_parse() {
                        metrics.count_malformed(name);
                    }
                    debug!(listener = name, %error, "a connection ended early");
                }
                drop((open, permit));
            });
        }
        drop(socket);
        connections.close();
        connections.wait().await;
    }
}

/// Answers the requests of a connection.
struct Requests {
    router: Router,
    bounds: Arc<Bounds>,
    kind: fn(&str, &HeaderMap) -> Kind,
    owners: Arc<Owners>,
    /// Maximum bytes of headers.
    headers: usize,
}

impl Requests {
    /// Not an `async fn`: the permit is taken when the request arrives, and not when a processor is free.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response> + Send + use<> {
        let kind = (self.kind)(request.uri().path(), request.headers());
        let has_body =
            kind.reads_bodies() && request.method() == Method::POST && !request.body().is_end_stream();
        let permit = if has_body {
            self.bounds.take_for_body(request.headers())
        } else {
            self.bounds.take(kind)
        };
        let (router, bounds) = (self.router.clone(), Arc::clone(&self.bounds));
        let (owners, limit) = (Arc::clone(&self.owners), self.headers);
        async move {
            if oversized::size(request.headers()) > limit {
                drop(permit);
                let (head, _) = request.into_parts();
                return Box::pin(oversized::refuse(head.uri, head.headers, limit, &owners)).await;
            }
            match permit {
                Ok(reading) if has_body => {
                    Box::pin(body::answer(router, request, kind, reading, &bounds)).await
                }
                Ok(permit) => {
                    let Ok(answer) = router.oneshot(request).await;
                    drop(permit);
                    answer
                }
                Err(shed) => turned_away(shed, Reader::from_headers(request.headers())).await,
            }
        }
    }
}

async fn turned_away(failure: Failure, reader: Reader) -> Response {
    request_id::scope(async { render(failure.answer(), reader) }).await
}

async fn accept(
    socket: &TcpListener,
    permits: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, Option<tokio::sync::OwnedSemaphorePermit>)> {
    // The semaphore is never closed. Without a permit no connection is accepted from the kernel's queue.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    let (stream, _) = socket.accept().await?;
    probe(&stream)?;
    Ok((stream, permit))
}

/// Lets the kernel detect a peer that vanished, and sends small answers at once.
pub(crate) fn probe(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(PROBE)
            .with_interval(PROBE)
            .with_retries(2),
    )
}

/// Serves a connection within `limits`, and until `stop`. The builder `auto` of hyper-util would follow the client's first bytes: with
/// upgrades it ignores which version it may speak, and waits for these bytes without a timeout.
async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    is_http2: bool,
    requests: Requests,
    limits: Limits,
    stop: CancellationToken,
) -> hyper::Result<()> {
    let stream = TokioIo::new(stream);
    if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(READ)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(ERRORS)
            .keep_alive_interval(PROBE)
            .keep_alive_timeout(PROBE);
        let service = service_fn(move |request| requests.answer(request).map(Ok::<_, Infallible>));
        let connection = builder.serve_connection(stream, service);
        let end = http2::Connection::graceful_shutdown;
        return end_in_time(connection, end, end, limits, stop).await;
    }
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.handshake)
        // Space for the request line in addition to the headers.
        .max_buf_size(READ as usize + 16 * 1024);
    // An answer announces the close. Closing a silent connection could meet a request in flight, and a proxy does not repeat every
    // request.
    let is_last = Arc::new(AtomicBool::new(false));
    let announced = Arc::clone(&is_last);
    let service = service_fn(move |request| {
        let (answer, announced) = (requests.answer(request), Arc::clone(&announced));
        async move {
            let mut answer = answer.await;
            if announced.load(Ordering::Relaxed) && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = builder.serve_connection(stream, service).with_upgrades();
    let announce = |_: Pin<&mut _>| is_last.store(true, Ordering::Relaxed);
    let end = http1::UpgradeableConnection::graceful_shutdown;
    end_in_time(connection, announce, end, limits, stop).await
}

/// Runs a connection until it ends, or its time does. `at_age` and `at_stop` begin its end.
async fn end_in_time<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    at_age: impl FnOnce(Pin<&mut C>),
    at_stop: impl FnOnce(Pin<&mut C>),
    limits: Limits,
    stop: CancellationToken,
) -> hyper::Result<()> {
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = stop.cancelled() => {}
        () = sleep(lifetime(limits)) => {
            at_age(connection.as_mut());
            tokio::select! {
                ended = connection.as_mut() => return ended,
                () = stop.cancelled() => {}
                () = sleep(limits.aged) => return Ok(()),
            }
        }
    }
    at_stop(connection.as_mut());
    timeout(limits.drain, connection).await.unwrap_or(Ok(()))
}

/// The maximum age, plus a share of the jitter.
fn lifetime(limits: Limits) -> Duration {
    let [share] = random::<1>().unwrap_or_default();
    limits.age + limits.jitter * u32::from(share) / 256
}
