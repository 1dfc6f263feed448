//! token or program's ticket -> the workspace that its user may open, or the refusal (IO).

use axum::response::Response;
use http::HeaderMap;

use super::admit::AppState;
use super::answers::{Refusal, refuse};
use super::bearer::{Accepted, Bearer, TokenError, TokenRefusal, challenge};
use super::decision::Allow;
use super::request::Malformed;
use super::request::pod_headers::TICKET;
use super::request::source_rule::{Source, single};
use crate::audit::By;
use crate::index::Domain;
use crate::pages::{self, Failure};
use crate::server::throttle::{Caller, Endpoint};
use crate::site::Site;
use crate::tokens::cookies;

/// Checks a token for `site`. A script sends a token on purpose, so no page can make a browser send it. But a page that sends one
/// states its origin, and pages of other origins are refused.
///
/// # Errors
/// The answer to give.
pub(super) async fn admit_token(
    app: &AppState,
    bearer: &Bearer,
    (domain, site, by): (&Domain, &Site, Option<By>),
    token: &str,
    headers: &HeaderMap,
) -> Result<(Allow, Accepted), Response> {
    let source = Source::from_headers(headers).map_err(Failure::from)?;
    if !source.is_unnamed_or_from(|| domain.origin_of(site)) {
        return Err(Failure::CrossOrigin.into());
    }
    let audience = domain.auth_origin();
    let caller = Caller::Address(app.throttle.client(headers));
    let pay = || {
        let counted = app.throttle.take(caller, Endpoint::Token);
        counted.map_err(|wait| {
            app.metrics
                .count_rate_limited(Endpoint::Token.label(), caller.label());
            Failure::RateLimited(wait)
        })
    };
    let verified = bearer.verify(token, &audience, pay).await;
    let accepted = verified.map_err(|error| {
        record(app, &error);
        error.answer(domain, bearer.audiences())
    })?;
    let session = &accepted.session;
    let decided = app.check_workspace_access(site, None, session).await;
    let allow = decided.map_err(|refusal| refuse(refusal, domain, site))?;
    app.let_in(&allow, by)
        .map_err(|refusal| refuse(refusal, domain, site))?;
    Ok((allow, accepted))
}

/// The program's ticket in a request that can come from no browser: one with a cookie of the gateway's, or of which a browser
/// reports something, has none.
///
/// # Errors
/// There are several.
pub(super) fn program_ticket<'a>(
    source: &Source<'_>,
    headers: &'a HeaderMap,
) -> Result<Option<&'a str>, Malformed> {
    let ticket = single(headers, &TICKET)?;
    Ok(ticket.filter(|_| !source.has_fetch_metadata() && !cookies::has_ours(headers)))
}

/// Checks a program's ticket for `site`. Programs name no origin, or that of the workspace.
///
/// # Errors
/// The answer to give.
pub(super) async fn admit_program(
    app: &AppState,
    (domain, site, by): (&Domain, &Site, Option<By>),
    ticket: &str,
    headers: &HeaderMap,
) -> Result<Allow, Response> {
    let source = Source::from_headers(headers).map_err(Failure::from)?;
    if !source.is_unnamed_or_from(|| domain.origin_of(site)) {
        return Err(Failure::CrossOrigin.into());
    }
    let by = by.unwrap_or(By::Program);
    let admitted = app.admit_program((site, by), ticket).await;
    admitted.map_err(|refusal| {
        let answer = refuse(refusal, domain, site);
        match refusal {
            Refusal::NotSignedIn => with_challenge(app, domain, answer),
            _ => answer,
        }
    })
}

/// Adds to the answer for an unauthenticated request whether tokens are accepted. Every such answer is alike, because the proxy
/// forwards no token where tokens are not accepted.
pub(super) fn with_challenge(app: &AppState, domain: &Domain, mut response: Response) -> Response {
    if app.bearer.is_some() {
        challenge(&mut response, &domain.auth_origin(), None);
    } else {
        pages::without_tokens(&mut response);
    }
    response
}

fn record(app: &AppState, error: &TokenError) {
    match error {
        TokenError::Refused(TokenRefusal::NotAdmitted {
            user,
            issuer,
            outside,
        }) => app.audit.record_not_admitted(user, issuer, outside.reason()),
        TokenError::Refused(refused) => app.audit.record_refused_token(refused.label()),
        TokenError::Failed(_) => {}
    }
}
