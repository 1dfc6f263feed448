//! Request -> the application's answer (IO).
//!
//! Bodies are streamed. A connection that the application upgrades, such as a websocket, becomes two copies of bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use assertion::names::{ASSERTION_HEADER, HOP_BY_HOP};
use bytes::Bytes;
use http::header::{CONNECTION, HeaderName, HeaderValue, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{self, AsyncWriteExt as _, split};
use tokio::time::timeout;
use tokio_util::io::InspectReader;

use crate::activity::Activity;
use crate::answers::{Body, body, problem};
use crate::application::{Address, Connector};
use crate::frames::ClientFrames;
use crate::permit::ConnectionPermit;
use crate::usage::{Socket, Usage};

/// Largest head of an answer, in bytes.
const HEAD: usize = 64 * 1024;
/// How long an unused connection to the application is kept. Node.js closes its own after five seconds.
const KEPT: Duration = Duration::from_secs(3);
/// Unused connections that are kept.
const MAX_KEPT: usize = 32;
/// How long an application may go on to send after its client has ended an upgraded connection.
const REST: Duration = Duration::from_secs(10);

/// Hands requests to the application.
#[derive(Debug)]
pub(crate) struct Proxy {
    client: Client<Connector, Body>,
    address: Address,
    activity: Arc<Activity>,
    /// Beginning of paths that the application does not see, without `/` at its end.
    stripped: String,
}

impl Proxy {
    pub(crate) fn new(address: Address, activity: Arc<Activity>) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT)
            .pool_max_idle_per_host(MAX_KEPT)
            .http1_max_buf_size(HEAD)
            .build(Connector(address.clone()));
        Self {
            client,
            address,
            activity,
            stripped: String::new(),
        }
    }

    /// Hands requests on without `base`, which has `/` at both ends.
    pub(crate) fn without_base_path(mut self, base: &str) -> Self {
        base.trim_end_matches('/').clone_into(&mut self.stripped);
        self
    }

    /// The path that the application sees.
    fn inner<'a>(&self, path: &'a str) -> &'a str {
        let rest = path.strip_prefix(self.stripped.as_str());
        rest.filter(|rest| rest.starts_with('/')).unwrap_or(path)
    }

    /// Whether the application accepts connections.
    pub(crate) async fn accepts(&self) -> bool {
        self.address.connect().await.is_ok()
    }

    /// Whether the application answers a request for this path, whatever it says.
    pub(crate) async fn answers(&self, path: &str) -> bool {
        let Ok(uri) = format!("http://localhost{}", self.inner(path)).parse::<Uri>() else {
            return false;
        };
        let never = |never: std::convert::Infallible| match never {};
        let mut request = Request::new(Empty::<Bytes>::new().map_err(never).boxed_unsync());
        *request.uri_mut() = uri;
        self.client.request(request).await.is_ok()
    }

    /// Hands on the request. `attested`: its assertion is valid.
    pub(crate) async fn pass(&self, mut request: Request<Incoming>, attested: bool) -> Response<Body> {
        let upgrade = upgrade(request.headers());
        let client = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
        let permit = request.extensions_mut().remove::<ConnectionPermit>();
        let socket = upgrade.is_some().then(|| Socket::new(request.uri().path()));
        let (mut head, content) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        // The client needs a host; the application sees the request's own.
        let Ok(uri) = Uri::builder()
            .scheme("http")
            .authority("localhost")
            .path_and_query(self.inner(path))
            .build()
        else {
            return problem(
                StatusCode::BAD_REQUEST,
                "BadRequest",
                "The address must be a path.",
            );
        };
        head.uri = uri;
        head.version = Version::HTTP_11;
        keep_end_to_end(&mut head.headers, upgrade.as_ref());
        if !attested {
            head.headers.remove(ASSERTION_HEADER);
        }
        let request = Request::from_parts(head, content.boxed_unsync());
        let mut answer = match self.client.request(request).await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => return not_ready(),
            Err(_) => return no_answer(),
        };
        let switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        let application = switched.then(|| hyper::upgrade::on(&mut answer));
        let protocol = answer.headers().get(UPGRADE).cloned().filter(|_| switched);
        keep_end_to_end(answer.headers_mut(), protocol.as_ref());
        match (client, application) {
            (Some(client), Some(application)) => {
                let websocket = protocol.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"));
                let socket = socket.filter(|_| websocket);
                let activity = Arc::clone(&self.activity);
                tokio::spawn(async move {
                    copy(client, application, socket, &activity).await;
                    drop(permit);
                });
                answer.map(|_| body(Bytes::new()))
            }
            (None, Some(_)) => no_answer(),
            (_, None) => answer.map(Incoming::boxed_unsync),
        }
    }
}

/// Copies bytes both ways until one side ends, and what the application still sends to a client that has ended. `socket`: of a websocket.
async fn copy(client: OnUpgrade, application: OnUpgrade, socket: Option<Socket>, activity: &Activity) {
    let (Ok(client), Ok(application)) = tokio::join!(client, application) else {
        return;
    };
    let (from_client, mut to_client) = split(TokioIo::new(client));
    let (mut from_application, mut to_application) = split(TokioIo::new(application));
    let mut socket = socket.map(|socket| (socket, ClientFrames::default(), Instant::now()));
    let mut from_client = InspectReader::new(from_client, |bytes| match &mut socket {
        Some((socket, frames, opened)) => {
            if let Some(data) = frames.advance(bytes) {
                activity.application_used(socket.sort(data, opened.elapsed()));
            }
        }
        None => activity.application_used(Usage::Presence),
    });
    // An error is the end of a connection, which is not of interest.
    let requests = async {
        let _ = io::copy(&mut from_client, &mut to_application).await;
        let _ = to_application.shutdown().await;
    };
    let answers = async {
        let _ = io::copy(&mut from_application, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    tokio::pin!(answers);
    tokio::select! {
        () = &mut answers => {}
        () = requests => {
            let _ = timeout(REST, answers).await;
        }
    }
}

/// The protocol that the sender wants to change to.
fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let wanted = named_by_connection(headers).any(|name| name == UPGRADE);
    headers.get(UPGRADE).filter(|_| wanted).cloned()
}

/// The headers that `Connection` names.
fn named_by_connection(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    let values = headers.get_all(CONNECTION).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let names = texts.flat_map(|text| text.split(','));
    names.filter_map(|name| name.trim().parse().ok())
}

/// Removes headers about one connection, except a change of the protocol.
fn keep_end_to_end(headers: &mut HeaderMap, upgrade: Option<&HeaderValue>) {
    let named: Vec<_> = named_by_connection(headers).collect();
    // A client must not take the check's result away.
    for name in named.iter().filter(|name| *name != ASSERTION_HEADER) {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
}

fn not_ready() -> Response<Body> {
    let message = "The application does not accept connections yet. Try again in a few seconds.";
    problem(StatusCode::SERVICE_UNAVAILABLE, "ApplicationNotReady", message)
}

fn no_answer() -> Response<Body> {
    let message = "The application ended the connection without an answer. If it does so again, the workspace's owner may restart it.";
    problem(StatusCode::BAD_GATEWAY, "ApplicationFailed", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn headers_about_one_connection_are_not_handed_on() {
        let mut all = headers(&[
            ("connection", "keep-alive, X-Mine"),
            ("connection", "workspace-assertion"),
            ("keep-alive", "timeout=5"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("workspace-assertion", "a.b.c"),
            ("cookie", "x=1"),
        ]);
        assert_eq!(upgrade(&all), None);
        keep_end_to_end(&mut all, None);
        let rest = headers(&[("workspace-assertion", "a.b.c"), ("cookie", "x=1")]);
        assert_eq!(all, rest);
    }

    #[test]
    fn a_websocket_handshake_keeps_its_upgrade() {
        let mut all = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        let protocol = upgrade(&all);
        keep_end_to_end(&mut all, protocol.as_ref());
        assert_eq!(
            all,
            headers(&[("connection", "upgrade"), ("upgrade", "websocket")])
        );
    }
}
