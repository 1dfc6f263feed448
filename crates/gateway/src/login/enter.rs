//! browser that requests a workspace -> one-time code for its host, after a login if needed (IO).

use axum::extract::State;
use axum::response::Response;
use http::header::HeaderMap;
use http::{StatusCode, Uri};

use crate::index::Domain;
use crate::login::App;
use crate::login::authorize::{self, LoginOptions};
use crate::login::home;
use crate::pages;
use crate::tokens::{CODE_LIFE, Code, Enter, RandomId, Token as _};
use crate::verify::answers::{Failure, redirect};
use crate::verify::request::parameter;

/// Answers `GET https://auth.<base>/enter?t=…`.
pub(super) async fn enter(State(app): App, uri: Uri, headers: HeaderMap) -> Result<Response, Failure> {
    let domain = app.domain()?;
    let sealed = parameter(&uri, "t")?.unwrap_or_default();
    let Some(enter) = Enter::open_even_expired(&app.keys, &sealed).filter(|enter| is_ours(&domain, enter))
    else {
        return Ok(unknown_link(&domain));
    };
    if enter.expires <= app.clock.now() {
        // An old link of the gateway: the workspace's host makes a new one.
        return Ok(redirect(StatusCode::FOUND, &address(&domain, &enter)));
    }
    let login_options = LoginOptions::of(&uri)?;
    let session = match app.signed_in(&domain, &headers).await? {
        Some(session) if !login_options.is_for_another() && !enter.again => session,
        _ => return authorize::begin(&app, &domain, &headers, (enter, &sealed), &login_options),
    };
    if enter.site == home::site(&domain) {
        return Ok(redirect(StatusCode::FOUND, &address(&domain, &enter)));
    }
    let admitted = match app.decide_at(&enter.site, None, &session).await {
        Ok(admitted) => admitted,
        Err(refusal) => {
            return home::refuse(&app, &domain, (refusal, &session), &headers, &sealed);
        }
    };
    let now = app.clock.now();
    let callback = format!("{}/_workspace/callback", domain.address(&enter.site));
    let code = Code {
        id: RandomId::new()?,
        session: session.id,
        uid: admitted.uid().to_owned(),
        enter: Enter {
            expires: now + CODE_LIFE,
            ..enter
        },
    };
    let code = code.seal(&app.keys, now)?;
    Ok(redirect(StatusCode::FOUND, &format!("{callback}?code={code}")))
}

/// Whether the link leads to a site of the present domain, to its portal, or to the first page of its auth host. The base domain may
/// have changed.
pub(super) fn is_ours(domain: &Domain, enter: &Enter) -> bool {
    domain.has(&enter.site) || domain.is_portal(&enter.site) || enter.site == home::site(domain)
}

/// The workspace's address that the link leads back to.
pub(super) fn address(domain: &Domain, enter: &Enter) -> String {
    format!("{}{}", domain.address(&enter.site), enter.target)
}

/// The gateway did not make the link, or its key no longer exists.
pub(super) fn unknown_link(domain: &Domain) -> Response {
    pages::message_with_link(
        StatusCode::BAD_REQUEST,
        "This link is not valid",
        "It is incomplete or too old. Open your workspace's address again, or choose it from the list.",
        format!("{}/", domain.auth_origin()),
        "Go to your workspaces",
    )
}
