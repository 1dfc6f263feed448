//! request to a listener -> admitted or refused: trait and implementation (IO for unknown rights).
//!
//! It is a trait so that tests of the listeners need no cookies and keys.

use std::net::IpAddr;
use std::sync::Arc;

use api::manager::Ssh;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method};

use super::admit::AppState;
use super::admit_token::{admit_token, with_challenge};
use super::bearer::{self, SocketToken};
use super::decision::{Admitted, Allow};
use super::program;
use crate::audit::By;
use crate::index::Target;
use crate::pages::Failure;
use crate::session::Session;
use crate::site::Site;
use crate::tokens::cookies;
use crate::verify::answers::{Refusal, refuse, sign_in_elsewhere};
use crate::verify::request::forwarded::is_ssh;
use crate::verify::request::source_rule::Source;

/// Decides who may connect.
pub trait Authorizer: Send + Sync + 'static {
    /// What admitted a user to a websocket.
    type Grant: Send + Sync + 'static;

    /// The complete answer of `/verify` to the proxy's headers.
    fn verify(&self, headers: &HeaderMap) -> impl Future<Output = Response> + Send;

    /// Decides about a websocket handshake at `site` as `/verify` would. It requires a ticket, the right to connect, and an
    /// `Origin` that equals the site's. A token or a program's ticket may replace the ticket; then the origin may be absent. An
    /// unknown site gets the answer for a missing ticket. `path`: of the request, within the site.
    ///
    /// # Errors
    /// The refusal to answer with.
    fn admit(
        &self,
        site: &Site,
        path: &str,
        headers: &HeaderMap,
    ) -> impl Future<Output = Result<(Arc<Target>, Self::Grant), Response>> + Send;

    /// The header that names the socket's user to the workspace's application.
    ///
    /// # Errors
    /// The refusal to answer with: the gateway cannot attest a user.
    fn attest(&self, target: &Target, grant: &Self::Grant) -> Result<HeaderValue, Box<Response>>;

    /// Whose share of the workspace's places a socket takes.
    fn holder(&self, target: &Target, grant: &Self::Grant) -> Holder;

    /// The address of the client, as the proxy reports it.
    fn client(&self, headers: &HeaderMap) -> Option<IpAddr>;

    /// What the pages' listener shows at `site` when no route leads to the workspace. It shows the workspace's state to users whom
    /// a ticket admits, with the same checks as `/verify`. It also shows it to users whom this gateway has just attested: a
    /// proxy that asked `/verify` has removed their ticket. All others get the same page for every site.
    fn state(
        &self,
        site: &Site,
        method: &Method,
        headers: &HeaderMap,
    ) -> impl Future<Output = Response> + Send;

    /// Whether the grant is still valid. Reads memory only.
    fn is_valid(&self, grant: &Self::Grant) -> bool;
}

/// Who opens a websocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The user's name in Kubernetes.
    pub user: String,
    /// Whether the user owns the workspace.
    pub is_owner: bool,
}

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

impl Authorizer for AppState {
    type Grant = Grant;

    async fn verify(&self, headers: &HeaderMap) -> Response {
        self.about(headers, super::verify(self, headers)).await
    }

    async fn admit(
        &self,
        site: &Site,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(Arc<Target>, Grant), Response> {
        let by = is_ssh(path).then_some(By::Ssh);
        let entered = self.enter(site, by, headers);
        let (allow, grant) = self.about(headers, entered).await?;
        Ok((allow.target().clone(), grant))
    }

    fn attest(&self, target: &Target, grant: &Grant) -> Result<HeaderValue, Box<Response>> {
        Self::attest(self, target, &grant.session, grant.is_program)
            .map_err(|failure| Box::new(failure.answer()))
    }

    fn holder(&self, target: &Target, grant: &Grant) -> Holder {
        let user = grant.session.identity.user_name.clone();
        Holder {
            is_owner: target.is_owned_by(&user),
            user,
        }
    }

    fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        self.throttle.address(headers)
    }

    async fn state(&self, site: &Site, method: &Method, headers: &HeaderMap) -> Response {
        let page = super::state_page(self, site, method, headers);
        self.about(headers, page).await.unwrap_or_else(Failure::answer)
    }

    fn is_valid(&self, grant: &Grant) -> bool {
        self.stays(grant).is_some()
    }
}

impl AppState {
    /// Decides about a request for a websocket of `site`: by ticket from its own pages, or by token when there
    /// is no ticket.
    ///
    /// # Errors
    /// The refusal to answer with. An unknown site gets the answer for a missing ticket.
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
            if let Some(ticket) = program::ticket(&source, headers).map_err(Failure::from)? {
                let allow = program::admit(self, (&domain, site, by), ticket, headers).await?;
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

    /// The rule that still admits the user of `grant`, if one does. Reads memory only.
    fn stays(&self, grant: &Grant) -> Option<Allow> {
        if grant.by == Some(By::Ssh) && self.ssh() == Ssh::Disabled {
            return None;
        }
        let session = match &grant.token {
            Some(held) => held.session(self.freshness.grace()),
            None => self.sessions.peek(grant.session.id),
        };
        self.stay(&grant.site, &grant.uid, &session?)
    }
}

impl Grant {
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
