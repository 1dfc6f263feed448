//! user of the portal -> 200 with headers, or why it cannot act as this user (pure).

use axum::response::Response;
use http::StatusCode;
use http::header::HeaderMap;
use kit::assertion::check_identity;

use super::decision::PortalAllow;
use crate::index::Domain;
use crate::pages::{self, Failure};
use crate::verify::AppState;
use crate::verify::answers::empty;
use crate::verify::request::pod_headers;

/// Audit rule of a denial: the portal cannot act as this user.
const IDENTITY: &str = "identity";

/// 200: the request may go on to the portal. The portal acts as the user by impersonation, so names that it cannot carry are refused
/// here already.
///
/// # Errors
/// No key is active.
pub(super) fn forward(
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
    app.audit.portal_opened(allow.session());
    let mut response = empty(StatusCode::OK);
    pod_headers::replace(response.headers_mut(), headers, &app.strip, assertion);
    Ok(response)
}

/// A service worker would answer in place of the portal, also for the gateway's own paths. The portal has none.
pub(super) fn no_service_worker() -> Response {
    pages::problem(
        StatusCode::FORBIDDEN,
        "NoServiceWorker",
        "The portal has no service worker.",
    )
}
