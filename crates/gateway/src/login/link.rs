//! link to the sign-in -> where a login continues, within this domain (pure but for the clock).

use axum::response::Response;
use http::StatusCode;

use crate::index::Domain;
use crate::pages::{self, Failure};
use crate::site::Site;
use crate::tokens::{ENTER_LIFE, Enter, Token as _};
use crate::verify::AppState;

/// The target of a login that leads to the first page. It has the form of a workspace's site, but no workspace can have it.
pub(super) fn home(domain: &Domain) -> Site {
    domain.auth_host().into()
}

/// A login that leads to the first page, plain and sealed.
///
/// # Errors
/// No sealing key is available.
pub(super) fn to_home(app: &AppState, domain: &Domain) -> Result<(Enter, String), Failure> {
    to_page(app, domain, "/".to_owned())
}

/// A login that leads to a page of the auth host, plain and sealed. `target`: path and query, made by the gateway.
///
/// # Errors
/// No sealing key is available.
pub(super) fn to_page(app: &AppState, domain: &Domain, target: String) -> Result<(Enter, String), Failure> {
    let now = app.clock.now();
    let enter = Enter {
        site: home(domain),
        target,
        attempt: 0,
        again: false,
        browser: String::new(),
        expires: now + ENTER_LIFE,
    };
    let sealed = enter.seal(&app.keys, now)?;
    Ok((enter, sealed))
}

/// The target of a sealed address, while it is valid.
pub(super) fn open(app: &AppState, domain: &Domain, sealed: &str) -> Option<Enter> {
    let enter = Enter::open_even_expired(&app.keys, sealed)?;
    let counts = enter.expires > app.clock.now() && is_ours(domain, &enter);
    counts.then_some(enter)
}

/// Whether the link leads to a site of the present domain, to its portal, or to the first page of its auth host. The base domain may
/// have changed.
pub(super) fn is_ours(domain: &Domain, enter: &Enter) -> bool {
    domain.has(&enter.site) || domain.is_portal(&enter.site) || enter.site == home(domain)
}

/// The workspace's address that the link leads back to.
pub(super) fn address(domain: &Domain, enter: &Enter) -> String {
    format!("{}{}", domain.address(&enter.site), enter.target)
}

/// The gateway did not make the link, or its key no longer exists.
pub(super) fn unknown(domain: &Domain) -> Response {
    pages::message_with_link(
        StatusCode::BAD_REQUEST,
        "This link is not valid",
        "It is incomplete or too old. Open your workspace's address again, or choose it from the list.",
        format!("{}/", domain.auth_origin()),
        "Go to your workspaces",
    )
}
