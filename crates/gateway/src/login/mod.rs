//! addresses of the sign-in pages -> their handlers (pure; the handlers do IO).
//!
//! In the order of a login:
//!
//! - `enter`: the auth host. `authorize`: redirect to the identity provider. `callback`: its answer.
//! - `workspace_callback`: one-time code -> ticket. `workspace_enter`: the start for proxies that cannot redirect.
//! - `again`: a new login although there is a session. `home`: account page, with the workspaces of `listing`.
//! - `start`: starts a stopped workspace. `progress`: the events of a start.
//! - `sign_out`: has `session::ending` end sessions, then redirects. `backchannel`: logout by the identity provider.
//! - `guard`: refuses other sites' pages and requests above the rate limit. `settings`: flags.

mod again;
mod authorize;
mod backchannel;
mod callback;
mod enter;
mod guard;
mod home;
mod listing;
pub mod progress;
pub(crate) mod settings;
mod sign_out;
mod start;
mod workspace_callback;
mod workspace_enter;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::index::Destination;
use crate::pages;
use crate::site::Site;
use crate::verify::AppState;
use crate::verify::answers::Failure;
use crate::verify::request;

/// Everything under `https://auth.<base>`.
pub fn auth(app: Arc<AppState>) -> Router {
    let form = async |State(app): State<Arc<AppState>>, uri: Uri, headers: HeaderMap| {
        start::form(&app, &uri, &headers).await
    };
    let start = async |State(app): State<Arc<AppState>>, headers: HeaderMap, body: Bytes| {
        start::start(&app, &headers, &body).await
    };
    let home = async |State(app): State<Arc<AppState>>, uri: Uri, headers: HeaderMap| {
        home::home(&app, &uri, &headers).await
    };
    let sign_out = async |State(app): State<Arc<AppState>>, headers: HeaderMap, body: Bytes| {
        sign_out::sign_out(&app, &headers, &body).await
    };
    let logout = async |State(app): State<Arc<AppState>>, headers: HeaderMap, body: Bytes| {
        backchannel::receive(&app, &headers, &body).await
    };
    Router::new()
        .route("/", get(home))
        .route(
            "/sign-out",
            get(home)
                .post(sign_out)
                .layer(DefaultBodyLimit::max(start::MAX_FORM)),
        )
        .route(
            "/backchannel-logout",
            post(logout).layer(DefaultBodyLimit::max(backchannel::MAX_BODY)),
        )
        .route("/enter", get(enter))
        .route(home::SIGN_IN, get(sign_in))
        .route("/callback", get(callback))
        .route("/callback/{provider}", get(callback))
        .route(
            "/start",
            get(form)
                .post(start)
                .layer(DefaultBodyLimit::max(start::MAX_FORM)),
        )
        .route_layer(from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

/// Everything under `/_workspace/` of workspaces and of the portal.
pub fn workspace(app: Arc<AppState>) -> Router {
    Router::new()
        .route("/_workspace/callback", get(workspace_callback))
        .route(
            "/workspaces/{namespace}/{name}/_workspace/callback",
            get(workspace_callback),
        )
        .route("/_workspace/sign-in", get(sign_in_again))
        .route(
            "/workspaces/{namespace}/{name}/_workspace/sign-in",
            get(sign_in_again),
        )
        .route("/_workspace/enter", get(workspace_enter))
        .route(sign_out::AT_PORTAL, get(portal_sign_out).post(portal_sign_out))
        .route_layer(from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

async fn enter(State(app): State<Arc<AppState>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    match method {
        Method::GET => enter::enter(&app, &uri, &headers).await,
        _ => only_get(),
    }
}

async fn sign_in(State(app): State<Arc<AppState>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    match method {
        Method::GET => home::sign_in(&app, &uri, &headers).await,
        _ => only_get(),
    }
}

async fn callback(
    State(app): State<Arc<AppState>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    match method {
        Method::GET => callback::callback(&app, &uri, &headers).await,
        _ => only_get(),
    }
}

async fn workspace_callback(State(app): State<Arc<AppState>>, request: Request) -> Response {
    match site_of(&app, &request) {
        Ok(site) => {
            workspace_callback::workspace_callback(&app, &site, request.uri(), request.headers()).await
        }
        Err(refusal) => *refusal,
    }
}

async fn workspace_enter(State(app): State<Arc<AppState>>, request: Request) -> Response {
    match site_of(&app, &request) {
        Ok(site) => workspace_enter::workspace_enter(&app, site, request.uri(), request.headers()),
        Err(refusal) => *refusal,
    }
}

async fn portal_sign_out(State(app): State<Arc<AppState>>, request: Request) -> Response {
    match any_site_of(&app, &request) {
        Ok(site) => sign_out::at_portal(&app, &site, request.method(), request.headers()).await,
        Err(refusal) => *refusal,
    }
}

/// The site of a page load: a workspace's or the portal's.
fn site_of(app: &AppState, request: &Request) -> Result<Site, Box<Response>> {
    if request.method() != Method::GET {
        return Err(Box::new(only_get()));
    }
    any_site_of(app, request)
}

/// The site of a request: a workspace's or the portal's.
fn any_site_of(app: &AppState, request: &Request) -> Result<Site, Box<Response>> {
    let domain = app.domain().map_err(|failure| Box::new(failure.answer()))?;
    let destination =
        request::authority(request).map(|authority| domain.destination(authority, request.uri().path()));
    match destination {
        Some(Destination::Workspace(site) | Destination::Portal(site)) => Ok(site),
        _ => Err(Box::new(Failure::Misdirected.answer())),
    }
}

async fn sign_in_again(State(app): State<Arc<AppState>>, request: Request) -> Response {
    match site_of(&app, &request) {
        Ok(site) => again::again(&app, site, request.uri(), request.headers()),
        Err(refusal) => *refusal,
    }
}

/// These addresses use up codes, so a HEAD request must not have the effect of a GET.
fn only_get() -> Response {
    pages::problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "This address is for opening in a browser tab.",
    )
}
