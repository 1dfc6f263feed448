//! addresses of the sign-in pages -> their handlers (pure; the handlers do IO).
//!
//! In the order of a login:
//!
//! - `enter`: the auth host. `authorize`: redirect to the identity provider. `callback`: its answer.
//! - `workspace_callback`: one-time code -> ticket. `workspace_enter`: the way to `enter` for proxies that cannot redirect, and for a new
//!   login although there is a session; the way from an open page to the portal. `home`: account page, with the workspaces of `listing`.
//!   `link`: content of a link to `enter`.
//! - `start`: starts a stopped workspace.
//! - `programs`: lets a program of the user's computer act as the user.
//! - `sign_out`: has `session::ending` end sessions, then redirects. `backchannel`: logout by the identity provider.
//! - `guard`: refuses other sites' pages and requests above the rate limit. `settings`: flags.

mod authorize;
mod backchannel;
mod callback;
mod enter;
mod guard;
mod home;
mod link;
mod listing;
mod programs;
pub(crate) mod settings;
mod sign_out;
mod start;
mod workspace_callback;
mod workspace_enter;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, State};
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use http::StatusCode;
use http::header::ALLOW;
use http::request::Parts;

use crate::index::Destination;
use crate::pages::{self, Failure};
use crate::site::Site;
use crate::verify::AppState;
use crate::verify::request;

type App = State<Arc<AppState>>;

/// Everything under `https://auth.<base>`.
pub fn auth(app: Arc<AppState>) -> Router {
    Router::new()
        .route("/", get(home::home))
        .route(
            "/sign-out",
            get(home::home)
                .post(sign_out::sign_out)
                .layer(DefaultBodyLimit::max(start::MAX_FORM)),
        )
        .route(
            "/backchannel-logout",
            post(backchannel::receive).layer(DefaultBodyLimit::max(backchannel::MAX_BODY)),
        )
        .route("/enter", get_alone(enter::enter))
        .route(home::SIGN_IN, get_alone(home::sign_in))
        .route("/callback", get_alone(callback::callback))
        .route("/callback/{provider}", get_alone(callback::callback))
        .route(
            "/start",
            get(start::form)
                .post(start::start)
                .layer(DefaultBodyLimit::max(start::MAX_FORM)),
        )
        .merge(programs::routes())
        .route_layer(from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

/// Everything under `/_workspace/` of workspaces and of the portal.
pub fn workspace(app: Arc<AppState>) -> Router {
    let callback = || get_alone(workspace_callback::workspace_callback);
    let sign_in_again = || get_alone(workspace_enter::sign_in_again);
    let in_portal = || get_alone(workspace_enter::in_portal);
    Router::new()
        .route("/_workspace/callback", callback())
        .route("/workspaces/{namespace}/{name}/_workspace/callback", callback())
        .route("/_workspace/sign-in", sign_in_again())
        .route(
            "/workspaces/{namespace}/{name}/_workspace/sign-in",
            sign_in_again(),
        )
        .route("/_workspace/portal", in_portal())
        .route("/workspaces/{namespace}/{name}/_workspace/portal", in_portal())
        .route("/_workspace/enter", get_alone(workspace_enter::workspace_enter))
        .route(
            sign_out::AT_PORTAL,
            get(sign_out::at_portal).post(sign_out::at_portal),
        )
        .route_layer(from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

/// For addresses that use up codes: a HEAD request, which `get` answers, must not have the effect of a GET.
fn get_alone<H: Handler<T, Arc<AppState>>, T: 'static>(handler: H) -> MethodRouter<Arc<AppState>> {
    let only_get = async || {
        let page = pages::problem(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "This address is for opening in a browser tab.",
        );
        ([(ALLOW, "GET")], page)
    };
    get(handler).head(only_get)
}

/// The site that a request is for: a workspace's or the portal's.
struct AtSite(Site);

impl FromRequestParts<Arc<AppState>> for AtSite {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, Failure> {
        let domain = app.domain()?;
        let authority = request::authority_in(&parts.uri, &parts.headers);
        match authority.map(|authority| domain.destination(authority, parts.uri.path())) {
            Some(Destination::Workspace(site) | Destination::Portal(site)) => Ok(Self(site)),
            _ => Err(Failure::Misdirected),
        }
    }
}
