//! HTTP request -> `AdmissionReview` with the answer (IO only through look-ups).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{self, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use bytes::Bytes;
use kit::https::Peer;
use kube::api::DynamicObject;
use kube::core::admission::AdmissionReview;
use tokio::sync::{Semaphore, SemaphorePermit};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::complete::complete;
use crate::fair::Room;
use crate::lookups::Lookups;
use crate::metrics::Metrics;
use crate::review::{Answer, Refusal, Request, ReviewError};
use crate::verdict::{Rules, verdict};
use crate::weight::{HEAVIEST, weight};

/// An update carries two objects. A workspace within its schema and Kubernetes' own limit on annotations stays far below 1 MiB;
/// what is larger is malformed, and is seen here before the schema is checked.
const MAX_BODY: usize = 2 * 1024 * 1024;
/// The API server waits for 5 s; an answer that says why comes a little earlier.
const DECISION_TIME: Duration = Duration::from_secs(4);
/// Reading the body and deciding.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Requests being read or decided; where more are asked, each address gets as many.
const MAX_CONCURRENT: usize = 64;
/// Weight of the bodies being decided, in [`UNIT`]s: one of many small maps takes two hundred times its size, and more. The pod's
/// memory limit is 512 MiB: 60 for the process, 128 for the bodies being read, 256 for those being decided, 68 to spare. Two of the
/// heaviest, or as many usual ones as may be read: those never wait for heavy ones that are slow to decide, unless these are as heavy
/// as they can be.
const MAX_PARSED: usize = 2 * HEAVIEST / UNIT;
/// In bytes.
const UNIT: usize = 4 * 1024;
/// Reading a body; who sends slower must not keep others waiting.
const READ_TIME: Duration = Duration::from_secs(2);
/// Most addresses that are named in the log.
const MAX_NOTED: usize = 256;
/// Most characters of a name that are shown: those of the longest that an object can have.
const MAX_NAME: usize = 253;

#[derive(Clone)]
struct Context {
    rules: Arc<Rules>,
    lookups: Lookups,
    metrics: Metrics,
    parsed: Arc<Semaphore>,
    seen: Arc<Mutex<BTreeSet<IpAddr>>>,
}

/// Which of the two is asked.
#[derive(Clone, Copy)]
enum Webhook {
    Mutate,
    Validate,
}

impl Webhook {
    async fn decide(self, request: &Request, context: &Context) -> Answer {
        match self {
            Self::Mutate => complete(request, &context.rules, &context.lookups).await,
            Self::Validate => verdict(request, &context.rules, &context.lookups).await,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }
}

/// `/mutate` and `/validate` as a value, so that tests need no socket.
pub fn router(rules: Rules, lookups: Lookups, metrics: Metrics) -> Router {
    Router::new()
        .route(
            "/mutate",
            post(|context, peer, body| answer(Webhook::Mutate, context, peer, body)),
        )
        .route(
            "/validate",
            post(|context, peer, body| answer(Webhook::Validate, context, peer, body)),
        )
        .with_state(Context {
            rules: Arc::new(rules),
            lookups,
            metrics,
            parsed: Arc::new(Semaphore::new(MAX_PARSED)),
            seen: Arc::default(),
        })
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            REQUEST_TIME,
        ))
        .layer(middleware::from_fn_with_state(Room::new(MAX_CONCURRENT), in_turn))
        .layer(CatchPanicLayer::new())
}

/// Waits for a place among the requests of all addresses. Those of no connection, in tests, are of one.
async fn in_turn(State(room): State<Room>, request: extract::Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map(|Peer(peer)| *peer);
    let _place = room
        .place(peer.unwrap_or_else(|| Ipv4Addr::UNSPECIFIED.into()))
        .await;
    next.run(request).await
}

/// The whole body, within its time and size.
async fn read(body: Body) -> Result<Bytes, StatusCode> {
    match tokio::time::timeout(READ_TIME, axum::body::to_bytes(body, MAX_BODY)).await {
        Ok(read) => read.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// Memory for a body while it is decided, unless it may take more than any.
async fn place<'a>(context: &'a Context, body: &Bytes) -> Option<SemaphorePermit<'a>> {
    let weight = Some(weight(body)).filter(|weight| *weight <= HEAVIEST)?;
    let units = u32::try_from(weight.div_ceil(UNIT)).ok()?;
    context.parsed.acquire_many(units).await.ok()
}

async fn answer(
    webhook: Webhook,
    State(context): State<Context>,
    peer: Option<Extension<Peer>>,
    body: Body,
) -> Result<Response, StatusCode> {
    note(&context, peer);
    let body = read(body).await?;
    let place = place(&context, &body).await;
    let started = Instant::now();
    let outcome = match &place {
        Some(_) => Box::pin(decided(webhook, &context, &body)).await,
        None => Err(ReviewError::Heavy),
    };
    Ok(finish(webhook, &context, started, outcome))
}

/// Verdict and answer.
async fn decided(
    webhook: Webhook,
    context: &Context,
    body: &[u8],
) -> Result<(&'static str, AdmissionReview<DynamicObject>), ReviewError> {
    let request = Request::parse(body)?;
    let answer = in_time(webhook.decide(&request, context)).await;
    log_refusal(&request, &answer);
    Ok((answer.label(), request.respond(answer)))
}

/// Names each address that asks, once: an administrator who wants to let the API server in alone learns its own from that.
fn note(context: &Context, peer: Option<Extension<Peer>>) {
    let Some(Extension(Peer(peer))) = peer else { return };
    let mut seen = context.seen.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.len() < MAX_NOTED && seen.insert(peer) {
        tracing::info!("asked for the first time from {peer}");
    }
}

fn log_refusal(request: &Request, answer: &Answer) {
    if let Answer::Refuse(refusal) = answer {
        tracing::info!(
            kind = request.kind.name(),
            namespace = request.namespace,
            name = shown(&request.name),
            reason = refusal.reason(),
            "a request is refused"
        );
    }
}

/// The beginning of a name, which may be no name.
fn shown(name: &str) -> &str {
    name.char_indices()
        .nth(MAX_NAME)
        .map_or(name, |(end, _)| &name[..end])
}

async fn in_time(answer: impl Future<Output = Answer>) -> Answer {
    match tokio::time::timeout(DECISION_TIME, answer).await {
        Ok(answer) => answer,
        Err(_) => Answer::Refuse(Refusal::not_now()),
    }
}

fn finish(
    webhook: Webhook,
    context: &Context,
    started: Instant,
    outcome: Result<(&'static str, AdmissionReview<DynamicObject>), ReviewError>,
) -> Response {
    let (verdict, response) = match outcome {
        Ok((verdict, review)) => (verdict, Json(review).into_response()),
        Err(malformed) => (
            "malformed",
            (StatusCode::BAD_REQUEST, malformed.to_string()).into_response(),
        ),
    };
    context.metrics.count(webhook.word(), verdict, started.elapsed());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_too_long_for_a_name_the_beginning_is_shown() {
        assert_eq!(shown("lab"), "lab");
        let longest = "n".repeat(MAX_NAME);
        assert_eq!(shown(&longest), longest);
        assert_eq!(shown(&"ß".repeat(MAX_NAME + 1)), "ß".repeat(MAX_NAME));
    }
}
