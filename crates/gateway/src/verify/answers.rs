//! a refusal -> its answer; redirects and empty answers (pure).

use axum::response::Response;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue, LOCATION, REFERRER_POLICY};

use crate::index::Domain;
use crate::pages;
use crate::session::Unavailable;
use crate::site::Site;
use crate::tokens::cookies::Duplicate;
use crate::tokens::random::NoRandomness;
use crate::tokens::seal::SealError;
use crate::verify::request::Repeated;
use crate::verify::request::source_rule::Malformed;

/// Why a ticket does not admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not a ticket for this workspace, has ended, or its session has: signing in helps.
    NotSignedIn,
    /// The user may not connect.
    Denied,
    /// The API server could not be asked about the session.
    Unavailable,
}

/// A refusal for scripts.
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

/// A refusal for users on a page of ours. A user who is signed in and of another workspace is a stranger like any.
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

/// Adds the `/` that a folder's address ends with: without it neither cookies nor relative links are the workspace's.
pub(crate) fn into_folder(domain: &Domain, site: &Site, method: &str) -> Response {
    match method {
        "GET" | "HEAD" => redirect(StatusCode::FOUND, &format!("{}/", domain.address(site))),
        _ => nowhere(),
    }
}

/// On the one host of all workspaces, but in none of them.
pub(crate) fn nowhere() -> Response {
    pages::message(
        StatusCode::NOT_FOUND,
        "Not found",
        "Workspaces have addresses of the form /workspaces/<namespace>/<name>/.",
    )
}

/// A redirect to `location`, which is absolute and of our own making.
pub(crate) fn redirect(status: StatusCode, location: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        return Failure::BadRequest.answer();
    };
    let mut response = empty(status);
    response.headers_mut().insert(LOCATION, location);
    response
}

/// An answer without body that nothing stores and that tells no other site where it came from.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Why a request got no decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It is not one that a browser behind our proxy sends.
    BadRequest,
    /// It asks for a host that is not ours.
    Misdirected,
    /// Something that is needed for the answer is missing at the moment.
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

impl From<Duplicate> for Failure {
    fn from(_: Duplicate) -> Self {
        Self::BadRequest
    }
}

impl From<Repeated> for Failure {
    fn from(_: Repeated) -> Self {
        Self::BadRequest
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

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        tracing::error!(%error, "nothing can be sealed");
        Self::Unavailable
    }
}

impl From<NoRandomness> for Failure {
    fn from(error: NoRandomness) -> Self {
        tracing::error!(%error, "nothing can be issued");
        Self::Unavailable
    }
}
