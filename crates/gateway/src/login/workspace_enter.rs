//! page load that needs a login -> the redirect of `/verify` (pure but for randomness and clock).

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use http::header::HeaderMap;

use crate::login::{App, AtSite};
use crate::pages::Failure;
use crate::verify::request::parameter;
use crate::verify::sign_in;

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
