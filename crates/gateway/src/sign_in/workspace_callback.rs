//! a one-time code at a workspace's address -> the ticket for that workspace (IO).

use axum::response::Response;
use http::header::HeaderMap;
use http::{StatusCode, Uri};

use crate::answers::{Failure, redirect, refuse_page};
use crate::crypto::tokens::{Code, Enter, MAX_ATTEMPTS, Ticket, Token as _};
use crate::index::Domain;
use crate::pages;
use crate::random::{equal, fingerprint};
use crate::request::cookies;
use crate::request::parameter;
use crate::request::source_rule::Source;
use crate::session::Spent;
use crate::sign_in::enter::{address, unknown_link};
use crate::site::Site;
use crate::verify::AppState;
use crate::verify::send_to_enter;

/// Answers `GET https://<workspace>/_workspace/callback?code=…`.
pub(super) async fn workspace_callback(
    app: &AppState,
    site: &Site,
    uri: &Uri,
    headers: &HeaderMap,
) -> Response {
    receive(app, site, uri, headers)
        .await
        .unwrap_or_else(Failure::answer)
}

async fn receive(app: &AppState, site: &Site, uri: &Uri, headers: &HeaderMap) -> Result<Response, Failure> {
    if Source::of(headers)?.is_embedded() {
        return Ok(crate::sign_in::enter::not_a_page());
    }
    let domain = app.domain()?;
    let sealed = parameter(uri, "code")?.unwrap_or_default();
    let Some(code) = Code::open_even_expired(&app.keys, &sealed).filter(|code| code.enter.site == *site)
    else {
        return Ok(unknown_link(&domain));
    };
    // The cookie first: without it the code must stay as it is for the browser that it was made for.
    let browser = cookies::find(headers, site.pre())?.map(fingerprint);
    let is_same_browser = browser.is_some_and(|browser| equal(&browser, &code.enter.browser));
    let now = app.clock.now();
    if !is_same_browser || code.expires() <= now {
        return again(app, &domain, headers, code.enter);
    }
    let Some(session) = app.sessions.find(code.session).await? else {
        return again(app, &domain, headers, code.enter);
    };
    let allow = match app.decide(site, Some(&code.uid), &session).await {
        Ok(allow) => allow,
        Err(refusal) => return Ok(refuse_page(refusal, &domain)),
    };
    if !app.may_issue() {
        return Err(Failure::Unavailable);
    }
    match app.sessions.spend(code.session, code.id, code.expires()).await? {
        Spent::Now => {}
        Spent::Before | Spent::NoSession => return again(app, &domain, headers, code.enter),
    }
    let expires = (now + app.sessions.limits().ticket).min(session.end);
    let ticket = Ticket {
        session: session.id,
        uid: &allow.target().uid,
        site: site.as_str(),
        browser: site.ticket_needs_browser().then_some(code.enter.browser.as_str()),
        issued: now,
        expires,
    };
    let ticket = ticket.seal(&app.keys, now)?;
    let mut response = redirect(StatusCode::FOUND, &address(&domain, &code.enter));
    cookies::set_at(
        response.headers_mut(),
        &site.cookie_path(),
        site.ticket(),
        &ticket,
        Some(expires - now),
    );
    Ok(response)
}

/// Sends the browser round once more, at most three times: then it evidently keeps no cookies.
fn again(app: &AppState, domain: &Domain, headers: &HeaderMap, enter: Enter) -> Result<Response, Failure> {
    let attempt = enter.attempt.saturating_add(1);
    if attempt >= MAX_ATTEMPTS {
        return Ok(pages::message_with_link(
            StatusCode::BAD_REQUEST,
            "Cookies are blocked",
            "Your browser does not keep this site's cookies, so it cannot be signed in. Allow cookies for this site, then try again.",
            address(domain, &enter),
            "Try again",
        ));
    }
    send_to_enter(app, domain, Enter { attempt, ..enter }, headers)
}
