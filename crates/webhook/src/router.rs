//! HTTP request -> `AdmissionReview` with the answer (IO).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::response::Levels;
use axum::error_handling::HandleErrorLayer;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{BoxError, Extension, Json, Router};
use bytes::Bytes;
use kit::https::Peer;
use kube::api::DynamicObject;
use kube::core::admission::AdmissionReview;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::{RequestBodyDeadlineLayer, TimeoutLayer};

use crate::lookups::Lookups;
use crate::metrics::Metrics;
use crate::mutate::mutate;
use crate::review::{Decision, Refusal, Request, ReviewError};
use crate::validate::{Rules, validate};

/// Maximum size of a body, in bytes: an update of the largest object that etcd stores (1.5 MiB), with the object before it, and 256 KiB for
/// the user and the rest of the review. So whatever is stored can be changed, stopped and deleted.
pub const MAX_BODY: u32 = 2 * 1536 * 1024 + 256 * 1024;
/// Maximum number of requests that are read or decided concurrently. Further ones wait, with their bodies unread.
const MAX_CONCURRENT: usize = 32;
/// Maximum number of concurrent requests, including waiting ones.
/// Further ones get 429 with `Retry-After`, and the API server retries within its own timeout of 5 s.
pub const MAX_ACCEPTED: usize = 512;
/// Memory estimate of parsing and deciding, as a multiple of the body: 340 to 390 in the worst case of `tests/limits.rs`.
///
/// The pod's memory limit (`webhook.resources` of the chart) is 1664 MiB. Bodies: 32 x 3.25 MiB = 104 MiB.
/// Decisions: concurrent bodies of 3.25 MiB in total, 3.25 MiB x 440 = 1430 MiB. The process itself: 60 MiB. Sum: 1594 MiB.
pub const MAX_GROWTH: usize = 440;
/// Maximum total size of the bodies that are parsed and decided concurrently: one of the largest, or 32 of 104 KiB. Further ones wait.
const MAX_PARSED: u32 = MAX_BODY;
/// Timeout of a decision. The API server waits for 5 s. This timeout is shorter, so that the user gets the reason.
const DECISION_TIME: Duration = Duration::from_secs(4);
/// Timeout for reading a body. A slow sender must not block others.
const READ_TIME: Duration = Duration::from_secs(2);
/// Timeout for waiting, reading and deciding.
const REQUEST_TIME: Duration = Duration::from_secs(6);
/// Maximum number of addresses in the log.
const MAX_LOGGED_ADDRESSES: usize = 256;
/// Maximum length of a logged name, in characters: that of the longest valid object name.
const MAX_NAME: usize = 253;

#[derive(Clone)]
struct Context {
    rules: Arc<Rules>,
    lookups: Lookups,
    metrics: Metrics,
    /// One permit per byte of [`MAX_PARSED`].
    parsed: Arc<Semaphore>,
    logged_addresses: Arc<Mutex<BTreeSet<IpAddr>>>,
}

/// The webhook that is called.
#[derive(Clone, Copy)]
enum Webhook {
    Mutate,
    Validate,
}

impl Webhook {
    async fn decide(self, request: &Request, context: &Context) -> Decision {
        match self {
            Self::Mutate => mutate(request, &context.rules, &context.lookups).await,
            Self::Validate => validate(request, &context.rules, &context.lookups).await,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }
}

/// Builds the router of `/mutate` and `/validate`. Tests use it without a socket.
pub fn router(rules: Rules, lookups: Lookups, metrics: Metrics) -> Router {
    let context = Context {
        rules: Arc::new(rules),
        lookups,
        metrics: metrics.clone(),
        parsed: Arc::new(Semaphore::new(MAX_PARSED as usize)),
        logged_addresses: Arc::default(),
    };
    let overloaded = move |uri: Uri, _: BoxError| std::future::ready(overload_response(&metrics, &uri));
    // A route is always ready. So requests wait between these two layers.
    let accepted = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(HandleErrorLayer::new(overloaded))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(MAX_ACCEPTED))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            REQUEST_TIME,
        ));
    let decided = ServiceBuilder::new()
        .layer(GlobalConcurrencyLimitLayer::new(MAX_CONCURRENT))
        .layer(RequestBodyLimitLayer::new(MAX_BODY as usize))
        .layer(RequestBodyDeadlineLayer::new(READ_TIME))
        .layer(DefaultBodyLimit::disable());
    Router::new()
        .route(
            "/mutate",
            post(|context, peer, body| answer(Webhook::Mutate, context, peer, body)),
        )
        .route(
            "/validate",
            post(|context, peer, body| answer(Webhook::Validate, context, peer, body)),
        )
        .with_state(context)
        .layer(decided)
        .layer(accepted)
}

/// The answer to a request beyond [`MAX_ACCEPTED`].
fn overload_response(metrics: &Metrics, uri: &Uri) -> Response {
    for webhook in [Webhook::Mutate, Webhook::Validate] {
        if uri.path().strip_prefix('/') == Some(webhook.name()) {
            metrics.count_shed(webhook.name());
        }
    }
    let text = "the webhook has too many requests at once: try again in a second";
    (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "1")], text).into_response()
}

async fn answer(
    webhook: Webhook,
    State(context): State<Context>,
    peer: Option<Extension<Peer>>,
    body: Bytes,
) -> Result<Response, StatusCode> {
    log_address(&context, peer);
    let bytes = u32::try_from(body.len()).map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    let permit = context.parsed.acquire_many(bytes).await;
    let _permit = permit.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let started = Instant::now();
    // What is too deep to be read is refused by the rules, not by an error, which the API server may ignore.
    let body = Levels::default().cut(body);
    let outcome = Box::pin(review(webhook, &context, &body)).await;
    Ok(finish(webhook, &context, started, outcome))
}

/// Decides on the bytes of a body. Returns the label for metrics, and the answer.
async fn review(
    webhook: Webhook,
    context: &Context,
    body: &[u8],
) -> Result<(&'static str, AdmissionReview<DynamicObject>), ReviewError> {
    let request = Request::parse(body)?;
    let answer = in_time(webhook.decide(&request, context)).await;
    log_refusal(&request, &answer);
    Ok((answer.label(), request.respond(answer)))
}

/// Logs each client address once. Administrators find the API server's addresses there (docs/install.md).
fn log_address(context: &Context, peer: Option<Extension<Peer>>) {
    let Some(Extension(Peer(peer))) = peer else { return };
    let mut logged = context.logged_addresses.lock();
    if logged.len() < MAX_LOGGED_ADDRESSES && logged.insert(peer) {
        tracing::info!("asked for the first time from {peer}");
    }
}

fn log_refusal(request: &Request, answer: &Decision) {
    if let Decision::Refuse(refusal) = answer {
        tracing::info!(
            kind = request.kind.name(),
            namespace = request.namespace,
            name = truncate(&request.name),
            reason = refusal.reason(),
            "a request is refused"
        );
    }
}

/// The beginning of a name, which may be invalid and long.
fn truncate(name: &str) -> &str {
    name.char_indices()
        .nth(MAX_NAME)
        .map_or(name, |(end, _)| &name[..end])
}

async fn in_time(answer: impl Future<Output = Decision>) -> Decision {
    match tokio::time::timeout(DECISION_TIME, answer).await {
        Ok(answer) => answer,
        Err(_) => Decision::Refuse(Refusal::not_now()),
    }
}

fn finish(
    webhook: Webhook,
    context: &Context,
    started: Instant,
    outcome: Result<(&'static str, AdmissionReview<DynamicObject>), ReviewError>,
) -> Response {
    let (result, response) = match outcome {
        Ok((result, review)) => (result, Json(review).into_response()),
        Err(malformed) => (
            "malformed",
            (StatusCode::BAD_REQUEST, malformed.to_string()).into_response(),
        ),
    };
    context.metrics.count(webhook.name(), result, started.elapsed());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_too_long_for_a_name_the_beginning_is_truncated() {
        assert_eq!(truncate("lab"), "lab");
        let longest = "n".repeat(MAX_NAME);
        assert_eq!(truncate(&longest), longest);
        assert_eq!(truncate(&"ß".repeat(MAX_NAME + 1)), "ß".repeat(MAX_NAME));
    }
}
