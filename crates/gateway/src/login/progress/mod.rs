//! user who may enter a workspace -> the server-sent events of its start (from memory).
//!
//! A change of the index triggers every stream; none asks the API server. `event` makes the lines, `following` makes a stream of
//! them. Streams are limited per workspace, per session or token, and in total.

mod event;
mod following;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use futures::stream;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::following::Following;
pub use self::following::LIFE;
use crate::index::{Destination, Domain};
use crate::pages::{self, Failure};
use crate::server::LongLived;
use crate::server::concurrency::ConcurrencyLimit;
use crate::tokens::RandomId;
use crate::verify::AppState;
use crate::verify::answers::empty;
use crate::verify::request;
use crate::verify::request::source_rule::{Source, single};

/// Maximum number of streams of one workspace: a page uses one.
const STREAMS_OF_ONE: usize = 32;
/// Maximum number of streams of one session or token, so that one guest cannot use all streams of a workspace.
const STREAMS_OF_ONE_SESSION: usize = 8;
/// Maximum number of streams of all workspaces. A page without stream polls every two seconds, as without scripts.
const STREAMS_OF_ALL: usize = 512;
/// Time for the client to accept a line. A slower client loses its stream.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Identifier of the last event that a reconnecting browser received.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Label for metrics.
const KIND: &str = "stream";

#[derive(Clone)]
struct Streams {
    app: Arc<AppState>,
    of_workspaces: ConcurrencyLimit<String>,
    of_sessions: ConcurrencyLimit<RandomId>,
    stop: CancellationToken,
}

/// `/_workspace/progress` of workspaces. `stop` ends every stream.
pub fn routes(app: Arc<AppState>, stop: CancellationToken) -> Router {
    let streams = Streams {
        app,
        of_workspaces: ConcurrencyLimit::new(STREAMS_OF_ONE, STREAMS_OF_ALL),
        of_sessions: ConcurrencyLimit::new(STREAMS_OF_ONE_SESSION, STREAMS_OF_ALL),
        stop,
    };
    let follow = async |State(streams): State<Streams>, request: Request| {
        // The handler needs no body.
        let answer = follow(&streams, &request.map(|_| ())).await;
        answer.unwrap_or_else(|refusal| refusal)
    };
    Router::new()
        .route("/_workspace/progress", any(follow))
        .route("/workspaces/{namespace}/{name}/_workspace/progress", any(follow))
        .with_state(streams)
}

async fn follow(streams: &Streams, request: &http::Request<()>) -> Result<Response, Response> {
    // No other method has a long-lived answer, and a HEAD request must not hold a permit.
    if request.method() != Method::GET {
        return Err(pages::bare(StatusCode::METHOD_NOT_ALLOWED));
    }
    let app = &streams.app;
    let domain = app.domain()?;
    let destination =
        request::authority(request).map(|authority| domain.destination(authority, request.uri().path()));
    let Some(Destination::Workspace(site)) = destination else {
        return Err(Failure::Misdirected.into());
    };
    let source = Source::of(request.headers()).map_err(Failure::from)?;
    if source.is_to_be_shown() {
        // A stream is not a page: a browser would load it until it ends.
        return Err(Failure::BadRequest.into());
    }
    let last = single(request.headers(), &LAST_EVENT_ID).map_err(Failure::from)?;
    let is_own = |source: &Source<'_>, domain: &Domain| {
        source.may_use_cookie(Method::GET.as_str(), || domain.origin_of(&site))
    };
    let entered = app.enter(&site, request.headers(), is_own);
    let (allow, grant) = app.about(request.headers(), entered).await?;
    if streams.stop.is_cancelled() {
        return Err(Failure::Unavailable.into());
    }
    let own = streams.of_sessions.take(allow.session().id);
    // In this order: a session above its limit takes no permit of the workspace.
    let permits = own.and_then(|own| Some((own, streams.of_workspaces.take(allow.target().uid.clone())?)));
    let Some(permits) = permits else {
        app.metrics.shed(KIND);
        return Err(Failure::Unavailable.into());
    };
    let held = (permits, app.metrics.request(KIND));
    let following = Following::new(Arc::clone(app), (&allow, grant), last, streams.stop.clone());
    if following.has_nothing_new(&allow) {
        // The client has already received the end. After 204 a browser does not reconnect.
        return Ok(empty(StatusCode::NO_CONTENT));
    }
    let over = CancellationToken::new();
    let (lines, taken) = mpsc::channel(1);
    let pouring = pour(following, lines, (held, over.clone().drop_guard()));
    // The body owns the task: it ends with the body at the latest.
    let pouring = AbortOnDropHandle::new(tokio::spawn(pouring));
    let lines = stream::unfold((taken, pouring), async |(mut taken, pouring)| {
        let line = taken.recv().await?;
        Some((Ok::<_, Infallible>(line), (taken, pouring)))
    });
    Ok(opened(Body::from_stream(lines), over))
}

/// Sends lines as the client accepts them, and drops `held` at the end. This is a task of its own: the server does not poll the
/// body of a client that does not read, so code in the body would not run then.
async fn pour(mut following: Following, lines: mpsc::Sender<Bytes>, held: impl Send) {
    while let Some(line) = following.next().await {
        let is_taken = tokio::select! {
            biased;
            taken = timeout(WRITE_TIMEOUT, lines.send(line)) => matches!(taken, Ok(Ok(()))),
            () = following.over() => false,
        };
        if !is_taken {
            break;
        }
    }
    drop(held);
}

fn opened(body: Body, over: CancellationToken) -> Response {
    let mut response = Response::new(body);
    response.extensions_mut().insert(LongLived(over));
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (VARY, "Cookie, Authorization"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        // Proxies that buffer answers forward this one at once.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
