//! request to a listener -> the handler of its route (pure; the handlers do IO).

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use axum::{BoxError, Router};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, STRICT_TRANSPORT_SECURITY, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower::timeout::TimeoutLayer;
use tower_http::catch_panic::CatchPanicLayer;

use crate::index::Destination;
use crate::index::traefik::{HOLD, Routes};
use crate::metrics::Metrics;
use crate::pages::{self, Failure, Reader, problem, render};
use crate::relay::Relay;
use crate::tokens::request_id;
use crate::verify::AppState;
use crate::verify::adapters::{self, ProxyKind};
use crate::verify::answers;
use crate::verify::request::authority;
use crate::verify::request::forwarded::is_reserved;

/// Timeout of every answer except polls: longer than the gateway's own requests to others take.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);

/// Path of the page in place of a bundled identity provider that does not answer. The proxy asks for it under the provider's host, which
/// is outside of the domain.
const NO_PROVIDER: &str = "/identity-provider-unreachable";

/// The dependencies of port 8443.
pub struct Entrance {
    /// Decides who may connect.
    pub app: Arc<AppState>,
    /// Relays websockets.
    pub relay: Arc<Relay>,
    /// Host names of the proxy's auth requests: the gateway's own, as in its certificate.
    pub own_names: Vec<String>,
    /// Proxies other than Traefik whose auth requests are answered.
    pub other_proxies: Vec<ProxyKind>,
}

/// 8443: answers the proxy's auth request for each request (`/verify` under the gateway's own name). Relays every request with an
/// Upgrade header (any path under a workspace's host).
pub fn entrance(entrance: Arc<Entrance>) -> Router {
    let asks = |proxy_kind| {
        async move |State(entrance): State<Arc<Entrance>>, request: Request| {
            other_proxy_question(proxy_kind, &entrance, request).await
        }
    };
    let mut router = Router::new().route("/verify", any(question));
    for proxy_kind in [ProxyKind::Nginx, ProxyKind::Envoy] {
        if !entrance.other_proxies.contains(&proxy_kind) {
            continue;
        }
        for path in adapters::paths(proxy_kind) {
            router = router.route(path, any(asks(proxy_kind)));
        }
    }
    let router = router.fallback(upgrade).with_state(entrance);
    router.layer(CatchPanicLayer::new())
}

/// The dependencies of port 8444.
#[derive(Debug, Clone)]
pub struct RouteProvider {
    /// The body, made from the index.
    pub routes: Arc<Routes>,
    /// Counts answers.
    pub metrics: Metrics,
    /// Ends held polls, so that the proxy asks the next replica at once.
    pub stop: CancellationToken,
}

/// 8444, for one connection: the proxy fetches its routes.
pub fn provider(provider: RouteProvider) -> Router {
    let delivered = Arc::new(Mutex::new(None));
    Router::new()
        .route(
            "/traefik/config",
            get(move |request: Request| poll(provider, delivered, request)),
        )
        .fallback(nothing)
}

/// 8445: `auth` answers on `auth.<base>`, and `own_paths` under `/_workspace/` on the hosts of workspaces and portal. All other
/// requests of a workspace's host get the page about its state, if `app` admits the user.
pub fn pages(app: Arc<AppState>, auth: Router, own_paths: Router) -> Router {
    let hosts = Hosts {
        app,
        auth: with_timeout(auth.fallback(async || pages::lost())),
        own_paths: with_timeout(own_paths.fallback(nothing)),
    };
    let router = Router::new().fallback(by_host).with_state(Arc::new(hosts));
    // A panic in one request must not close the connection that it shares with others.
    router.layer(CatchPanicLayer::new())
}

struct Hosts {
    app: Arc<AppState>,
    auth: Router,
    own_paths: Router,
}

async fn question(State(entrance): State<Arc<Entrance>>, request: Request) -> Response {
    if !entrance.is_asked(&request) {
        return upgrade(State(entrance), request).await;
    }
    if request.method() != Method::GET {
        let refusal = problem(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the proxy asks with GET",
        );
        return render(refusal, Reader::Script);
    }
    respond(&entrance.app, request.headers()).await
}

/// The answer to the auth request with these headers.
async fn respond(app: &AppState, headers: &HeaderMap) -> Response {
    let start = Instant::now();
    let response = request_id::scope(async {
        let response = app.verify(headers).await;
        if response.status() == StatusCode::OK {
            return response;
        }
        render(response, Reader::from_headers(headers))
    })
    .await;
    app.metrics.count_verification(response.status(), start.elapsed());
    response
}

/// The auth request of a proxy other than Traefik.
async fn other_proxy_question(proxy_kind: ProxyKind, entrance: &Arc<Entrance>, request: Request) -> Response {
    let is_theirs = match proxy_kind {
        ProxyKind::Nginx => entrance.is_addressed(&request),
        // Envoy sends it under the host of the workspace.
        ProxyKind::Envoy => !request.headers().contains_key(UPGRADE),
    };
    if !is_theirs {
        return upgrade(State(Arc::clone(entrance)), request).await;
    }
    let response = match adapters::question(proxy_kind, request.method(), request.uri(), request.headers()) {
        Ok(headers) => respond(&entrance.app, &headers).await,
        Err(malformed) => render(Failure::from(malformed).answer(), Reader::Script),
    };
    adapters::answer(proxy_kind, response, &entrance.app.strip)
}

async fn upgrade(State(entrance): State<Arc<Entrance>>, request: Request) -> Response {
    let answer = async { render(Arc::clone(&entrance.relay).handle(request).await, Reader::Script) };
    request_id::scope(answer).await
}

impl Entrance {
    /// Whether this is the proxy's own auth request. It comes under one of the gateway's names and without Upgrade. Any other
    /// request to `/verify` is a browser's, and must not be treated as one.
    fn is_asked<B>(&self, request: &http::Request<B>) -> bool {
        self.is_addressed(request) && !request.headers().contains_key(UPGRADE)
    }

    /// Whether the request is for one of the gateway's own names.
    fn is_addressed<B>(&self, request: &http::Request<B>) -> bool {
        let host = authority(request).map(|authority| authority.split(':').next().unwrap_or_default());
        host.is_some_and(|host| self.own_names.iter().any(|name| name == host))
    }
}

type Delivered = Arc<Mutex<Option<(Option<HeaderValue>, Bytes)>>>;

/// Answers at once when this proxy has not received the current routes on this connection, otherwise when they change. A proxy that
/// has just started opens a new connection, so it never waits for its first routes.
async fn poll(provider: RouteProvider, delivered: Delivered, request: Request) -> Response {
    let instance = request.headers().get("x-proxy-instance").cloned();
    let before = delivered
        .lock()
        .clone()
        .filter(|(to, _)| *to == instance)
        .map(|(_, body)| body);
    let body = tokio::select! {
        body = provider.routes.held(before.as_ref(), HOLD) => body,
        () = provider.stop.cancelled() => before.clone(),
    };
    let Some(body) = body else {
        provider.metrics.poll("not_synced");
        let refusal = problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "NotSynced",
            "the routes are not known yet",
        );
        return render(refusal, Reader::Script);
    };
    provider.metrics.poll(if before.as_ref() == Some(&body) {
        "unchanged"
    } else {
        "changed"
    });
    *delivered.lock() = Some((instance, body.clone()));
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}

async fn by_host(State(hosts): State<Arc<Hosts>>, request: Request) -> Response {
    let head = request.method() == Method::HEAD;
    let reader = Reader::from_headers(request.headers());
    let answer = async { render(answer(&hosts, request).await, reader) };
    let mut response = request_id::scope(answer).await;
    if head {
        // HTTP/2 does not allow a body here, and the proxy would report a protocol error.
        *response.body_mut() = Body::empty();
    }
    response.headers_mut().insert(
        STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000"),
    );
    response
}

async fn answer(hosts: &Hosts, request: Request) -> Response {
    let snapshot = Arc::clone(&hosts.app.index.load());
    let Some(domain) = snapshot.domain() else {
        return Failure::Unavailable.answer();
    };
    let destination = authority(&request).map_or(Destination::Outside, |authority| {
        domain.destination(authority, request.uri().path())
    });
    let router = match &destination {
        Destination::Auth => &hosts.auth,
        Destination::Workspace(site) | Destination::Portal(site)
            if site.within(request.uri().path()).starts_with("/_workspace/") =>
        {
            &hosts.own_paths
        }
        // Reserved in a lenient reading of the path, but not as written. A proxy with the lenient reading has sent no auth request
        // for it.
        Destination::Workspace(site) if is_reserved(site.within(request.uri().path())) => {
            return nothing().await;
        }
        // The proxy's route leads to the portal itself.
        Destination::Portal(_) => return Failure::Unavailable.answer(),
        Destination::Workspace(site) => {
            let state = hosts.app.state_page(site, request.method(), request.headers());
            return tokio::time::timeout(ANSWER_TIMEOUT, state)
                .await
                .unwrap_or_else(|_| Failure::Unavailable.answer());
        }
        Destination::Folder(site) => return answers::into_folder(domain, site, request.method().as_str()),
        Destination::Nowhere => return answers::nowhere(),
        Destination::Unclear => return Failure::BadRequest.answer(),
        Destination::Outside if request.uri().path() == NO_PROVIDER => {
            return pages::unreachable("The identity provider", None);
        }
        Destination::Outside => return Failure::Misdirected.answer(),
    };
    let Ok(mut response) = router.clone().oneshot(request).await;
    if destination == Destination::Auth && !response.status().is_redirection() {
        // A window that opens a page of the sign-in host gets no handle to it. Redirects keep theirs: they lead back to the opener.
        let alone = HeaderValue::from_static("same-origin");
        response.headers_mut().insert("cross-origin-opener-policy", alone);
    }
    response
}

/// Timeout of the routes that call others. Their bodies are already read.
fn with_timeout(router: Router) -> Router {
    let unavailable = HandleErrorLayer::new(async |_: BoxError| Failure::Unavailable);
    router.layer((unavailable, TimeoutLayer::new(ANSWER_TIMEOUT)))
}

async fn nothing() -> Response {
    pages::bare(StatusCode::NOT_FOUND)
}
