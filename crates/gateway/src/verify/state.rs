//! a ticket -> the person and workspace that it admits, or why not (IO only for sessions that are new to this replica).
//!
//! What `/verify`, the relay and the auth host share.

use std::sync::{Arc, OnceLock};

use http::header::HeaderMap;

use super::decision::{Allow, decide};
use crate::answers::{Failure, Refusal};
use crate::clock::Clock;
use crate::crypto::seal::{KeyRing, Purpose};
use crate::crypto::tokens::{RandomId, SessionCookie, Ticket, Token as _};
use crate::index::{Domain, Index};
use crate::oidc::Provider;
use crate::oidc::claims::Mapping;
use crate::request::cookies::{self, StripList};
use crate::session::{Session, Sessions};

/// Everything that an answer is made from.
pub struct AppState {
    /// Workspaces by host.
    pub index: Arc<Index>,
    /// Who is signed in.
    pub sessions: Arc<Sessions>,
    /// Sealing keys.
    pub keys: Arc<KeyRing>,
    /// The identity provider, once it was discovered.
    pub provider: OnceLock<Provider>,
    /// How its claims become Kubernetes names.
    pub mapping: Mapping,
    /// Cookies that never reach a pod.
    pub strip: StripList,
    /// Starts workspaces.
    pub client: kube::Client,
    /// Time.
    pub clock: Clock,
}

/// A ticket that admits.
#[derive(Debug)]
pub struct Admission {
    /// Whom to what.
    pub allow: Allow,
    /// End of the ticket, Unix seconds.
    pub expires: i64,
}

impl AppState {
    /// Judges a ticket for `host` (lower case, without port).
    ///
    /// # Errors
    /// It does not admit.
    pub async fn admit(&self, host: &str, ticket: &str) -> Result<Admission, Refusal> {
        let now = self.clock.now();
        let opened = self
            .keys
            .open_bytes(Purpose::Ticket, "", ticket)
            .ok_or(Refusal::NotSignedIn)?;
        let ticket = Ticket::read(&opened, host, now).ok_or(Refusal::NotSignedIn)?;
        let session = match self.sessions.peek(ticket.session) {
            Some(session) => session,
            None => self.find(ticket.session).await?,
        };
        let allow = decide(&self.index.load(), host, &session).map_err(|_| Refusal::Denied)?;
        if allow.target().uid != ticket.uid {
            return Err(Refusal::NotSignedIn);
        }
        Ok(Admission {
            allow,
            expires: ticket.expires,
        })
    }

    async fn find(&self, id: RandomId) -> Result<Arc<Session>, Refusal> {
        match self.sessions.find(id).await {
            Ok(found) => found.ok_or(Refusal::NotSignedIn),
            Err(error) => {
                tracing::warn!(%error, "a session could not be looked up");
                Err(Refusal::Unavailable)
            }
        }
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
        let Some(cookie) = cookies::find(headers, cookies::SESSION)? else {
            return Ok(None);
        };
        let cookie = SessionCookie::open(&self.keys, cookie, self.clock.now());
        match cookie.filter(|cookie| cookie.host == domain.auth_host()) {
            Some(cookie) => Ok(self.sessions.find(cookie.session).await?),
            None => Ok(None),
        }
    }

    /// The domain served.
    ///
    /// # Errors
    /// None is known yet.
    pub fn domain(&self) -> Result<Arc<Domain>, Failure> {
        self.index.load().domain().cloned().ok_or(Failure::Unavailable)
    }

    /// The identity provider.
    ///
    /// # Errors
    /// It was not discovered yet.
    pub fn provider(&self) -> Result<&Provider, Failure> {
        self.provider.get().ok_or(Failure::Unavailable)
    }
}
