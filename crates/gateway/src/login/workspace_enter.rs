//! page load that needs a login or the portal -> a redirect (IO for unknown sessions and rights).

use axum::extract::State;
use axum::response::Response;
use http::header::HeaderMap;
use http::{StatusCode, Uri};

use crate::login::{App, AtSite};
use crate::pages::{self, Failure};
use crate::verify::answers::{Refusal, redirect, refuse_page};
use crate::verify::decision::Admitted;
use crate::verify::request::parameter;
use crate::verify::sign_in;

/// Text for users who cannot change the workspace in a portal.
const NOT_IN_PORTAL: &str = "This installation has no portal, or you may not change the workspace. Its owner and administrators keep an \
                             unused one with kubectl workspace keep.";

/// Answers `GET https://<workspace>/_workspace/enter`, for proxies that cannot redirect. The target is the whole query if that is a
/// path, else the parameter `rd`: a path, or an address of this workspace.
pub(super) async fn workspace_enter(
    State(app): App,
    AtSite(site): AtSite,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let domain = app.domain()?;
    let wished = match uri.query() {
        Some(path) if path.starts_with('/') => path.to_owned(),
        _ => parameter(&uri, "rd")?.unwrap_or_default(),
    };
    let path = wished.strip_prefix(&domain.origin_of(&site)).unwrap_or(&wished);
    sign_in(&app, &domain, (site, false), &headers, path)
}

/// Answers `GET https://<workspace host>/_workspace/sign-in?to=…`, where an open JupyterLab sends its user before the session ends, or
/// after. `to`: a path of this workspace to continue at. The handler itself changes nothing.
pub(super) async fn sign_in_again(
    State(app): App,
    AtSite(site): AtSite,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let to = parameter(&uri, "to")?.unwrap_or_default();
    let domain = app.domain()?;
    sign_in(&app, &domain, (site, true), &headers, &to)
}

/// Answers `GET https://<workspace host>/_workspace/portal`, where an open JupyterLab sends its user before a stop: redirects to the
/// workspace's page in the portal. The address names the workspace, so only users whom a ticket admits get it. Who has
/// no valid ticket signs in and continues at the workspace's first page, because no sign-in leads back to a path of the gateway.
pub(super) async fn in_portal(
    State(app): App,
    AtSite(site): AtSite,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let domain = app.domain()?;
    let admitted = app.admit_cookie(&domain, &site, "GET", &headers).await;
    let admission = match admitted {
        Ok(Some(admission)) => admission,
        Ok(None) | Err(Refusal::NotSignedIn) => {
            return sign_in(&app, &domain, (site, false), &headers, "/");
        }
        Err(refusal) => return Ok(refuse_page(refusal, &domain)),
    };
    let Admitted::Workspace(allow) = &admission.admitted else {
        return Ok(pages::bare(StatusCode::NOT_FOUND));
    };
    Ok(
        match pages::in_portal(&domain, allow.target(), allow.audience()) {
            Some(page) => redirect(StatusCode::FOUND, &page),
            None => pages::message(
                StatusCode::NOT_FOUND,
                "There is no page of it here",
                NOT_IN_PORTAL,
            ),
        },
    )
}
