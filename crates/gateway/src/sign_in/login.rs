//! a browser without session -> a redirect to the identity provider, bound to that browser by a cookie (pure but for
//! randomness and the clock).

use axum::response::Response;
use http::StatusCode;
use http::header::HeaderMap;

use crate::answers::{Failure, redirect};
use crate::crypto::random::{equal, random_token};
use crate::crypto::tokens::{ENTER_LIFE, Enter, LoginAttempt, Token as _};
use crate::index::Domain;
use crate::oidc::Binding;
use crate::request::cookies::{self, LOGIN_SLOTS};
use crate::verify::AppState;

/// Begins a login that goes on to `enter` afterwards.
///
/// # Errors
/// The identity provider is not known yet, or nothing can be sealed.
pub(super) fn begin(
    app: &AppState,
    domain: &Domain,
    headers: &HeaderMap,
    enter: Enter,
) -> Result<Response, Failure> {
    let provider = app.provider()?;
    let now = app.clock.now();
    let attempt = LoginAttempt {
        state: random_token()?,
        nonce: random_token()?,
        verifier: random_token()?,
        enter,
        expires: now + ENTER_LIFE,
    };
    let redirect_uri = callback_address(domain);
    let binding = Binding {
        nonce: &attempt.nonce,
        verifier: &attempt.verifier,
        redirect_uri: &redirect_uri,
    };
    let url = provider
        .authorization_url(&attempt.state, binding)
        .map_err(|error| {
            tracing::error!(%error, "no login can begin");
            Failure::Unavailable
        })?;
    let slot = free_slot(app, headers)?;
    let mut response = redirect(StatusCode::FOUND, &url);
    let cookie = attempt.seal(&app.keys, now)?;
    cookies::set(
        response.headers_mut(),
        &cookies::login(slot),
        &cookie,
        Some(ENTER_LIFE),
    );
    Ok(response)
}

/// Address that the identity provider sends browsers back to.
pub(super) fn callback_address(domain: &Domain) -> String {
    format!("{}/callback", domain.auth_origin())
}

/// The login under way that `state` belongs to, and its slot.
///
/// # Errors
/// A cookie came twice.
pub(super) fn resume(
    app: &AppState,
    headers: &HeaderMap,
    state: &str,
) -> Result<Option<(usize, LoginAttempt)>, Failure> {
    for slot in 0..LOGIN_SLOTS {
        let Some(cookie) = cookies::find(headers, &cookies::login(slot))? else {
            continue;
        };
        let attempt = LoginAttempt::open(&app.keys, cookie, app.clock.now());
        if let Some(attempt) = attempt.filter(|attempt| equal(&attempt.state, state)) {
            return Ok(Some((slot, attempt)));
        }
    }
    Ok(None)
}

/// A slot that is empty or holds nothing of use, else the one that ends first.
fn free_slot(app: &AppState, headers: &HeaderMap) -> Result<usize, Failure> {
    let mut oldest = (i64::MAX, 0);
    for slot in 0..LOGIN_SLOTS {
        let cookie = cookies::find(headers, &cookies::login(slot))?;
        let attempt = cookie.and_then(|cookie| LoginAttempt::open(&app.keys, cookie, app.clock.now()));
        let Some(attempt) = attempt else {
            return Ok(slot);
        };
        oldest = oldest.min((attempt.expires, slot));
    }
    Ok(oldest.1)
}
