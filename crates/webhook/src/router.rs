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

use crate::fair::Room;
use crate::kind::Kind;
use crate::lookups::{LookupError, Lookups};
use crate::metrics::Metrics;
use crate::mutate::{Known, mutate};
use crate::review::{Answer, Malformed, Refusal, Request};
use crate::verdict::{Rules, verdict};
use crate::{malformed, shares, vouched};

/// An update carries two objects. A workspace within its schema and Kubernetes' own limit on annotations stays far below 1 MiB;
/// what is larger is malformed, and is seen here before the schema is checked.
const MAX_BODY: usize = 2 * 1024 * 1024;
/// The API server waits for 5 s; an answer that says why comes a little earlier.
const DECISION_TIME: Duration = Duration::from_secs(4);
/// Reading the body and deciding.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Requests being read or decided; where more are asked, each address gets as many.
const MAX_CONCURRENT: usize = 64;
/// Bodies being decided, in [`UNIT`]s: parsed, one takes up to twenty times its size, and all must fit the pod's memory limit.
/// Eight of the largest, or as many usual ones as may be read: those never wait for large ones that are slow to decide, unless
/// these are as large as they can be.
const MAX_PARSED: usize = 8 * MAX_BODY / UNIT;
/// In bytes.
const UNIT: usize = 4 * 1024;
/// Reading a body; who sends slower must not keep others waiting.
const READ_TIME: Duration = Duration::from_secs(2);
/// Most addresses that are named in the log.
const MAX_NOTED: usize = 256;

#[derive(Clone)]
struct Context {
    rules: Arc<Rules>,
    lookups: Lookups,
    metrics: Metrics,
    parsed: Arc<Semaphore>,
    seen: Arc<Mutex<BTreeSet<IpAddr>>>,
}

/// `/mutate` and `/validate` as a value, so that tests need no socket.
pub fn router(rules: Rules, lookups: Lookups, metrics: Metrics) -> Router {
    Router::new()
        .route("/mutate", post(handle_mutate))
        .route("/validate", post(handle_validate))
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

/// Memory for a body while it is decided.
async fn place<'a>(context: &'a Context, body: &Bytes) -> Option<SemaphorePermit<'a>> {
    let units = u32::try_from(body.len().div_ceil(UNIT)).ok()?;
    context.parsed.acquire_many(units).await.ok()
}

async fn handle_mutate(
    State(context): State<Context>,
    peer: Option<Extension<Peer>>,
    body: Body,
) -> Result<Response, StatusCode> {
    note(&context, peer);
    let body = read(body).await?;
    let _place = place(&context, &body).await;
    let started = Instant::now();
    let outcome = match Request::parse(&body) {
        Ok(request) => {
            let answer = in_time(completed(&request, &context.rules, &context.lookups)).await;
            log_refusal(&request, &answer);
            Ok((answer.label(), request.respond(answer)))
        }
        Err(malformed) => Err(malformed),
    };
    Ok(finish("mutate", &context, started, outcome))
}

/// Names each address that asks, once: an administrator who wants to let the API server in alone learns its own from that.
fn note(context: &Context, peer: Option<Extension<Peer>>) {
    let Some(Extension(Peer(peer))) = peer else { return };
    let mut seen = context.seen.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.len() < MAX_NOTED && seen.insert(peer) {
        tracing::info!("asked for the first time from {peer}");
    }
}

async fn completed(request: &Request, rules: &Rules, lookups: &Lookups) -> Answer {
    // Before anybody is asked anything: the schema would refuse it whatever they say.
    if let Some(refusal) = malformed::refusal(request) {
        return Answer::Refuse(refusal);
    }
    match known(request, lookups).await {
        Ok(known) => mutate(request, &known, rules.accounts()),
        Err(error) => Answer::Refuse(error.into()),
    }
}

async fn known(request: &Request, lookups: &Lookups) -> Result<Known, LookupError> {
    Ok(match request.kind {
        Kind::Share => Known {
            binding: shares::binding(request, lookups).await?,
            ..Known::default()
        },
        Kind::Workspace => Known {
            template_uid: vouched::template_uid(request, lookups).await?,
            ..Known::default()
        },
        Kind::Template | Kind::Manager | Kind::Profile => Known::default(),
    })
}

async fn handle_validate(
    State(context): State<Context>,
    peer: Option<Extension<Peer>>,
    body: Body,
) -> Result<Response, StatusCode> {
    note(&context, peer);
    let body = read(body).await?;
    let _place = place(&context, &body).await;
    let started = Instant::now();
    let outcome = match Request::parse(&body) {
        Ok(request) => {
            let answer = in_time(verdict(&request, &context.rules, &context.lookups)).await;
            log_refusal(&request, &answer);
            Ok((answer.label(), request.respond(answer)))
        }
        Err(malformed) => Err(malformed),
    };
    Ok(finish("validate", &context, started, outcome))
}

fn log_refusal(request: &Request, answer: &Answer) {
    if let Answer::Refuse(refusal) = answer {
        tracing::info!(
            kind = request.kind.name(),
            namespace = request.namespace,
            name = request.name,
            reason = refusal.reason(),
            "a request is refused"
        );
    }
}

async fn in_time(answer: impl Future<Output = Answer>) -> Answer {
    match tokio::time::timeout(DECISION_TIME, answer).await {
        Ok(answer) => answer,
        Err(_) => Answer::Refuse(Refusal::not_now()),
    }
}

fn finish(
    webhook: &'static str,
    context: &Context,
    started: Instant,
    outcome: Result<(&'static str, AdmissionReview<DynamicObject>), Malformed>,
) -> Response {
    let (verdict, response) = match outcome {
        Ok((verdict, review)) => (verdict, Json(review).into_response()),
        Err(malformed) => (
            "malformed",
            (StatusCode::BAD_REQUEST, malformed.to_string()).into_response(),
        ),
    };
    context.metrics.count(webhook, verdict, started.elapsed());
    response
}
