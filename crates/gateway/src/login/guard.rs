//! request for a sign-in page -> its handler, 403 or 429 (pure but for time).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, Method, Uri};

use crate::login::{programs, sign_out};
use crate::pages::Failure;
use crate::server::throttle::{Caller, Endpoint};
use crate::tokens::{Code, Enter, Token as _};
use crate::verify::request::parameter;
use crate::verify::request::source_rule::Source;
use crate::verify::{AppState, pre_cookie};

/// Passes a request on unless a page of another origin sent it, or its session or address exceeds the rate limit. The origin is
/// checked first: a hostile page must not use up its visitor's rate limit.
pub(super) async fn guard(State(app): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    if let Err(failure) = own_source(&app, &request) {
        return failure.answer();
    }
    let endpoint = Endpoint::from_path(request.uri().path());
    let caller = caller(&app, endpoint, request.uri(), request.headers());
    match app.throttle.take(caller, endpoint) {
        Ok(()) => {
            let client = app.throttle.client(request.headers());
            app.audit.about(|| client, next.run(request)).await
        }
        Err(wait) => {
            app.metrics.count_rate_limited(endpoint.label(), caller.label());
            Failure::RateLimited(wait).answer()
        }
    }
}

/// Refuses frames, fetches and images, and forms of other origins.
fn own_source(app: &AppState, request: &Request) -> Result<(), Failure> {
    let source = Source::from_headers(request.headers())?;
    if source.is_embedded() {
        return Err(Failure::Embedded);
    }
    let domain = app.domain()?;
    let is_form = request.method() == Method::POST;
    let sender = match request.uri().path() {
        sign_out::AT_PORTAL => domain.portal_origin(),
        _ => None,
    };
    if is_form && !source.is_unnamed_or_from(|| sender.unwrap_or_else(|| domain.auth_origin())) {
        return Err(Failure::CrossOrigin);
    }
    Ok(())
}

/// The session that a sealed value of the gateway names, else the address. The session need not exist any more: only a user who
/// was signed in has such a value.
fn caller(app: &AppState, endpoint: Endpoint, uri: &Uri, headers: &HeaderMap) -> Caller {
    let session = match endpoint {
        Endpoint::Backchannel => None,
        _ => cookie(app, headers)
            .or_else(|| code(app, endpoint, uri, headers))
            .or_else(|| programs::session_of_token(app, headers).map(Caller::Session)),
    };
    session.unwrap_or_else(|| Caller::Address(app.throttle.client(headers)))
}

fn cookie(app: &AppState, headers: &HeaderMap) -> Option<Caller> {
    let domain = app.domain().ok()?;
    let session = match app.session_cookie(&domain, headers).ok()? {
        Some(cookie) => cookie.session,
        None => app.ticket_session(&domain.portal()?, headers).ok()??,
    };
    Some(Caller::Session(session))
}

/// On a workspace's host only the one-time code identifies the session. It counts only in the browser that it was made for. Codes
/// are visible in histories and logs, so a replay must not use up the owner's rate limit.
fn code(app: &AppState, endpoint: Endpoint, uri: &Uri, headers: &HeaderMap) -> Option<Caller> {
    let sealed = (endpoint == Endpoint::Callback)
        .then(|| parameter(uri, "code"))?
        .ok()??;
    let code = Code::open(&app.keys, &sealed, app.clock.now())?;
    let Enter { site, browser, .. } = &code.enter;
    let is_own = pre_cookie::is_of_browser(headers, site, browser).ok()?;
    is_own.then_some(Caller::Session(code.session))
}
