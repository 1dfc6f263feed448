//! refusal -> its HTTP answer; redirects and empty answers (pure).

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue, LOCATION, REFERRER_POLICY};

use crate::index::Domain;
use crate::pages;
use crate::session::Unavailable;
use crate::site::Site;
use crate::tokens::cookies::Malformed;
use crate::tokens::random::CryptoError;

/// Why a ticket does not admit its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The ticket is for another workspace, has expired, or its session has ended: signing in helps.
    NotSignedIn,
    /// The user may not connect.
    Denied,
    /// The API server could not be asked about the session.
    Unavailable,
}

/// Refuses a request of a script.
pub(crate) fn refuse(refusal: Refusal, domain: &Domain, site: &Site) -> Response {
    match refusal {
        Refusal::NotSignedIn => sign_in_elsewhere(domain, site),
        Refusal::Denied => pages::problem(
            StatusCode::FORBIDDEN,
            "NoAccess",
            "There is no such workspace, or you may not open it.",
        ),
        Refusal::Unavailable => Failure::Unavailable.answer(),
    }
}

/// Refuses a user's page load with a page of the gateway. A user who is signed in for another workspace gets the same page as any
/// other user without access.
pub(crate) fn refuse_page(refusal: Refusal, domain: &Domain) -> Response {
    match refusal {
        Refusal::Denied | Refusal::NotSignedIn => pages::denied(domain),
        Refusal::Unavailable => Failure::Unavailable.answer(),
    }
}

/// Tells a script where a user can sign in. Scripts are never redirected.
pub(super) fn sign_in_elsewhere(domain: &Domain, site: &Site) -> Response {
    pages::sign_in_required(format!("{}/", domain.address(site)))
}

/// The request comes from a page of another origin, which must not act with this user's ticket.
pub(crate) fn wrong_source() -> Response {
    pages::problem(
        StatusCode::FORBIDDEN,
        "CrossOrigin",
        "The request comes from a page of another origin.",
    )
}

/// Redirects to the folder's address with its final `/`. Without it, cookies and relative links are not the workspace's.
pub(crate) fn into_folder(domain: &Domain, site: &Site, method: &str) -> Response {
    match method {
        "GET" | "HEAD" => redirect(StatusCode::FOUND, &format!("{}/", domain.address(site))),
        _ => nowhere(),
    }
}

/// Answers a request on the shared host of all workspaces whose path lies in no workspace.
pub(crate) fn nowhere() -> Response {
    pages::message(
        StatusCode::NOT_FOUND,
        "Not found",
        "Workspaces have addresses of the form /workspaces/<namespace>/<name>/.",
    )
}

/// A redirect to `location`, which is an absolute URL made by the gateway.
pub(crate) fn redirect(status: StatusCode, location: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        return Failure::BadRequest.answer();
    };
    let mut response = empty(status);
    response.headers_mut().insert(LOCATION, location);
    response
}

/// An answer without body that is not stored by caches and sends no referrer to other sites.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Why the gateway could not decide about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No browser behind the configured proxy sends such a request.
    BadRequest,
    /// The request is for a host that the gateway does not serve.
    Misdirected,
    /// Something that the answer needs is unavailable at the moment.
    Unavailable,
}

impl Failure {
    /// The answer to give.
    pub fn answer(self) -> Response {
        match self {
            Self::BadRequest => pages::bare(StatusCode::BAD_REQUEST),
            Self::Misdirected => pages::bare(StatusCode::MISDIRECTED_REQUEST),
            Self::Unavailable => pages::unavailable(),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.answer()
    }
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Self::BadRequest
    }
}

impl From<Unavailable> for Failure {
    fn from(error: Unavailable) -> Self {
        tracing::warn!(%error, "no decision without sessions");
        Self::Unavailable
    }
}

impl From<CryptoError> for Failure {
    fn from(error: CryptoError) -> Self {
        tracing::error!(%error, "nothing can be sealed");
        Self::Unavailable
    }
}
