//! page load through a proxy that cannot redirect -> the redirect of `/verify` (pure).

use axum::response::Response;
use http::Uri;
use http::header::HeaderMap;

use crate::site::Site;
use crate::tokens::Enter;
use crate::verify::answers::Failure;
use crate::verify::request::forwarded::target;
use crate::verify::request::parameter;
use crate::verify::{AppState, send_to_enter};

/// Answers `GET https://<workspace>/_workspace/enter`. The target is the whole query if that is a path, else the parameter `rd`: a
/// path, or an address of this workspace.
pub(super) fn workspace_enter(app: &AppState, site: Site, uri: &Uri, headers: &HeaderMap) -> Response {
    proceed(app, site, uri, headers).unwrap_or_else(Failure::answer)
}

fn proceed(app: &AppState, site: Site, uri: &Uri, headers: &HeaderMap) -> Result<Response, Failure> {
    let domain = app.domain()?;
    let wished = match uri.query() {
        Some(path) if path.starts_with('/') => path.to_owned(),
        _ => parameter(uri, "rd")?.unwrap_or_default(),
    };
    let path = wished.strip_prefix(&domain.origin_of(&site)).unwrap_or(&wished);
    let enter = Enter {
        target: target(site.within(path)).to_owned(),
        site,
        attempt: 0,
        again: false,
        browser: String::new(),
        expires: 0,
    };
    send_to_enter(app, &domain, enter, headers)
}
