//! websocket handshake -> what admits its user, and whether that still holds (IO).

use std::sync::Arc;

use api::manager::Ssh;
use axum::response::Response;
use http::{HeaderMap, HeaderValue};

use super::admit::AppState;
use super::bearer::{self, SocketToken};
use super::decision::{Admitted, Allow, decide};
use super::scripts::{admit_program, admit_token, program_ticket, with_challenge};
use crate::audit::By;
use crate::index::Target;
use crate::index::freshness::Age;
use crate::pages::Failure;
use crate::session::Session;
use crate::site::Site;
use crate::tokens::cookies;
use crate::verify::answers::{Refusal, refuse, sign_in_elsewhere};
use crate::verify::request::forwarded::is_ssh;
use crate::verify::request::source_rule::Source;

/// What admitted a websocket.
#[derive(Debug)]
pub struct Grant {
    site: Site,
    uid: String,
    session: Arc<Session>,
    /// The token that admitted it, if no ticket did.
    token: Option<SocketToken>,
    /// By what the user came, if not by a page of the workspace.
    by: Option<By>,
    /// Whether a program's ticket admitted it.
    is_program: bool,
}

impl AppState {
    /// Decides about a websocket handshake at `site` as `/verify` would. It requires a ticket, the right to connect, and an
    /// `Origin` that equals the site's. A token or a program's ticket may replace the ticket; then the origin may be absent. An
    /// unknown site gets the answer for a missing ticket. `path`: of the request, within the site.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub async fn admit_socket(
        &self,
        site: &Site,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(Arc<Target>, Grant), Response> {
        let by = is_ssh(path).then_some(By::Ssh);
        let entered = self.enter(site, by, headers);
        let client = || self.throttle.client(headers);
        let (allow, grant) = self.audit.about(client, entered).await?;
        Ok((allow.target().clone(), grant))
    }

    /// The header that names the socket's user to the workspace's application.
    ///
    /// # Errors
    /// No key is active. Without the assertion nothing may pass.
    pub fn attest_socket(&self, target: &Target, grant: &Grant) -> Result<HeaderValue, Failure> {
        self.attest(target, &grant.session, grant.is_program)
    }

    /// By ticket from the site's own pages, or by token when there is no ticket.
    async fn enter(
        &self,
        site: &Site,
        by: Option<By>,
        headers: &HeaderMap,
    ) -> Result<(Allow, Grant), Response> {
        let domain = self.domain()?;
        let source = Source::from_headers(headers).map_err(Failure::from)?;
        let ticket = cookies::find(headers, site.ticket()).map_err(Failure::from)?;
        let token = match &self.bearer {
            Some(bearer) => bearer::from_headers(headers)
                .map_err(Failure::from)?
                .map(|token| (bearer, token)),
            None => None,
        };
        let Some(ticket) = ticket else {
            if let Some(ticket) = program_ticket(&source, headers).map_err(Failure::from)? {
                let allow = admit_program(self, (&domain, site, by), ticket, headers).await?;
                let grant = Grant {
                    is_program: true,
                    ..Grant::new(&allow, by, None)
                };
                return Ok((allow, grant));
            }
            let Some((bearer, token)) = token else {
                return Err(with_challenge(self, &domain, sign_in_elsewhere(&domain, site)));
            };
            let admitted = admit_token(self, bearer, (&domain, site, by), token, headers);
            let (allow, accepted) = Box::pin(admitted).await?;
            let held = SocketToken::new(bearer.clone(), token, domain.auth_origin(), accepted);
            let grant = Grant::new(&allow, by, Some(held));
            return Ok((allow, grant));
        };
        if !source.is_from(&domain.origin_of(site)) {
            return Err(Failure::CrossOrigin.into());
        }
        match self.admit((site, by), ticket, headers).await {
            Ok(admission) => match admission.admitted {
                Admitted::Workspace(allow) => {
                    let grant = Grant::new(&allow, by, None);
                    Ok((allow, grant))
                }
                Admitted::Portal(_) => Err(refuse(Refusal::Denied, &domain, site)),
            },
            Err(refusal @ Refusal::NotSignedIn) => {
                Err(with_challenge(self, &domain, refuse(refusal, &domain, site)))
            }
            Err(refusal) => Err(refuse(refusal, &domain, site)),
        }
    }

    /// Whether the grant is still valid. Reads memory only.
    pub fn is_valid(&self, grant: &Grant) -> bool {
        if grant.by == Some(By::Ssh) && self.ssh() == Ssh::Disabled {
            return false;
        }
        let grace = self.freshness.grace();
        let session = match &grant.token {
            Some(held) => held.session(grace),
            None => self.sessions.peek(grant.session.id),
        };
        let Some(session) = session.filter(|_| self.freshness.age() < Age::Lost) else {
            return false;
        };
        let held = |target: &Arc<Target>| self.rights.held(&session, target, grace);
        let (uid, now) = (Some(grant.uid.as_str()), self.clock.now());
        decide(&self.index.load(), &grant.site, uid, &session, now, held).is_ok()
    }
}

impl Grant {
    /// The name in Kubernetes of the user who opens the socket.
    pub(crate) fn user_name(&self) -> &str {
        &self.session.identity.user_name
    }

    fn new(allow: &Allow, by: Option<By>, token: Option<SocketToken>) -> Self {
        Self {
            site: allow.target().site.clone(),
            uid: allow.target().uid.clone(),
            session: allow.session().clone(),
            token,
            by,
            is_program: false,
        }
    }
}
