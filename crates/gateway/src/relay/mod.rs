//! websocket handshake -> a socket to the pod, while the user may connect (IO).
//!
//! Open sockets and handshakes are limited per workspace, per user and in total (`limits`). This file decides when access ends a socket;
//! `pipe` copies bytes and sends the close code, `frames` finds where a frame ends, `heartbeat` closes sockets with a side that is gone.

mod frames;
mod heartbeat;
mod limits;
mod pipe;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::workspace::Phase;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, StatusCode, Version};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use self::frames::CloseReason;
use self::limits::{Holder, Places};
use self::pipe::pipe;
use crate::index::freshness::CHECK_INTERVAL;
use crate::index::{Destination, Target};
use crate::pages::{not_running, problem};
use crate::server;
use crate::verify::request::forwarded;
use crate::verify::request::pod_headers;
use crate::verify::request::source_rule;
use crate::verify::{AppState, Grant};

/// Maximum number of sockets of one workspace. A kernel, a terminal or an extension uses one each.
const MAX_SOCKETS_OF_ONE: usize = 256;
/// Maximum number of sockets of all workspaces. Each takes about 100 KiB, and all must fit the pod's memory limit beside the rest.
const MAX_SOCKETS: usize = 3_000;
/// Maximum number of handshakes of one workspace that wait for its pod: a browser opens one after the other. Unresponsive pods must
/// not take all the permits that `server` has for handshakes, neither one nor many of them together.
const MAX_DIALS_OF_ONE: usize = 16;
/// The same for all workspaces; `server` has no more permits.
const MAX_DIALS: usize = 512;
/// Timeout of the connection to the pod, and again of the answer to the handshake.
const DIAL: Duration = Duration::from_secs(10);
/// Maximum size of the head of a pod's answer, in bytes.
const ANSWER_HEAD: usize = 64 * 1024;

/// The relay handles every request with an Upgrade header on a workspace's host.
pub struct Relay {
    app: Arc<AppState>,
    places: Places,
    dials: Places,
    sockets: TaskTracker,
    stop: CancellationToken,
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("{0}")]
    Malformed(&'static str),
    #[error("the handshake is not for a workspace host")]
    Misdirected,
    #[error("refused")]
    Refused(Box<Response>),
    #[error("the workspace is not running")]
    NotRunning(Arc<Target>),
    #[error("too many websockets are open")]
    Full,
    #[error("the workspace's server does not answer")]
    Unreachable,
    #[error("the workspace's server declined the websocket")]
    Declined(StatusCode),
}

impl Relay {
    /// `stop` ends every socket; [`Relay::drain`] waits for that.
    pub fn new(app: Arc<AppState>, stop: CancellationToken) -> Self {
        Self {
            app,
            places: Places::new(MAX_SOCKETS_OF_ONE, MAX_SOCKETS),
            dials: Places::new(MAX_DIALS_OF_ONE, MAX_DIALS),
            sockets: TaskTracker::new(),
            stop,
        }
    }

    /// Waits until no socket is open any more. From now on none is opened.
    pub async fn drain(&self) {
        self.sockets.close();
        self.sockets.wait().await;
    }

    /// Answers a handshake, and relays the socket.
    pub async fn handle(self: Arc<Self>, request: Request) -> Response {
        match self.clone().open(request).await {
            Ok(response) => {
                self.app.metrics.upgrade("opened");
                response
            }
            Err(failure) => {
                self.app.metrics.upgrade(failure.outcome());
                debug!(error = %failure, "no websocket");
                failure.into_response()
            }
        }
    }

    async fn open(self: Arc<Self>, mut request: Request) -> Result<Response, HandshakeError> {
        check(&request).map_err(HandshakeError::Malformed)?;
        let authority = source_rule::single(request.headers(), &HOST)
            .ok()
            .flatten()
            .ok_or(HandshakeError::Malformed("exactly one Host header is needed"))?;
        let destination = self
            .app
            .index
            .load()
            .domain()
            .map(|domain| domain.destination(authority, path(&request)));
        let site = match destination {
            Some(Destination::Workspace(site)) => site,
            Some(Destination::Unclear | Destination::Folder(_) | Destination::Nowhere) => {
                return Err(HandshakeError::Malformed("the path leads to no workspace"));
            }
            Some(Destination::Portal(_)) => {
                return Err(HandshakeError::Malformed("the portal has no websockets"));
            }
            Some(Destination::Auth | Destination::Outside) | None => return Err(HandshakeError::Misdirected),
        };
        if forwarded::is_reserved(site.within(path(&request))) {
            return Err(HandshakeError::Malformed("this path is the gateway's own"));
        }
        let limit = if forwarded::is_ssh(site.within(path(&request))) {
            heartbeat::SSH_LIMIT
        } else {
            heartbeat::LIMIT
        };
        let (target, grant) = self
            .app
            .admit_socket(&site, site.within(path(&request)), request.headers())
            .await
            .map_err(|refusal| HandshakeError::Refused(Box::new(refusal)))?;
        let endpoint = target
            .endpoint
            .ok_or_else(|| HandshakeError::NotRunning(Arc::clone(&target)))?;
        if self.stop.is_cancelled() {
            return Err(HandshakeError::Full);
        }
        let assertion = self.app.attest_socket(&target, &grant);
        let assertion = assertion.map_err(|failure| HandshakeError::Refused(Box::new(failure.answer())))?;
        let holder = Holder {
            user: grant.user_name(),
            is_owner: target.is_owned_by(grant.user_name()),
        };
        let place = self.places.take(&target.uid, holder);
        let place = place.ok_or(HandshakeError::Full)?;
        let dial = self.dials.take(&target.uid, holder);
        let dial = dial.ok_or(HandshakeError::Full)?;
        let client = hyper::upgrade::on(&mut request);
        let mut answer = self.dial(endpoint, self.handshake(&request, assertion)?).await?;
        drop(dial);
        let pod = hyper::upgrade::on(&mut answer);
        let response = accept(answer)?;
        let relay = Arc::clone(&self);
        self.sockets.spawn(async move {
            let _open = (place, relay.app.metrics.socket());
            // The client's side connects when the response below has been sent.
            let Ok(Ok((client, pod))) = timeout(DIAL, async { tokio::try_join!(client, pod) }).await else {
                return;
            };
            let cut = relay.cut(&target, &grant);
            match pipe(TokioIo::new(client), TokioIo::new(pod), cut, limit).await {
                Ok(None) => debug!("websocket ended"),
                Ok(Some(why)) => debug!(?why, "websocket closed by the gateway"),
                Err(error) => debug!(%error, "websocket broke off"),
            }
        });
        Ok(response)
    }

    /// The request to the pod: the original path, and headers without anything of the gateway's.
    fn handshake(
        &self,
        request: &Request,
        assertion: HeaderValue,
    ) -> Result<http::Request<Body>, HandshakeError> {
        let host = request.headers().get(HOST).ok_or(HandshakeError::Misdirected)?;
        let client = self.app.throttle.address(request.headers());
        let mut headers =
            pod_headers::for_relay(request.headers(), &self.app.strip, (host, client), assertion);
        headers.remove(CONTENT_LENGTH);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        let mut handshake = http::Request::new(Body::empty());
        *handshake.uri_mut() = path(request)
            .parse()
            .map_err(|_| HandshakeError::Malformed("the path cannot be read"))?;
        *handshake.headers_mut() = headers;
        Ok(handshake)
    }

    async fn dial(
        &self,
        endpoint: SocketAddr,
        handshake: http::Request<Body>,
    ) -> Result<http::Response<hyper::body::Incoming>, HandshakeError> {
        let unreachable = |error: &dyn std::error::Error| {
            debug!(%endpoint, %error, "the pod cannot be reached");
            HandshakeError::Unreachable
        };
        let timed_out = |_| HandshakeError::Unreachable;
        let stream = timeout(DIAL, TcpStream::connect(endpoint))
            .await
            .map_err(timed_out)?;
        let stream = stream.and_then(|stream| server::probe(&stream).map(|()| stream));
        let stream = stream.map_err(|error| unreachable(&error))?;
        let answer = async {
            let (mut sender, connection) = http1::Builder::new()
                .max_buf_size(ANSWER_HEAD)
                .handshake(TokioIo::new(stream))
                .await?;
            // Ends by itself: when the answer is no upgrade and is dropped, or when the upgrade takes the stream over.
            self.sockets.spawn(async move {
                let _ = connection.with_upgrades().await;
            });
            sender.send_request(handshake).await
        };
        timeout(DIAL, answer)
            .await
            .map_err(timed_out)?
            .map_err(|error| unreachable(&error))
    }

    /// Returns when the socket must close: the replica stops, or the grant is no longer valid.
    async fn cut(&self, target: &Target, grant: &Grant) -> CloseReason {
        let lost = async {
            // Both were valid when the socket was admitted. After access ends, the socket closes within this interval and `pipe`'s
            // grace period. A session that was looked up may take as long to arrive by the watch.
            loop {
                sleep(CHECK_INTERVAL).await;
                if !(self.app.is_valid(grant) && self.leads_to(target)) {
                    return;
                }
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => CloseReason::Shutdown,
            () = lost => CloseReason::AccessEnded,
        }
    }

    /// Whether the site still belongs to this workspace, and not to another pod of it. If the pod is not ready for a moment, its
    /// sockets stay open.
    fn leads_to(&self, target: &Target) -> bool {
        self.app.index.load().target(&target.site).is_some_and(|now| {
            now.uid == target.uid
                && now.phase != Phase::Deleting
                && (now.endpoint.is_none() || now.endpoint == target.endpoint)
        })
    }
}

/// Path and query, unchanged.
fn path(request: &Request) -> &str {
    request
        .uri()
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str)
}

/// Whether a request is a websocket handshake and nothing else. The gateway could not close a tunnel of any other Upgrade.
fn check(request: &Request) -> Result<(), &'static str> {
    let headers = request.headers();
    let only = |name: &HeaderName| source_rule::single(headers, name).ok().flatten();
    if request.method() != Method::GET || request.version() != Version::HTTP_11 {
        return Err("a websocket begins with a GET in HTTP/1.1");
    }
    if !only(&UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
        return Err("the one value of Upgrade can only be websocket");
    }
    if !only(&CONNECTION).is_some_and(|value| {
        value
            .split(',')
            .any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
    }) {
        return Err("the Connection header must name Upgrade");
    }
    if only(&SEC_WEBSOCKET_VERSION) != Some("13") || only(&SEC_WEBSOCKET_KEY).is_none() {
        return Err("Sec-WebSocket-Version 13 and one Sec-WebSocket-Key are needed");
    }
    if headers.contains_key(TRANSFER_ENCODING)
        || headers.contains_key(CONTENT_LENGTH) && only(&CONTENT_LENGTH) != Some("0")
    {
        return Err("a handshake has no body");
    }
    Ok(())
}

/// The pod's answer, reduced to what the client may see.
fn accept(answer: http::Response<hyper::body::Incoming>) -> Result<Response, HandshakeError> {
    let (mut parts, _) = answer.into_parts();
    let upgrade = source_rule::single(&parts.headers, &UPGRADE).ok().flatten();
    if parts.status != StatusCode::SWITCHING_PROTOCOLS
        || !upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    {
        return Err(HandshakeError::Declined(parts.status));
    }
    pod_headers::from_pod(&mut parts.headers);
    parts
        .headers
        .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    parts
        .headers
        .insert(UPGRADE, HeaderValue::from_static("websocket"));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = parts.headers;
    Ok(response)
}

impl HandshakeError {
    /// A label for metrics.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Misdirected => "misdirected",
            Self::Refused(_) => "refused",
            Self::NotRunning(_) => "not_running",
            Self::Full => "full",
            Self::Unreachable => "unreachable",
            Self::Declined(_) => "declined",
        }
    }

    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::Refused(response) => return *response,
            Self::NotRunning(target) => return not_running(&target),
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "BadHandshake"),
            Self::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "UnknownHost"),
            Self::Full => (StatusCode::SERVICE_UNAVAILABLE, "TooManySockets"),
            Self::Unreachable => (StatusCode::BAD_GATEWAY, "WorkspaceUnreachable"),
            // Only the status of the pod's answer is passed on: the gateway forwards no content of pods.
            Self::Declined(status) if status.is_client_error() => (status, "Declined"),
            Self::Declined(_) => (StatusCode::BAD_GATEWAY, "Declined"),
        };
        problem(status, error, &self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(change: impl FnOnce(&mut Request)) -> Request {
        let mut request = http::Request::builder()
            .uri("/api/kernels/1/channels")
            .header("host", "lab.ws.example")
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "WebSocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(Body::empty())
            .unwrap();
        change(&mut request);
        request
    }

    fn with(name: &'static str, value: &'static str) -> Request {
        request(|request| {
            request
                .headers_mut()
                .append(name, HeaderValue::from_static(value));
        })
    }

    fn replaced(name: &'static str, value: &'static str) -> Request {
        request(|request| {
            request
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        })
    }

    #[test]
    fn the_handshake_of_a_browser_is_accepted() {
        assert_eq!(check(&request(|_| ())), Ok(()));
        assert_eq!(check(&with("content-length", "0")), Ok(()));
    }

    #[test]
    fn handshakes_that_could_become_a_tunnel_are_refused() {
        for request in [
            replaced("upgrade", "tunnel"),
            replaced("upgrade", "websocket/13"),
            replaced("upgrade", "websocket, h2c"),
            replaced("upgrade", "h2c"),
            replaced("upgrade", ""),
            with("upgrade", "websocket"),
            replaced("connection", "keep-alive"),
            with("connection", "Upgrade"),
            replaced("sec-websocket-version", "8"),
            with("sec-websocket-version", "13"),
            with("sec-websocket-key", "x"),
            with("content-length", "5"),
            with("transfer-encoding", "chunked"),
            request(|request| *request.method_mut() = Method::POST),
            request(|request| *request.version_mut() = Version::HTTP_2),
            request(|request| *request.version_mut() = Version::HTTP_10),
            request(|request| {
                request.headers_mut().remove("upgrade");
            }),
            request(|request| {
                request.headers_mut().remove("sec-websocket-key");
            }),
        ] {
            assert!(check(&request).is_err(), "{request:?}");
        }
    }
}
