//! program of a user's computer -> token of a login session, tickets for workspaces (IO).
//!
//! In the order of use:
//!
//! - `program_request`: what a program asks for. `consent`: the page that asks its user; its button makes a one-time code.
//! - `token`: code -> token. `ticket`: token -> ticket for one workspace. Here: who has a token, and its sign-out.
//!
//! The token names the session of the login, so it ends with it. Nothing is stored but the codes that were used.

mod consent;
mod program_request;
mod ticket;
mod token;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use serde_json::Value;

use crate::index::Domain;
use crate::login::App;
use crate::pages::{self, Failure};
use crate::session::Session;
use crate::tokens::{ProgramToken, RandomId, Token as _};
use crate::verify::answers::empty;
use crate::verify::{AppState, bearer};

/// Maximum size of a body, in bytes.
const MAX_BODY: usize = 4 * 1024;

/// Everything under `https://auth.<base>/programs`. No answer admits pages of other origins (CORS).
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/programs", get(consent::page).post(consent::admit))
        .route("/programs/token", post(token::redeem))
        .route("/programs/ticket", post(ticket::issue))
        .route("/programs/sign-out", post(sign_out))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

/// Answers `POST https://auth.<base>/programs/sign-out`: ends the session of the login, for its browser as well.
async fn sign_out(State(app): App, headers: HeaderMap) -> Result<Response, Failure> {
    let domain = app.domain()?;
    let Some(token) = token_of(&app, &domain, &headers)? else {
        return Ok(sign_in_required());
    };
    Arc::clone(&app.sessions)
        .sign_out(token.session, None, false)
        .await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// The session that a program's token names, whether it still exists or not.
pub(super) fn session_of_token(app: &AppState, headers: &HeaderMap) -> Option<RandomId> {
    let domain = app.domain().ok()?;
    let token = token_of(app, &domain, headers).ok()??;
    Some(token.session)
}

/// The token of a request, if it has not expired and is of this domain. Its session may have ended.
fn token_of(app: &AppState, domain: &Domain, headers: &HeaderMap) -> Result<Option<ProgramToken>, Failure> {
    let token = bearer::from_headers(headers)?
        .and_then(|token| ProgramToken::open(&app.keys, token, app.clock.now()));
    Ok(token.filter(|token| token.host == domain.auth_host()))
}

/// The session of a request's token, if it exists.
async fn session_of(
    app: &AppState,
    domain: &Domain,
    headers: &HeaderMap,
) -> Result<Option<Arc<Session>>, Failure> {
    match token_of(app, domain, headers)? {
        Some(token) => Ok(app.sessions.find(token.session).await?),
        None => Ok(None),
    }
}

fn sign_in_required() -> Response {
    let mut answer = pages::problem(
        StatusCode::UNAUTHORIZED,
        "SignInRequired",
        "The program is not signed in, or its session has ended. Sign in again: kubectl workspace login",
    );
    let bearer = HeaderValue::from_static("Bearer");
    answer.headers_mut().insert(WWW_AUTHENTICATE, bearer);
    answer
}

/// For a body that is not the JSON object that an address takes. `shape`: an example of it.
fn bad_body(shape: &str) -> Response {
    let message = format!("The body must be a JSON object like {shape}.");
    pages::problem(StatusCode::BAD_REQUEST, "BadRequest", &message)
}

/// 200 with a JSON object that no cache keeps.
fn answer(body: Value) -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// Unix seconds as RFC 3339.
fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .unwrap_or_default()
        .to_string()
}
