//! one-time code at the address of a workspace or of the portal -> the ticket for that site (IO).

use axum::extract::State;
use axum::response::Response;
use http::header::HeaderMap;
use http::{StatusCode, Uri};

use crate::index::Domain;
use crate::login::{App, AtSite, link};
use crate::pages::{self, Failure};
use crate::session::{CodeUser, Spent};
use crate::site::Site;
use crate::tokens::cookies;
use crate::tokens::{Code, Enter, MAX_ATTEMPTS, Ticket, Token as _};
use crate::verify::answers::{redirect, refuse_page};
use crate::verify::request::parameter;
use crate::verify::{AppState, pre_cookie, send_to_enter};

/// Answers `GET https://<workspace>/_workspace/callback?code=…`.
pub(super) async fn workspace_callback(
    State(app): App,
    AtSite(site): AtSite,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let domain = app.domain()?;
    let Some(sealed) = parameter(&uri, "code")? else {
        return Ok(cookies_blocked(&domain, &site));
    };
    let Some(code) = Code::open_even_expired(&app.keys, &sealed).filter(|code| code.enter.site == site)
    else {
        return Ok(link::unknown(&domain));
    };
    let now = app.clock.now();
    if code.expires() <= now {
        return again(&app, &domain, &headers, code.enter).await;
    }
    if !pre_cookie::is_of_browser(&headers, &site, &code.enter.browser)? {
        // Another browser has seen the code. So it becomes invalid in the browser that it was made for, too.
        app.sessions
            .spend(code.session, code.id, code.expires(), CodeUser::Browser)
            .await?;
        return again(&app, &domain, &headers, code.enter).await;
    }
    let Some(session) = app.sessions.find(code.session).await? else {
        return again(&app, &domain, &headers, code.enter).await;
    };
    let admitted = match app.check_access(&site, Some(&code.uid), &session).await {
        Ok(admitted) => admitted,
        Err(refusal) => return Ok(refuse_page(refusal, &domain)),
    };
    if !app.may_issue() {
        return Err(Failure::Unavailable);
    }
    match app
        .sessions
        .spend(code.session, code.id, code.expires(), CodeUser::Browser)
        .await?
    {
        Spent::Now => {}
        Spent::Before | Spent::NoSession => return again(&app, &domain, &headers, code.enter).await,
    }
    let expires = (now + app.sessions.limits().ticket).min(session.end);
    let ticket = Ticket {
        session: session.id,
        uid: admitted.uid(),
        site: site.as_str(),
        browser: site.ticket_needs_browser().then_some(code.enter.browser.as_str()),
        issued: now,
        expires,
    };
    let ticket = ticket.seal(&app.keys, now)?;
    let mut response = redirect(StatusCode::FOUND, &link::address(&domain, &code.enter));
    cookies::set_at(
        response.headers_mut(),
        &site.cookie_path(),
        site.ticket(),
        &ticket,
        Some(expires - now),
    );
    if let Some(others) = pre_cookie::end(&headers, &site, &code.enter.browser)? {
        let age = others.is_empty().then_some(0);
        cookies::set(response.headers_mut(), site.pre(), &others, age);
    }
    Ok(response)
}

/// Repeats the redirect, at most three times: after that the browser evidently stores no cookies. A browser that received a ticket
/// in another tab continues. No page is shown at this address while it contains the code: the window's opener could read it.
async fn again(
    app: &AppState,
    domain: &Domain,
    headers: &HeaderMap,
    enter: Enter,
) -> Result<Response, Failure> {
    let ticket = cookies::find(headers, enter.site.ticket())?;
    if let Some(ticket) = ticket
        && app.admit((&enter.site, None), ticket, headers).await.is_ok()
    {
        return Ok(redirect(StatusCode::FOUND, &link::address(domain, &enter)));
    }
    let attempt = enter.attempt.saturating_add(1);
    if attempt >= MAX_ATTEMPTS {
        let here = format!("{}/_workspace/callback", domain.address(&enter.site));
        return Ok(redirect(StatusCode::FOUND, &here));
    }
    send_to_enter(app, domain, Enter { attempt, ..enter }, headers)
}

fn cookies_blocked(domain: &Domain, site: &Site) -> Response {
    pages::message_with_link(
        StatusCode::BAD_REQUEST,
        "Cookies are blocked",
        "Your browser does not keep this site's cookies, so it cannot be signed in. Allow cookies for this site, then try again.",
        format!("{}/", domain.address(site)),
        "Try again",
    )
}
