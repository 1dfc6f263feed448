//! the identity provider's answer -> a new session and its cookie (IO).

use std::time::Instant;

use axum::response::Response;
use http::header::HeaderMap;
use http::{StatusCode, Uri};

use crate::answers::{Failure, redirect};
use crate::crypto::tokens::{ENTER_LIFE, Enter, LoginAttempt, SessionCookie, Token as _};
use crate::index::Domain;
use crate::oidc::{Binding, RedeemError, Refused};
use crate::pages;
use crate::request::cookies;
use crate::request::parameter;
use crate::request::source_rule::Source;
use crate::session::content::Content;
use crate::sign_in::enter::not_a_page;
use crate::sign_in::login;
use crate::sign_in::seldom::Seldom;
use crate::verify::AppState;

/// Anybody can send answers that are refused.
static REFUSALS: Seldom = Seldom::new();

/// Answers `GET https://auth.<base>/callback?code=…&state=…`.
pub(super) async fn callback(app: &AppState, uri: &Uri, headers: &HeaderMap) -> Response {
    receive(app, uri, headers).await.unwrap_or_else(Failure::answer)
}

async fn receive(app: &AppState, uri: &Uri, headers: &HeaderMap) -> Result<Response, Failure> {
    if Source::of(headers)?.is_embedded() {
        return Ok(not_a_page());
    }
    let domain = app.domain()?;
    let state = parameter(uri, "state")?.unwrap_or_default();
    let Some((slot, attempt)) = login::resume(app, headers, &state)? else {
        return Ok(stale());
    };
    let Some(_place) = app.sessions.login_place(&state).await? else {
        return Ok(stale());
    };
    let mut response = match complete(app, &domain, uri, headers, &attempt).await {
        Ok(response) => response,
        Err(problem) => {
            app.audit.login_refused(problem.word());
            problem.answer()
        }
    };
    // Whatever came of it, this attempt is over.
    cookies::clear(response.headers_mut(), &cookies::login(slot));
    Ok(response)
}

fn stale() -> Response {
    pages::message(
        StatusCode::BAD_REQUEST,
        "This sign-in cannot be completed",
        "It took too long, was completed before or was begun in another browser. Open your workspace's address again.",
    )
}

async fn complete(
    app: &AppState,
    domain: &Domain,
    uri: &Uri,
    headers: &HeaderMap,
    attempt: &LoginAttempt,
) -> Result<Response, Problem> {
    let given = |name| parameter(uri, name).map_err(Failure::from);
    let provider = app.provider()?;
    if !provider.is_sender(given("iss")?.as_deref()) {
        return Err(Problem::Foreign);
    }
    if given("error")?.is_some() {
        return Err(Problem::Declined);
    }
    let code = given("code")?.ok_or(Failure::BadRequest)?;
    let redirect_uri = login::callback_address(domain);
    let binding = Binding {
        nonce: &attempt.nonce,
        verifier: &attempt.verifier,
        redirect_uri: &redirect_uri,
    };
    let login = provider.redeem(&code, binding).await?;
    let identity = app
        .mapping
        .identify(&login.claims)
        .map_err(|error| Problem::Unusable(error.to_string()))?;
    let now = app.clock.now();
    let life = app.sessions.limits().life;
    let content = Content::new(
        provider.issuer(),
        &login.subject,
        identity,
        &login.tokens,
        (now, life),
    );
    // Another tab may have signed in since this login began.
    let before = app.session_cookie(domain, headers).map_err(Failure::from)?;
    let lineage = before.map_or(attempt.lineage, |cookie| cookie.lineage);
    let content = content.in_browser(lineage);
    let session = app.sessions.create(&content).await.map_err(Failure::from)?;
    tracing::info!(?session, "somebody signed in");
    app.audit
        .login(session, &content.user_name, &content.groups, content.end);

    let cookie = SessionCookie {
        session,
        lineage,
        host: domain.auth_host(),
        issued: now,
        expires: content.end,
    };
    let enter = Enter {
        expires: now + ENTER_LIFE,
        ..attempt.enter.clone()
    };
    let enter = enter.seal(&app.keys, now).map_err(Failure::from)?;
    let mut response = redirect(
        StatusCode::FOUND,
        &format!("{}/enter?t={enter}", domain.auth_origin()),
    );
    let cookie = cookie.seal(&app.keys, now).map_err(Failure::from)?;
    cookies::set(response.headers_mut(), cookies::SESSION, &cookie, Some(life));
    Ok(response)
}

/// Says why, but not for everything that strangers send.
fn refused(reason: &dyn std::fmt::Display) {
    if let Some(left_out) = REFUSALS.turn(Instant::now()) {
        tracing::warn!(%reason, left_out, "a login failed");
    }
}

/// Why a login gave no session.
enum Problem {
    /// The answer names another issuer, or none where it must name one.
    Foreign,
    /// The person or the provider declined.
    Declined,
    /// The provider's answer fails a check.
    Redeem(RedeemError),
    /// The claims lead to no identity.
    Unusable(String),
    /// As everywhere.
    Failure(Failure),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<RedeemError> for Problem {
    fn from(error: RedeemError) -> Self {
        Self::Redeem(error)
    }
}

impl Problem {
    /// One stable word for the audit log.
    fn word(&self) -> &'static str {
        match self {
            Self::Foreign => "foreign_issuer",
            Self::Declined => "declined",
            Self::Redeem(RedeemError::Unavailable(_)) | Self::Failure(_) => "unavailable",
            Self::Redeem(RedeemError::Client(_)) => "client_refused",
            Self::Redeem(_) => "answer_refused",
            Self::Unusable(_) => "no_identity",
        }
    }

    fn answer(self) -> Response {
        let message = |status, text: &str| pages::message(status, "You are not signed in", text);
        match self {
            Self::Foreign => {
                refused(&"the authorization response names another issuer, or none");
                message(
                    StatusCode::BAD_REQUEST,
                    "The answer does not come from the identity provider that was asked.",
                )
            }
            Self::Declined => message(
                StatusCode::FORBIDDEN,
                "The identity provider did not sign you in. Open your workspace's address to try again.",
            ),
            Self::Redeem(error @ RedeemError::Unavailable(_)) => {
                tracing::warn!(%error, "a login failed");
                pages::unavailable()
            }
            Self::Redeem(error @ RedeemError::Client(_)) => {
                tracing::error!(%error, "logins fail");
                message(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "The identity provider does not accept this gateway. Tell your administrator to look at the gateway's log.",
                )
            }
            Self::Redeem(error @ RedeemError::Token(Refused::Time)) => {
                tracing::error!(%error, "logins fail");
                message(
                    StatusCode::FORBIDDEN,
                    "The clocks of the identity provider and of this gateway differ by more than a minute, so its answer \
                     cannot be trusted. Tell your administrator.",
                )
            }
            Self::Redeem(error) => {
                refused(&error);
                message(
                    StatusCode::FORBIDDEN,
                    "The identity provider's answer was refused. Open your workspace's address to try again; if that does \
                     not help, tell your administrator to look at the gateway's log.",
                )
            }
            Self::Unusable(reason) => {
                refused(&reason);
                message(
                    StatusCode::FORBIDDEN,
                    &format!("Tell your administrator: {reason}."),
                )
            }
            Self::Failure(failure) => failure.answer(),
        }
    }
}
