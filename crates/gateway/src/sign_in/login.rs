//! a browser without session -> a redirect to the identity provider, bound to that browser by a cookie (pure but for
//! randomness and the clock).

use axum::response::Response;
use http::StatusCode;
use http::header::HeaderMap;

use crate::answers::{Failure, redirect};
use crate::crypto::random::{equal, random_token};
use crate::crypto::tokens::{ENTER_LIFE, Enter, LoginAttempt, RandomId, Token as _};
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
    let under_way = under_way(app, headers)?;
    let lineage = match app.session_cookie(domain, headers)? {
        Some(cookie) => cookie.lineage,
        None => match under_way.iter().flatten().next() {
            Some(attempt) => attempt.lineage,
            None => RandomId::new()?,
        },
    };
    let attempt = LoginAttempt {
        state: random_token()?,
        nonce: random_token()?,
        verifier: random_token()?,
        lineage,
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
    let slot = free_slot(&under_way);
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
    let under_way = under_way(app, headers)?.into_iter().enumerate();
    let mut open = under_way.filter_map(|(slot, attempt)| Some((slot, attempt?)));
    Ok(open.find(|(_, attempt)| equal(&attempt.state, state)))
}

/// The logins that this browser began and that have not ended, by slot.
fn under_way(app: &AppState, headers: &HeaderMap) -> Result<Vec<Option<LoginAttempt>>, Failure> {
    let in_slot = |slot| {
        let cookie = cookies::find(headers, &cookies::login(slot))?;
        Ok(cookie.and_then(|cookie| LoginAttempt::open(&app.keys, cookie, app.clock.now())))
    };
    (0..LOGIN_SLOTS).map(in_slot).collect()
}

/// A slot that is empty or holds nothing of use, else the one that ends first.
fn free_slot(under_way: &[Option<LoginAttempt>]) -> usize {
    let ends =
        |(_, attempt): &(usize, &Option<LoginAttempt>)| attempt.as_ref().map(|attempt| attempt.expires);
    let first = under_way.iter().enumerate().min_by_key(ends);
    first.map_or(0, |(slot, _)| slot)
}
