//! signed-in user who wants a new login -> the auth host (pure but for randomness and clock).
//!
//! An open JupyterLab sends its user here before the session ends, or after. The handler itself changes nothing. It answers as
//! `/verify` answers an unauthenticated page load of any workspace.

use axum::response::Response;
use http::Uri;
use http::header::HeaderMap;

use crate::site::Site;
use crate::tokens::Enter;
use crate::verify::answers::Failure;
use crate::verify::request::forwarded::target;
use crate::verify::request::parameter;
use crate::verify::{AppState, send_to_enter};

/// Answers `GET https://<workspace host>/_workspace/sign-in?to=…`. `to`: a path of this workspace to continue at.
pub(super) fn again(app: &AppState, site: Site, uri: &Uri, headers: &HeaderMap) -> Response {
    begin(app, site, uri, headers).unwrap_or_else(Failure::answer)
}

fn begin(app: &AppState, site: Site, uri: &Uri, headers: &HeaderMap) -> Result<Response, Failure> {
    let to = parameter(uri, "to")?.unwrap_or_default();
    let enter = Enter {
        target: target(site.within(&to)).to_owned(),
        site,
        attempt: 0,
        again: true,
        browser: String::new(),
        expires: 0,
    };
    let domain = app.domain()?;
    send_to_enter(app, &domain, enter, headers)
}
