//! logout token of the identity provider -> the user's sessions deleted (IO).

use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
use kit::limit::LogLimit;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::login::App;
use crate::oidc::{JwtError, payload};
use crate::pages;
use crate::session::SessionSelector;
use crate::verify::AppState;
use crate::verify::answers::empty;
use crate::verify::request::{is_form, one_of};

/// Maximum size of the body, in bytes.
pub(super) const MAX_BODY: usize = 16 * 1024;
/// Maximum number of messages processed at a time. Any client can send some, and each costs a signature check.
static CONCURRENT: Semaphore = Semaphore::const_new(16);

/// Limits log lines, since any client can cause refusals.
static REFUSALS: LogLimit = LogLimit::new(1, Duration::from_secs(1));

/// Answers `POST https://auth.<base>/backchannel-logout`, which the provider sends and not a browser. 200: the sessions are
/// deleted. 400: the token is not valid. 503: the provider must send it again.
pub(super) async fn receive(State(app): App, headers: HeaderMap, body: Bytes) -> Response {
    let mut response = match end_sessions(&app, &headers, &body).await {
        Ok(()) => empty(StatusCode::OK),
        Err(LogoutError::Request(reason)) => {
            if let Some(left_out) = REFUSALS.turn(Instant::now()) {
                tracing::warn!(%reason, left_out, "a logout token is refused");
            }
            pages::problem(StatusCode::BAD_REQUEST, "invalid_request", &reason)
        }
        Err(LogoutError::Later) => pages::problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "Send it again.",
        ),
    };
    let never = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, never);
    response
}

enum LogoutError {
    Request(String),
    Later,
}

impl From<JwtError> for LogoutError {
    fn from(error: JwtError) -> Self {
        match error {
            JwtError::KeysLater => Self::Later,
            error => Self::Request(format!("the logout token is refused: {error}")),
        }
    }
}

async fn end_sessions(app: &AppState, headers: &HeaderMap, body: &[u8]) -> Result<(), LogoutError> {
    let _place = CONCURRENT.try_acquire().map_err(|_| LogoutError::Later)?;
    let malformed = |reason: &str| LogoutError::Request(reason.to_owned());
    if !is_form(headers).unwrap_or(false) {
        return Err(malformed("the body must be a form"));
    }
    let token = one_of(form_urlencoded::parse(body), "logout_token")
        .ok()
        .flatten()
        .ok_or_else(|| malformed("the body does not hold one logout_token"))?;
    // Not verified yet. The claims only select the provider whose keys and issuer the token must match.
    let claims = payload(&token).unwrap_or_default();
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    let registered = app.providers.by_issuer(issuer).ok_or(JwtError::Issuer)?;
    let provider = registered.get().ok_or(LogoutError::Later)?;
    let logout = provider.logout(&token).await?;
    if app.sessions.was_handled(provider.issuer(), &logout.jti) {
        return Err(malformed("the logout token was used before (jti)"));
    }
    let selection = SessionSelector::ProviderLogout {
        issuer: provider.issuer(),
        logout: &logout,
    };
    match app.sessions.end_all(selection, "provider").await {
        Ok(ended) => {
            app.sessions.mark_handled(provider.issuer(), &logout.jti).await;
            tracing::info!(ended, "the identity provider signed a user out");
            app.audit.provider_logout(logout.subject.as_deref(), ended);
            Ok(())
        }
        Err(error) => {
            tracing::warn!(%error, "the identity provider's sign-out could not be carried out");
            Err(LogoutError::Later)
        }
    }
}
