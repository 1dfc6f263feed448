//! user of the portal -> 200 with headers, or why it cannot act as this user (IO: a new ID token).

use axum::response::Response;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use kit::assertion_signer::check_identity;

use super::decision::PortalAllow;
use crate::index::Domain;
use crate::pages::{self, Failure};
use crate::verify::AppState;
use crate::verify::answers::empty;
use crate::verify::request::pod_headers;

/// Audit rule of a denial: the portal cannot act as this user.
const IDENTITY: &str = "identity";

/// 200: the request may go on to the portal. The portal may act as the user by impersonation, so names that it cannot carry are refused
/// here already. Where it acts with the user's ID token, the token goes along in `Authorization`, which the proxy takes from no browser.
///
/// # Errors
/// No key is active.
pub(super) async fn forward(
    app: &AppState,
    domain: &Domain,
    allow: &PortalAllow,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let identity = &allow.session().identity;
    if let Err(error) = check_identity(&identity.user_name, &identity.groups) {
        app.record_refusal(allow.session(), allow.site(), IDENTITY);
        return Ok(pages::unusable_identity(domain, &error));
    }
    let assertion = app.attest_to_portal(allow)?;
    app.audit.record_portal_visit(allow.session());
    let mut response = empty(StatusCode::OK);
    pod_headers::replace(response.headers_mut(), headers, &app.strip, assertion);
    if let Some(token) = app.sessions.id_token(allow.session()).await
        && let Some(bearer) = bearer(token.text.expose())
    {
        response.headers_mut().insert(AUTHORIZATION, bearer);
    }
    Ok(response)
}

fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A service worker would answer in place of the portal, also for the gateway's own paths. The portal has none.
pub(super) fn no_service_worker() -> Response {
    pages::problem(
        StatusCode::FORBIDDEN,
        "NoServiceWorker",
        "The portal has no service worker.",
    )
}
