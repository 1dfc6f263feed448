//! refusal -> its HTTP answer; redirects and empty answers (pure).

use axum::response::Response;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue, LOCATION, REFERRER_POLICY};

use crate::index::Domain;
use crate::pages::{self, Failure};
use crate::site::Site;

/// Why a ticket does not admit its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The ticket is for another workspace, has expired, or its session has ended: signing in helps.
    NotSignedIn,
    /// The user may not connect.
    Denied,
    /// The user may connect, and not by ssh.
    NoSsh,
    /// No decision is possible.
    Failed(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
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
        Refusal::NoSsh => no_ssh(),
        Refusal::Failed(failure) => failure.answer(),
    }
}

fn no_ssh() -> Response {
    pages::problem(
        StatusCode::FORBIDDEN,
        "SSHDisabled",
        "ssh is disabled by the WorkspaceManager. Use the browser, or ask an administrator to allow it.",
    )
}

/// Refuses a user's page load with a page of the gateway. A user who is signed in for another workspace gets the same page as any
/// other user without access.
pub(crate) fn refuse_page(refusal: Refusal, domain: &Domain) -> Response {
    match refusal {
        Refusal::Denied | Refusal::NotSignedIn => pages::denied(domain),
        Refusal::NoSsh => no_ssh(),
        Refusal::Failed(failure) => failure.answer(),
    }
}

/// Tells a script where a user can sign in. Scripts are never redirected.
pub(super) fn sign_in_elsewhere(domain: &Domain, site: &Site) -> Response {
    pages::sign_in_required(format!("{}/", domain.address(site)))
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
