//! ticket -> user and workspace, or a refusal (IO for unknown sessions and rights).
//!
//! `/verify`, the relay and the auth host share this state.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue};

use api::manager::Ssh;
use api::names::{self, PORTAL_AUDIENCE};
use kit::assertion_signer::Claims;
use rules::access::{Denied, Right};

use super::bearer::Bearer;
use super::decision::{Admitted, Allow, NotAllowed, PortalAllow, decide, decide_portal};
use super::pre_cookie;
use super::rights::Rights;
use crate::audit::{Audit, By};
use crate::clock::Clock;
use crate::index::freshness::{Age, Freshness};
use crate::index::{Domain, Index, Target};
use crate::metrics::Metrics;
use crate::oidc::Providers;
use crate::pages::Failure;
use crate::server::throttle::Throttle;
use crate::session::{Credential, Session, Sessions};
use crate::site::Site;
use crate::tokens::assertion::Assertions;
use crate::tokens::cookies::{self, StripList};
use crate::tokens::seal::{KeyRing, Purpose};
use crate::tokens::{RandomId, SessionCookie, Ticket, Token as _};
use crate::verify::answers::Refusal;
use crate::verify::request::source_rule::Source;

/// Audit rule of a denial: no workspace exists there.
const NO_WORKSPACE: &str = "no_workspace";
/// Audit rule of a denial: the index is too old.
const STALE: &str = "stale";
/// Audit rule of a denial: the manager allows no ssh.
const NO_SSH: &str = "ssh_disabled";

/// Everything that an answer needs.
#[derive(Clone)]
pub struct AppState {
    /// Workspaces by site.
    pub index: Arc<Index>,
    /// What the cluster's roles allow users to do.
    pub rights: Rights,
    /// How old the index is and may be.
    pub freshness: Arc<Freshness>,
    /// Records who was admitted and who was refused.
    pub audit: Audit,
    /// Counts decisions.
    pub metrics: Metrics,
    /// Rate limits.
    pub throttle: Arc<Throttle>,
    /// The sessions of signed-in users.
    pub sessions: Arc<Sessions>,
    /// Checks tokens; `None` when tokens are not accepted.
    pub bearer: Option<Bearer>,
    /// Sealing keys.
    pub keys: Arc<KeyRing>,
    /// The identity providers; each becomes available after its discovery.
    pub providers: Arc<Providers>,
    /// Attests the user to workspaces' applications.
    pub assertions: Arc<Assertions>,
    /// Cookies that never reach a pod.
    pub strip: StripList,
    /// Starts workspaces.
    pub client: kube::Client,
    /// Current time.
    pub clock: Clock,
}

/// A valid ticket.
#[derive(Debug)]
pub struct AdmittedTicket {
    /// What the user may use.
    pub admitted: Admitted,
    /// Fingerprint of the browser that the ticket was issued for, where the site needs one.
    pub browser: Option<String>,
    /// Expiry of the ticket, Unix seconds.
    pub expires: i64,
}

impl AppState {
    /// The ticket in `opened`, if it is for `site`, of this browser and not expired.
    fn valid_ticket<'a>(&self, opened: &'a [u8], site: &Site, headers: &HeaderMap) -> Option<Ticket<'a>> {
        let ticket = Ticket::read(opened, site.as_str(), self.clock.now())?;
        is_of_browser(&ticket, site, headers).then_some(ticket)
    }

    /// Checks a browser's ticket for `site`. `headers`: the headers of the same request, which identify the browser. `by`: what asks
    /// for the workspace, if no page of it.
    ///
    /// # Errors
    /// The ticket does not admit.
    pub async fn admit(
        &self,
        (site, by): (&Site, Option<By>),
        ticket: &str,
        headers: &HeaderMap,
    ) -> Result<AdmittedTicket, Refusal> {
        let opened = self
            .keys
            .open_bytes(Purpose::Ticket, "", ticket)
            .ok_or(Refusal::NotSignedIn)?;
        let ticket = self
            .valid_ticket(&opened, site, headers)
            .ok_or(Refusal::NotSignedIn)?;
        let session = self.session_of(&ticket).await?;
        let admitted = self.check_access(site, Some(ticket.uid), &session).await?;
        if let Admitted::Workspace(allow) = &admitted {
            self.let_in(allow, by)?;
        }
        Ok(AdmittedTicket {
            admitted,
            browser: ticket.browser.map(str::to_owned),
            expires: ticket.expires,
        })
    }

    /// As [`AppState::admit`], for the ticket in the request's cookie; `None` if there is none. `method`: of the request.
    ///
    /// # Errors
    /// A page of another origin sent the request, its headers are malformed, or the ticket does not admit.
    pub(crate) async fn admit_cookie(
        &self,
        domain: &Domain,
        site: &Site,
        method: &str,
        headers: &HeaderMap,
    ) -> Result<Option<AdmittedTicket>, Refusal> {
        let Some(ticket) = cookies::find(headers, site.ticket()).map_err(Failure::from)? else {
            return Ok(None);
        };
        let source = Source::from_headers(headers).map_err(Failure::from)?;
        if !source.may_use_cookie(method, || domain.origin_of(site)) {
            return Err(Failure::CrossOrigin.into());
        }
        self.admit((site, None), ticket, headers).await.map(Some)
    }

    /// Checks a program's ticket for `site`.
    ///
    /// # Errors
    /// As [`AppState::admit`].
    pub(super) async fn admit_program(
        &self,
        (site, by): (&Site, By),
        ticket: &str,
    ) -> Result<Allow, Refusal> {
        let opened = self
            .keys
            .open_bytes(Purpose::ProgramTicket, "", ticket)
            .ok_or(Refusal::NotSignedIn)?;
        let ticket = Ticket::read(&opened, site.as_str(), self.clock.now()).ok_or(Refusal::NotSignedIn)?;
        let session = self.session_of(&ticket).await?;
        let allow = self
            .check_workspace_access(site, Some(ticket.uid), &session)
            .await?;
        self.let_in(&allow, Some(by))?;
        Ok(allow)
    }

    async fn session_of(&self, ticket: &Ticket<'_>) -> Result<Arc<Session>, Refusal> {
        if let Some(session) = self.sessions.peek(ticket.session) {
            return Ok(session);
        }
        // This future is large and rarely needed. Boxing keeps it out of the common path.
        let found = Box::pin(self.sessions.find(ticket.session)).await;
        found.map_err(Failure::from)?.ok_or(Refusal::NotSignedIn)
    }

    /// The last step before a user gets a page or a socket: records it, unless the manager forbids this means. It is not recorded
    /// during the sign-in: only now does the user receive something.
    ///
    /// # Errors
    /// The user comes by ssh, and the manager allows none.
    pub(super) fn let_in(&self, allow: &Allow, by: Option<By>) -> Result<(), Refusal> {
        if by == Some(By::Ssh) && self.ssh() == Ssh::Disabled {
            self.metrics.count_denied(NO_SSH);
            let (site, target) = (&allow.target().site, Some(&**allow.target()));
            self.audit
                .record_denial(allow.session(), site.as_str(), target, NO_SSH);
            return Err(Refusal::NoSsh);
        }
        self.audit
            .record_visit(allow.session(), allow.target(), allow.rule(), by);
        Ok(())
    }

    /// Whether the manager allows ssh.
    pub(crate) fn ssh(&self) -> Ssh {
        self.index.load().policy().ssh
    }

    /// Whether the user of `session` may use what is at `site`: the portal, or a workspace. `uid`: what a ticket or code names.
    ///
    /// # Errors
    /// The user may not, or the right is unknown. [`Refusal::NotSignedIn`] when something else is there now.
    pub(crate) async fn check_access(
        &self,
        site: &Site,
        uid: Option<&str>,
        session: &Arc<Session>,
    ) -> Result<Admitted, Refusal> {
        if self.freshness.age() >= Age::Stale {
            self.metrics.count_denied(STALE);
            return Err(Failure::Unavailable.into());
        }
        let is_portal = |domain: &Arc<Domain>| domain.is_portal(site);
        if self.index.load().domain().is_some_and(is_portal) {
            let allow = decide_portal(&self.index.load(), site, uid, session)
                .map_err(|no| self.refusal(&no, site, session))?;
            self.metrics.count_allowed("portal");
            return Ok(Admitted::Portal(allow));
        }
        let known = |target: &Arc<Target>| self.rights.known(session, target);
        let mut decided = decide(&self.index.load(), site, uid, session, self.clock.now(), known);
        if let Err(NotAllowed::RightUnknown(target)) = decided {
            let answer = Box::pin(self.rights.ask(session, &target)).await;
            // The host may lead to another workspace by now. The answer is not about that one.
            let asked = |now: &Arc<Target>| {
                if now.uid == target.uid {
                    answer
                } else {
                    Right::Unanswered
                }
            };
            decided = decide(&self.index.load(), site, uid, session, self.clock.now(), asked);
        }
        let allow = decided.map_err(|no| self.refusal(&no, site, session))?;
        self.metrics.count_allowed(allow.rule().reason());
        Ok(Admitted::Workspace(allow))
    }

    /// As [`AppState::check_access`], for what only a workspace has.
    ///
    /// # Errors
    /// As there. At the portal there is no workspace.
    pub(crate) async fn check_workspace_access(
        &self,
        site: &Site,
        uid: Option<&str>,
        session: &Arc<Session>,
    ) -> Result<Allow, Refusal> {
        match self.check_access(site, uid, session).await? {
            Admitted::Workspace(allow) => Ok(allow),
            Admitted::Portal(_) => Err(self.refusal(&NotAllowed::NoWorkspace, site, session)),
        }
    }

    /// Records that a signed-in user was refused by `rule`.
    pub(super) fn record_refusal(&self, session: &Session, site: &Site, rule: &'static str) {
        self.metrics.count_denied(rule);
        self.audit.record_denial(session, site.as_str(), None, rule);
    }

    fn refusal(&self, no: &NotAllowed, site: &Site, session: &Session) -> Refusal {
        let (target, rule) = match no {
            NotAllowed::OtherWorkspace => return Refusal::NotSignedIn,
            NotAllowed::Denied(_, Denied::Unanswered) | NotAllowed::RightUnknown(_) => {
                self.metrics.count_denied(Denied::Unanswered.reason());
                return Failure::Unavailable.into();
            }
            NotAllowed::NoWorkspace => (None, NO_WORKSPACE),
            NotAllowed::Denied(target, why) => (Some(&**target), why.reason()),
        };
        self.metrics.count_denied(rule);
        self.audit.record_denial(session, site.as_str(), target, rule);
        Refusal::Denied
    }

    /// The header that attests the user to a workspace's application. `is_program`: the request has a program's ticket.
    ///
    /// # Errors
    /// No key is active. Without the assertion nothing may pass.
    pub(super) fn attest(
        &self,
        target: &Target,
        session: &Session,
        is_program: bool,
    ) -> Result<HeaderValue, Failure> {
        self.sign(&Claims {
            bearer: is_program || session.credential != Credential::Login,
            owner: target.is_owned_by(&session.identity.user_name),
            ..self.claims(&target.uid, session)
        })
    }

    /// The header that attests the user and the user's groups to the portal.
    ///
    /// # Errors
    /// As [`AppState::attest`].
    pub(super) fn attest_to_portal(&self, allow: &PortalAllow) -> Result<HeaderValue, Failure> {
        let session = allow.session();
        self.sign(&Claims {
            groups: Some(&session.identity.groups),
            ..self.claims(PORTAL_AUDIENCE, session)
        })
    }

    fn claims<'a>(&self, audience: &'a str, session: &'a Session) -> Claims<'a> {
        let user = &session.identity.user_name;
        Claims {
            session_end: Some(session.end),
            ..Claims::new(names::GATEWAY, audience, user, self.clock.now())
        }
    }

    fn sign(&self, claims: &Claims<'_>) -> Result<HeaderValue, Failure> {
        self.assertions.sign(claims).map_err(|error| {
            tracing::error!(%error, "no assertion can be signed");
            Failure::Unavailable
        })
    }

    /// Whether tickets may be issued: not while the index may be out of date.
    pub(crate) fn may_issue(&self) -> bool {
        self.freshness.age() < Age::Late
    }

    /// The session of a browser on the auth host.
    ///
    /// # Errors
    /// The cookie came twice, or the API server could not be asked.
    pub async fn signed_in(
        &self,
        domain: &Domain,
        headers: &HeaderMap,
    ) -> Result<Option<Arc<Session>>, Failure> {
        match self.session_cookie(domain, headers)? {
            Some(cookie) => Ok(self.sessions.find(cookie.session).await?),
            None => Ok(None),
        }
    }

    /// The session cookie of a browser on the auth host, whether its session still exists or not.
    ///
    /// # Errors
    /// The cookie came twice.
    pub(crate) fn session_cookie(
        &self,
        domain: &Domain,
        headers: &HeaderMap,
    ) -> Result<Option<SessionCookie>, cookies::Malformed> {
        let cookie = cookies::find(headers, cookies::SESSION)?;
        let cookie = cookie.and_then(|cookie| SessionCookie::open(&self.keys, cookie, self.clock.now()));
        Ok(cookie.filter(|cookie| cookie.host == domain.auth_host()))
    }

    /// The session that a browser's valid ticket for `site` names, whether it still exists or not.
    ///
    /// # Errors
    /// The cookie came twice.
    pub(crate) fn ticket_session(
        &self,
        site: &Site,
        headers: &HeaderMap,
    ) -> Result<Option<RandomId>, cookies::Malformed> {
        let Some(sealed) = cookies::find(headers, site.ticket())? else {
            return Ok(None);
        };
        let Some(opened) = self.keys.open_bytes(Purpose::Ticket, "", sealed) else {
            return Ok(None);
        };
        let ticket = self.valid_ticket(&opened, site, headers);
        Ok(ticket.map(|ticket| ticket.session))
    }

    /// The domain served.
    ///
    /// # Errors
    /// None is known yet.
    pub fn domain(&self) -> Result<Arc<Domain>, Failure> {
        self.index.load().domain().cloned().ok_or(Failure::Unavailable)
    }
}

/// Whether the ticket came with the browser cookie that it names, at sites where another user could plant a ticket.
fn is_of_browser(ticket: &Ticket<'_>, site: &Site, headers: &HeaderMap) -> bool {
    if !site.ticket_needs_browser() {
        return true;
    }
    ticket
        .browser
        .is_some_and(|browser| pre_cookie::is_of_browser(headers, site, browser) == Ok(true))
}
