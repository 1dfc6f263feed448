//! a ticket -> the person and workspace that it admits, or why not (IO only for sessions that are new to this replica).
//!
//! What `/verify`, the relay and the auth host share.

use std::sync::{Arc, OnceLock};

use axum::response::Response;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY};
use http::{StatusCode, Uri};

use crate::clock::Clock;
use crate::cookies::{self, Duplicate, StripList};
use crate::decision::{Allow, decide};
use crate::doorkeeper::Doorkeeper;
use crate::identity::Mapping;
use crate::index::{Domain, Index, Target};
use crate::pages;
use crate::provider::Provider;
use crate::seal::{KeyRing, Purpose};
use crate::sessions::{Session, Sessions, Unavailable};
use crate::source_rule::{Malformed, Source};
use crate::tokens::{RandomId, SessionCookie, Ticket, Token as _};

/// Everything that an answer is made from.
pub struct Gate {
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

/// Why a ticket does not admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not a ticket for this workspace, has ended, or its session has: signing in helps.
    NotSignedIn,
    /// The person may not connect.
    Denied,
    /// The API server could not be asked about the session.
    Unavailable,
}

impl Gate {
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

/// What admitted a websocket.
#[derive(Debug)]
pub struct Grant {
    host: String,
    uid: String,
    session: RandomId,
}

impl Doorkeeper for Gate {
    type Grant = Grant;

    async fn verify(&self, headers: &HeaderMap) -> Response {
        crate::verify::verify(self, headers).await
    }

    async fn admit(&self, host: &str, headers: &HeaderMap) -> Result<(Arc<Target>, Grant), Response> {
        let domain = self.domain().map_err(Failure::answer)?;
        let source = Source::of(headers).map_err(|error| Failure::from(error).answer())?;
        let ticket =
            cookies::find(headers, cookies::TICKET).map_err(|error| Failure::from(error).answer())?;
        let Some(ticket) = ticket else {
            return Err(sign_in_elsewhere(&domain, host));
        };
        if !source.is_from(&domain.origin(host)) {
            return Err(wrong_source());
        }
        match Self::admit(self, host, ticket).await {
            Ok(admission) => {
                let target = admission.allow.target().clone();
                let grant = Grant {
                    host: host.to_owned(),
                    uid: target.uid.clone(),
                    session: admission.allow.session().id,
                };
                Ok((target, grant))
            }
            Err(refusal) => Err(refuse(refusal, &domain, host)),
        }
    }

    fn holds(&self, grant: &Grant) -> bool {
        self.sessions
            .peek(grant.session)
            .and_then(|session| decide(&self.index.load(), &grant.host, &session).ok())
            .is_some_and(|allow| allow.target().uid == grant.uid)
    }
}

/// A refusal for scripts.
pub fn refuse(refusal: Refusal, domain: &Domain, host: &str) -> Response {
    match refusal {
        Refusal::NotSignedIn => sign_in_elsewhere(domain, host),
        Refusal::Denied => pages::problem(
            StatusCode::FORBIDDEN,
            "NoAccess",
            "There is no such workspace, or you may not open it.",
        ),
        Refusal::Unavailable => Failure::Unavailable.answer(),
    }
}

/// Tells a script where a person can sign in. Scripts are never redirected.
pub fn sign_in_elsewhere(domain: &Domain, host: &str) -> Response {
    let body = serde_json::json!({
        "error": "SignInRequired",
        "message": "Sign in by opening loginUrl in a browser tab, then try again.",
        "loginUrl": format!("{}/", domain.origin(host)),
    });
    pages::json(StatusCode::UNAUTHORIZED, &body)
}

/// The request comes from a page of another origin, which must not act with this person's ticket.
pub fn wrong_source() -> Response {
    pages::problem(
        StatusCode::FORBIDDEN,
        "CrossOrigin",
        "The request comes from a page of another origin.",
    )
}

/// A redirect to `location`, which is absolute and of our own making.
pub fn redirect(status: StatusCode, location: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        return Failure::BadRequest.answer();
    };
    let mut response = empty(status);
    response.headers_mut().insert(LOCATION, location);
    response
}

/// An answer without body that nothing stores and that tells no other site where it came from.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// The value of a query parameter; `None` if it is absent.
///
/// # Errors
/// It came more than once.
pub fn parameter(uri: &Uri, name: &str) -> Result<Option<String>, Failure> {
    one_of(
        form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()),
        name,
    )
}

/// The value of the one pair called `name`.
///
/// # Errors
/// It came more than once.
pub fn one_of(pairs: form_urlencoded::Parse<'_>, name: &str) -> Result<Option<String>, Failure> {
    let mut values = pairs
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned());
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Failure::BadRequest),
    }
}

/// Whether the Accept header asks for a page.
pub fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(HeaderName::from_static("accept"))
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/html"))
}

/// Why a request got no decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It is not one that a browser behind our proxy sends.
    BadRequest,
    /// It asks for a host that is not ours.
    Misdirected,
    /// Something that is needed for the answer is missing at the moment.
    Unavailable,
}

impl Failure {
    /// The answer to give.
    pub fn answer(self) -> Response {
        match self {
            Self::BadRequest => pages::message(
                StatusCode::BAD_REQUEST,
                "Bad request",
                "The request cannot be read. Open your workspace again; if that does not help, remove this site's cookies.",
            ),
            Self::Misdirected => pages::message(
                StatusCode::MISDIRECTED_REQUEST,
                "Unknown address",
                "This host belongs to no workspace.",
            ),
            Self::Unavailable => pages::unavailable(),
        }
    }
}

impl From<Duplicate> for Failure {
    fn from(_: Duplicate) -> Self {
        Self::BadRequest
    }
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Self::BadRequest
    }
}

impl From<Unavailable> for Failure {
    fn from(error: Unavailable) -> Self {
        tracing::warn!(%error, "no decision without sessions");
        Self::Unavailable
    }
}

impl From<crate::seal::SealError> for Failure {
    fn from(error: crate::seal::SealError) -> Self {
        tracing::error!(%error, "nothing can be sealed");
        Self::Unavailable
    }
}

impl From<crate::secret::NoRandomness> for Failure {
    fn from(error: crate::secret::NoRandomness) -> Self {
        tracing::error!(%error, "nothing can be issued");
        Self::Unavailable
    }
}
