//! token of a request -> the workspace that it may reach, or the refusal (IO as in `Bearer`).

use axum::response::Response;
use http::HeaderMap;

use super::cache::Purpose;
use super::refused::challenge;
use super::{Accepted, Bearer, Refused, Unfit};
use crate::index::Domain;
use crate::pages;
use crate::server::throttle::{Caller, Endpoint};
use crate::site::Site;
use crate::verify::admit::AppState;
use crate::verify::answers::{Failure, refuse, wrong_source};
use crate::verify::decision::Allow;
use crate::verify::request::source_rule::Source;

/// Checks a token for `site`. A script sends a token on purpose, so no page can make a browser send it. But a page that sends one
/// states its origin, and pages of other origins are refused.
///
/// # Errors
/// The answer to give.
pub(in crate::verify) async fn admit(
    app: &AppState,
    bearer: &Bearer,
    (domain, site): (&Domain, &Site),
    token: &str,
    headers: &HeaderMap,
) -> Result<(Allow, Accepted), Response> {
    let source = Source::of(headers).map_err(|error| Failure::from(error).answer())?;
    if !source.is_unnamed_or_from(|| domain.origin_of(site)) {
        return Err(wrong_source());
    }
    let audience = domain.auth_origin();
    let caller = Caller::Address(app.throttle.client(headers));
    let pay = || {
        let counted = app.throttle.take(caller, Endpoint::Token);
        counted.inspect_err(|_| app.metrics.rate_limited(Endpoint::Token.label(), caller.label()))
    };
    let judged = bearer.judge(token, &audience, Purpose::Request, pay).await;
    let accepted = judged.map_err(|unfit| {
        record(app, &unfit);
        unfit.answer(domain, bearer.audiences())
    })?;
    let session = &accepted.session;
    let decided = app.decide(site, None, session).await;
    let allow = decided.map_err(|refusal| refuse(refusal, domain, site))?;
    app.audit.allowed(session, allow.target(), allow.rule());
    Ok((allow, accepted))
}

/// Adds to the answer for an unauthenticated request whether tokens are accepted. Every such answer is alike, because the proxy
/// forwards no token where tokens are not accepted.
pub(in crate::verify) fn challenged(app: &AppState, domain: &Domain, mut response: Response) -> Response {
    if app.bearer.is_some() {
        challenge(&mut response, &domain.auth_origin(), None);
    } else {
        pages::without_tokens(&mut response);
    }
    response
}

fn record(app: &AppState, unfit: &Unfit) {
    match unfit {
        Unfit::Refused(Refused::NotAdmitted {
            user,
            issuer,
            outside,
        }) => app.audit.not_admitted(user, issuer, outside.reason()),
        Unfit::Refused(refused) => app.audit.token_refused(refused.label()),
        Unfit::TooOften(_) | Unfit::Unavailable => {}
    }
}
