//! sign-out -> sessions end, then a redirect to the provider's own sign-out (IO).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::header::HeaderMap;
use http::{Method, StatusCode};

use crate::index::Domain;
use crate::login::{App, AtSite, link};
use crate::pages::{self, Failure};
use crate::session::Ended;
use crate::tokens::cookies;
use crate::verify::AppState;
use crate::verify::answers::redirect;
use crate::verify::request::source_rule::Source;
use crate::verify::request::{is_form, one_of};

/// Path of the sign-out on the portal's host.
pub(super) const AT_PORTAL: &str = "/_workspace/sign-out";

/// Answers `POST https://auth.<base>/sign-out`. `body`: the form, at most [`super::start::MAX_FORM`] bytes.
pub(super) async fn sign_out(State(app): App, headers: HeaderMap, body: Bytes) -> Result<Response, Failure> {
    let domain = app.domain()?;
    if !Source::from_headers(&headers)?.is_from(&domain.auth_origin()) {
        return Err(Failure::CrossOrigin);
    }
    if !is_form(&headers)? && !body.is_empty() {
        return Err(Failure::BadRequest);
    }
    let everywhere = one_of(form_urlencoded::parse(&body), "everywhere")?.is_some();
    let then = one_of(form_urlencoded::parse(&body), "then")?;
    let then = then.filter(|sealed| link::open(&app, &domain, sealed).is_some());
    let ended = end(&app, &domain, &headers, everywhere).await?;
    let next = next(&app, &domain, ended.as_ref(), then.as_deref());
    let mut response = redirect(StatusCode::SEE_OTHER, &next);
    cookies::clear(response.headers_mut(), cookies::SESSION);
    cookies::clear_logins(response.headers_mut());
    Ok(response)
}

/// Answers `POST https://portal.<base>/_workspace/sign-out`, the button of the portal's pages. The session's cookie stays on the auth
/// host, so the ticket names the session. Without a valid ticket the first page of the auth host has a button. After a sign-out that
/// page removes the cookies of logins.
pub(super) async fn at_portal(
    State(app): App,
    AtSite(site): AtSite,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let domain = app.domain()?;
    if !domain.is_portal(&site) {
        return Ok(pages::bare(StatusCode::NOT_FOUND));
    }
    let home = format!("{}/", domain.auth_origin());
    if method != Method::POST {
        return Ok(redirect(StatusCode::FOUND, &home));
    }
    if !Source::from_headers(&headers)?.is_from(&domain.origin_of(&site)) {
        return Err(Failure::CrossOrigin);
    }
    let Some(session) = app.ticket_session(&site, &headers)? else {
        return Ok(pages::signing_out(&home));
    };
    let ended = Arc::clone(&app.sessions).sign_out(session, None, false).await?;
    let mut response = pages::signing_out(&next(&app, &domain, ended.as_ref(), None));
    cookies::set_at(
        response.headers_mut(),
        &site.cookie_path(),
        site.ticket(),
        "",
        Some(0),
    );
    Ok(response)
}

/// Ends the sessions of this browser, and on request all sessions of the user.
async fn end(
    app: &AppState,
    domain: &Domain,
    headers: &HeaderMap,
    everywhere: bool,
) -> Result<Option<Ended>, Failure> {
    let Some(cookie) = app.session_cookie(domain, headers)? else {
        return Ok(None);
    };
    let sessions = Arc::clone(&app.sessions);
    Ok(sessions
        .sign_out(cookie.session, Some(cookie.lineage), everywhere)
        .await?)
}

/// Where the browser goes next: to the provider's sign-out, which leads back, or back at once. `then`: the sealed address at which
/// another user continues after the return.
fn next(app: &AppState, domain: &Domain, ended: Option<&Ended>, then: Option<&str>) -> String {
    let back = format!("{}/", domain.auth_origin());
    let there = ended.and_then(|ended| {
        let provider = app.providers.by_issuer(&ended.issuer)?.get()?;
        provider.end_session_url(Some(ended.id_token.expose()), &back, then)
    });
    there.unwrap_or_else(|| match then {
        Some(sealed) => format!("{back}?state={sealed}"),
        None => back,
    })
}
