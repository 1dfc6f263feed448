//! session id -> its user, from objects that every replica watches (IO for unknown ids, at logins).
//!
//! - `content`: the sealed content of an object. `credential`: how a user authenticated.
//! - `view`: sessions known from the watch. `upkeep`: watches, and deletes ended sessions. `change`: writes.
//! - `renewal`: asks the provider whether the user is still valid. `ending`: sign-out.
//! - `settings`: how long a session lasts, and its bounds. `logins`: how many callbacks of the provider are handled at a time.

mod change;
pub(crate) mod content;
mod credential;
mod ending;
mod logins;
mod renewal;
mod settings;
mod upkeep;
mod view;

use std::sync::Arc;
use std::time::Duration;

use api::GatewaySession;
use kube::runtime::watcher;
use kube::{Api, ResourceExt as _};
use parking_lot::RwLock;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

pub use self::change::Spent;
pub use self::content::{CodeUser, Content, IdToken, id_of};
use self::content::{Lifetimes, object_name};
pub use self::credential::{Credential, Reviewed};
use self::ending::ProviderLogout;
pub use self::ending::{Ended, SessionSelector};
use self::logins::Logins;
use self::renewal::Renewal;
pub use self::settings::SessionLimits;
use self::view::{OpenSession, SessionState, Validity, View};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::oidc::Providers;
use crate::oidc::claims::Identity;
use crate::tokens::RandomId;
use crate::tokens::seal::KeyRing;

/// How long an answer of the API server replaces the watch, also about an unknown id. It is shorter than the time within which a
/// revocation takes effect.
const REMEMBER: Duration = Duration::from_millis(500);
/// Maximum number of cached answers.
const REMEMBERED: u64 = 10_000;
/// Maximum number of concurrent API requests; further ones are answered "unavailable".
const QUESTIONS: usize = 32;
/// Timeout of one request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A signed-in user and the end of the session.
#[derive(Debug, PartialEq, Eq)]
pub struct Session {
    /// Id of the session.
    pub id: RandomId,
    /// Kubernetes name and groups.
    pub identity: Identity,
    /// Absolute end, Unix seconds.
    pub end: i64,
    /// How the user authenticated.
    pub credential: Credential,
    /// The newest ID token, where the portal acts with it.
    pub id_token: Option<IdToken>,
}

/// The API server did not answer, or the identity provider did not for a session that was unused for long. Nothing is known, so
/// nothing is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sessions cannot be read or written at the moment: {0}")]
pub struct Unavailable(String);

/// All sessions, as watched.
pub struct Sessions {
    api: Api<GatewaySession>,
    keys: Arc<KeyRing>,
    clock: Clock,
    limits: Lifetimes,
    keeps_id_tokens: bool,
    view: RwLock<View>,
    asked: moka::future::Cache<RandomId, Option<Arc<SessionState>>>,
    questions: Semaphore,
    changes: watch::Sender<u64>,
    renewal: Renewal,
    handled: moka::future::Cache<String, ()>,
    recent_logouts: moka::future::Cache<String, Arc<ProviderLogout>>,
    on_logout: Option<Box<OnLogout>>,
    logins: Logins,
    metrics: Metrics,
}

/// Called for a session that ended before its expiry, with its id, the Kubernetes user name (empty if unknown) and a stable label
/// for the reason.
type OnLogout = dyn Fn(RandomId, &str, &'static str) + Send + Sync;

impl Sessions {
    /// An empty view. Until [`Sessions::watch`] runs, every lookup asks the API server. Sessions are not renewed; see
    /// [`Sessions::renewed_by`].
    pub fn new(api: Api<GatewaySession>, keys: Arc<KeyRing>, clock: Clock) -> Self {
        let asked = moka::future::Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_live(REMEMBER)
            .build();
        Self {
            api,
            keys,
            clock,
            limits: Lifetimes::default(),
            keeps_id_tokens: false,
            view: RwLock::default(),
            asked,
            questions: Semaphore::new(QUESTIONS),
            changes: watch::Sender::new(0),
            renewal: Renewal::default(),
            handled: ending::remembered(),
            recent_logouts: ending::remembered(),
            on_logout: None,
            logins: Logins::default(),
            metrics: Metrics::default(),
        }
    }

    /// The same with other limits.
    #[must_use]
    pub fn within(self, limits: Lifetimes) -> Self {
        Self { limits, ..self }
    }

    /// The same. With `true`, sessions have their newest ID token, which is renewed before it expires.
    #[must_use]
    pub fn keeping_id_tokens(self, keeps_id_tokens: bool) -> Self {
        Self {
            keeps_id_tokens,
            ..self
        }
    }

    /// The same, with renewal at the provider that confirmed the user, after its discovery. The caller runs [`Sessions::maintain`].
    #[must_use]
    pub fn renewed_by(mut self, providers: Arc<Providers>) -> Self {
        self.renewal.by(providers);
        self
    }

    /// The same. `on_logout` is called after every session that ends before its expiry.
    #[must_use]
    pub fn on_logout(self, on_logout: impl Fn(RandomId, &str, &'static str) + Send + Sync + 'static) -> Self {
        Self {
            on_logout: Some(Box::new(on_logout)),
            ..self
        }
    }

    /// The same, counted in `metrics`.
    #[must_use]
    pub fn counted(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// Number of known sessions.
    pub fn count(&self) -> usize {
        self.view.read().known.len()
    }

    /// How long sessions last.
    pub fn limits(&self) -> Lifetimes {
        self.limits
    }

    /// The session, if it is known here and valid at the moment. No IO. The use triggers a renewal in the background when one is
    /// due.
    pub fn peek(&self, id: RandomId) -> Option<Arc<Session>> {
        let view = self.view.read();
        self.admits(id, view.known.get(&id)?)
    }

    fn admits(&self, id: RandomId, known: &SessionState) -> Option<Arc<Session>> {
        let now = self.clock.now();
        let Validity::Good(session) = known.validity(now) else {
            return None;
        };
        if known.needs_upkeep(now) {
            self.renewal.want(id);
        }
        Some(session)
    }

    /// The session, if it exists and has not ended. Asks the API server once when the session is not known here. If the provider
    /// has not confirmed the session for too long, a renewal comes first, within a short timeout.
    ///
    /// # Errors
    /// The API server or the provider does not answer.
    pub async fn find(&self, id: RandomId) -> Result<Option<Arc<Session>>, Unavailable> {
        let Some(known) = self.known(id).await? else {
            return Ok(None);
        };
        match known.validity(self.clock.now()) {
            Validity::Good(_) => Ok(self.admits(id, &known)),
            Validity::Doubtful => self.revive(id).await,
            Validity::Over | Validity::Unreadable => Ok(None),
        }
    }

    async fn known(&self, id: RandomId) -> Result<Option<Arc<SessionState>>, Unavailable> {
        let watched = {
            let view = self.view.read();
            view.known.get(&id).filter(|known| known.open.is_some()).cloned()
        };
        if watched.is_some() {
            return Ok(watched);
        }
        let answer = self.asked.try_get_with(id, self.ask(id)).await;
        answer.map_err(|error| (*error).clone())
    }

    async fn ask(&self, id: RandomId) -> Result<Option<Arc<SessionState>>, Unavailable> {
        let asked_at = self.stage();
        let object = self.get(&object_name(id), Duration::ZERO).await?;
        let found = object.and_then(|object| self.read(&object));
        Ok(found.and_then(|(id, known)| self.view.write().add(id, Arc::new(known), asked_at)))
    }

    /// Waits up to `time_limit` for a permit while too many requests are in flight.
    async fn get(&self, name: &str, time_limit: Duration) -> Result<Option<GatewaySession>, Unavailable> {
        let _permit = timeout(time_limit, self.questions.acquire())
            .await
            .map_err(|_| Unavailable("too many questions at a time".into()))?;
        within(self.api.get_opt(name)).await
    }

    /// Counts changes of the view, for callers that must notice the end of a session.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Applies one event of the watch.
    pub async fn apply(&self, event: watcher::Event<GatewaySession>) {
        match event {
            watcher::Event::Apply(object) => {
                if let Some((id, known)) = self.read(&object) {
                    self.view.write().put(id, Arc::new(known));
                }
            }
            watcher::Event::Delete(object) => {
                if let Some(id) = id_of(&object.name_any()) {
                    self.forget(id).await;
                }
            }
            watcher::Event::Init => self.view.write().begin_list(),
            watcher::Event::InitApply(object) => {
                if let Some((id, known)) = self.read(&object) {
                    self.view.write().add_listed(id, known);
                }
            }
            watcher::Event::InitDone => self.view.write().end_list(),
        }
        self.notify();
    }

    /// A session was deleted: cached answers of the API server are no longer valid.
    async fn forget(&self, id: RandomId) {
        self.view.write().remove(id, self.clock.now());
        self.asked.insert(id, None).await;
        self.renewal.forget(id).await;
        self.notify();
    }

    fn notify(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn stage(&self) -> Option<u64> {
        self.view.read().stage()
    }

    fn read(&self, object: &GatewaySession) -> Option<(RandomId, SessionState)> {
        let name = object.name_any();
        let id = id_of(&name)?;
        let content = Content::open(&self.keys, &name, &object.spec.sealed);
        let expires = object.spec.expires_at.0.as_second();
        let version = object.metadata.resource_version.as_deref();
        let open = content.map(|content| {
            let times = content.times(self.limits);
            let session = Session {
                id,
                id_token: self.keeps_id_tokens.then(|| content.newest_id_token()).flatten(),
                end: content.end,
                identity: Identity {
                    user_name: content.user_name,
                    groups: content.groups,
                },
                credential: Credential::Login,
            };
            OpenSession::new(session, times)
        });
        let known = SessionState {
            version: version
                .and_then(|version| version.parse().ok())
                .unwrap_or_default(),
            expires: open.as_ref().map_or(expires, |open| expires.min(open.times.over)),
            open,
        };
        Some((id, known))
    }
}

async fn within<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Unavailable> {
    match timeout(TIMEOUT, call).await {
        Ok(answer) => answer.map_err(unavailable),
        Err(_) => Err(Unavailable(format!("no answer within {} s", TIMEOUT.as_secs()))),
    }
}

fn unavailable(error: impl std::fmt::Display) -> Unavailable {
    Unavailable(error.to_string())
}

#[cfg(test)]
mod tests;
