//! header Workspace-Ticket -> the workspace that its user may open, or the refusal (IO).

use axum::response::Response;
use http::HeaderMap;

use super::admit::AppState;
use super::admit_token::with_challenge;
use super::answers::{Refusal, refuse};
use super::decision::Allow;
use super::request::Malformed;
use super::request::pod_headers::TICKET;
use super::request::source_rule::{Source, single};
use crate::audit::By;
use crate::index::Domain;
use crate::pages::Failure;
use crate::site::Site;
use crate::tokens::cookies;

/// The program's ticket in a request that can come from no browser: one with a cookie of the gateway's, or of which a browser
/// reports something, has none.
///
/// # Errors
/// There are several.
pub(super) fn ticket<'a>(source: &Source<'_>, headers: &'a HeaderMap) -> Result<Option<&'a str>, Malformed> {
    let ticket = single(headers, &TICKET)?;
    Ok(ticket.filter(|_| !source.has_fetch_metadata() && !cookies::has_ours(headers)))
}

/// Checks a ticket for `site`. Programs name no origin, or that of the workspace.
///
/// # Errors
/// The answer to give.
pub(super) async fn admit(
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
