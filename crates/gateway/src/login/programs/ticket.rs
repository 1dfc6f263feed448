//! token of a program, host of a workspace -> ticket for that workspace (IO for unknown rights).

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::header::HeaderMap;
use serde::Deserialize;
use serde_json::json;

use super::{answer, bad_body, rfc3339, session_of, sign_in_required};
use crate::index::{Destination, Domain};
use crate::login::App;
use crate::pages::Failure;
use crate::site::Site;
use crate::tokens::Ticket;
use crate::verify::answers::{Refusal, refuse};

#[derive(Deserialize)]
struct Wanted {
    /// `host[:port]`, and in mode Path the folder.
    host: String,
}

/// Answers `POST https://auth.<base>/programs/ticket`, after the same decision as for a browser. The ticket admits to nothing by
/// itself: each request with it is decided again.
pub(super) async fn issue(State(app): App, headers: HeaderMap, body: Bytes) -> Result<Response, Failure> {
    let domain = app.domain()?;
    let Some(session) = session_of(&app, &domain, &headers).await? else {
        return Ok(sign_in_required());
    };
    let Ok(Wanted { host }) = serde_json::from_slice(&body) else {
        return Ok(bad_body(r#"{"host": "lab-0123456789.workspaces.example.org"}"#));
    };
    let Some(site) = site(&domain, &host) else {
        let elsewhere = Site::from(domain.auth_host());
        return Ok(refuse(Refusal::Denied, &domain, &elsewhere));
    };
    let allow = match app.check_workspace_access(&site, None, &session).await {
        Ok(allow) => allow,
        Err(refusal) => return Ok(refuse(refusal, &domain, &site)),
    };
    if !app.may_issue() {
        return Err(Failure::Unavailable);
    }
    let now = app.clock.now();
    let expires = (now + app.sessions.limits().ticket).min(session.end);
    let ticket = Ticket {
        session: session.id,
        uid: &allow.target().uid,
        site: site.as_str(),
        browser: None,
        issued: now,
        expires,
    };
    Ok(answer(json!({
        "ticket": ticket.seal_for_program(&app.keys, now)?,
        "expiresAt": rfc3339(expires),
        "ssh": app.ssh(),
    })))
}

/// The site of a workspace, if the text can be the address of one.
fn site(domain: &Domain, host: &str) -> Option<Site> {
    let (authority, path) = host.split_at(host.find('/').unwrap_or(host.len()));
    match domain.destination(authority, if path.is_empty() { "/" } else { path }) {
        Destination::Workspace(site) | Destination::Folder(site) => Some(site),
        _ => None,
    }
}
