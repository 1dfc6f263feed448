//! session ids -> who is signed in, from objects that every replica watches (IO on unknown ids and at logins only).
//!
//! `content` is what an object holds, sealed; `view` what the watch knows of all; `upkeep` watches, and deletes what ended.

pub mod content;
mod upkeep;
mod view;

use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

use api::GatewaySession;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tokio::sync::{Semaphore, watch};

use self::content::{Content, SpendError, id_of, object_name};
use self::view::{Known, View};
use crate::clock::Clock;
use crate::crypto::seal::KeyRing;
use crate::crypto::tokens::RandomId;
use crate::oidc::claims::Identity;

/// How long an id that leads to no session is not asked for again.
const REMEMBER_ABSENT: Duration = Duration::from_secs(2);
/// How long an answer of the API server stands in for the watch; shorter than the time within which a revocation counts.
const REMEMBER_PRESENT: Duration = Duration::from_millis(500);
/// Most remembered answers.
const REMEMBERED: u64 = 10_000;
/// Most questions to the API server at a time; further ones are answered "unavailable".
const QUESTIONS: usize = 32;
/// Time for one question.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most attempts to mark a code as spent while others change the same session.
const SPEND_ATTEMPTS: usize = 5;
/// Who is signed in, for how long.
#[derive(Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: RandomId,
    /// Who it is.
    pub identity: Identity,
    /// Absolute end, Unix seconds.
    pub end: i64,
}

/// The API server could not be asked. Nothing is known, so nothing is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sessions cannot be read or written at the moment: {0}")]
pub struct Unavailable(String);

/// What became of a one-time code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It counted, now and never again.
    Now,
    /// It was used before.
    Before,
    /// Its session has ended.
    NoSession,
}

/// All sessions, as watched.
pub struct Sessions {
    api: Api<GatewaySession>,
    keys: Arc<KeyRing>,
    clock: Clock,
    view: RwLock<View>,
    asked: moka::future::Cache<RandomId, Option<Arc<Session>>>,
    questions: Semaphore,
    changes: watch::Sender<u64>,
}

impl Sessions {
    /// Knows nothing until [`Sessions::watch`] runs, and asks the API server meanwhile.
    pub fn new(api: Api<GatewaySession>, keys: Arc<KeyRing>, clock: Clock) -> Self {
        let asked = moka::future::Cache::builder()
            .max_capacity(REMEMBERED)
            .expire_after(Remember)
            .build();
        Self {
            api,
            keys,
            clock,
            view: RwLock::default(),
            asked,
            questions: Semaphore::new(QUESTIONS),
            changes: watch::Sender::new(0),
        }
    }

    /// The session, if it is known here and has not ended. No IO.
    pub fn peek(&self, id: RandomId) -> Option<Arc<Session>> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        let session = view.known.get(&id)?.session.clone()?;
        (self.clock.now() < session.end).then_some(session)
    }

    /// The session, if it exists and has not ended. Asks the API server once when it is not known here.
    ///
    /// # Errors
    /// The API server cannot be asked.
    pub async fn find(&self, id: RandomId) -> Result<Option<Arc<Session>>, Unavailable> {
        if let Some(session) = self.peek(id) {
            return Ok(Some(session));
        }
        let answer = self.asked.try_get_with(id, self.ask(id)).await;
        let found = answer.map_err(|error| (*error).clone())?;
        Ok(found.filter(|session| self.clock.now() < session.end))
    }

    async fn ask(&self, id: RandomId) -> Result<Option<Arc<Session>>, Unavailable> {
        let asked_at = self.view_mut().stage();
        let object = self.get(&object_name(id)).await?;
        let found = object.and_then(|object| self.read(&object));
        Ok(found.and_then(|(id, known)| self.view_mut().add(id, known, asked_at)))
    }

    async fn get(&self, name: &str) -> Result<Option<GatewaySession>, Unavailable> {
        let _permit = self
            .questions
            .try_acquire()
            .map_err(|_| Unavailable("too many questions at a time".into()))?;
        within(self.api.get_opt(name)).await
    }

    /// Stores a new session.
    ///
    /// # Errors
    /// The API server refuses or cannot be asked, or no key is active.
    pub async fn create(&self, content: &Content) -> Result<RandomId, Unavailable> {
        let id = RandomId::new().map_err(unavailable)?;
        let name = object_name(id);
        let sealed = content
            .seal(&self.keys, &name, self.clock.now())
            .map_err(unavailable)?;
        let end = Timestamp::from_second(content.end).map_err(unavailable)?;
        let spec = api::GatewaySessionSpec {
            sealed: sealed.text,
            key_id: sealed.key_id.to_string(),
            expires_at: Time(end),
        };
        let params = PostParams {
            field_manager: Some(api::names::GATEWAY.to_owned()),
            ..PostParams::default()
        };
        let asked_at = self.view_mut().stage();
        let object = within(self.api.create(&params, &GatewaySession::new(&name, spec))).await?;
        if let Some((id, known)) = self.read(&object) {
            self.view_mut().add(id, known, asked_at);
        }
        Ok(id)
    }

    /// Uses a one-time code up: of all attempts, on all replicas, one succeeds. `until`: the code's end, Unix seconds.
    ///
    /// # Errors
    /// The API server cannot be asked, or too many others change the session.
    pub async fn spend(&self, id: RandomId, code: RandomId, until: i64) -> Result<Spent, Unavailable> {
        let name = object_name(id);
        for _ in 0..SPEND_ATTEMPTS {
            let Some(object) = self.get(&name).await? else {
                return Ok(Spent::NoSession);
            };
            let now = self.clock.now();
            let content = Content::open(&self.keys, &name, &object.spec.sealed);
            let Some(mut content) = content.filter(|content| now < content.end) else {
                return Ok(Spent::NoSession);
            };
            match content.spend(code, until, now) {
                Ok(()) => {}
                Err(SpendError::Replayed) => return Ok(Spent::Before),
                Err(error @ SpendError::TooMany) => return Err(unavailable(error)),
            }
            let sealed = content.seal(&self.keys, &name, now).map_err(unavailable)?;
            let patch = json!([
                {"op": "test", "path": "/metadata/resourceVersion", "value": object.metadata.resource_version},
                {"op": "replace", "path": "/spec/sealed", "value": sealed.text},
                {"op": "replace", "path": "/spec/keyId", "value": sealed.key_id.to_string()},
            ]);
            match self.patch(&name, patch).await {
                Ok(()) => return Ok(Spent::Now),
                // Somebody else changed the session meanwhile: judge its new content.
                Err(kube::Error::Api(status)) if matches!(status.code, 409 | 422) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Spent::NoSession),
                Err(error) => return Err(unavailable(error)),
            }
        }
        Err(Unavailable("the session keeps changing".into()))
    }

    async fn patch(&self, name: &str, patch: serde_json::Value) -> Result<(), kube::Error> {
        let patch: json_patch::Patch = serde_json::from_value(patch).map_err(kube::Error::SerdeError)?;
        let params = PatchParams {
            field_manager: Some(api::names::GATEWAY.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::<GatewaySession>::Json(patch);
        let call = self.api.patch(name, &params, &patch);
        match tokio::time::timeout(PATIENCE, call).await {
            Ok(answer) => answer.map(drop),
            Err(elapsed) => Err(kube::Error::Service(elapsed.into())),
        }
    }

    /// Counts changes of what is known, for those who must notice that a session ended.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Takes over one event of the watch.
    pub async fn apply(&self, event: watcher::Event<GatewaySession>) {
        match event {
            watcher::Event::Apply(object) => {
                let read = self.read(&object);
                self.view_mut().known.extend(read);
            }
            watcher::Event::Delete(object) => {
                if let Some(id) = id_of(&object.name_any()) {
                    self.view_mut().remove(id, self.clock.now());
                    // Whatever the API server said a moment ago no longer holds.
                    self.asked.insert(id, None).await;
                }
            }
            watcher::Event::Init => self.view_mut().begin_list(),
            watcher::Event::InitApply(object) => {
                let read = self.read(&object);
                self.view_mut().listed(read);
            }
            watcher::Event::InitDone => self.view_mut().end_list(),
        }
        self.changes.send_modify(|count| *count += 1);
    }

    fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, object: &GatewaySession) -> Option<(RandomId, Known)> {
        let name = object.name_any();
        let id = id_of(&name)?;
        let session = Content::open(&self.keys, &name, &object.spec.sealed).map(|content| {
            Arc::new(Session {
                id,
                end: content.end,
                identity: Identity {
                    user_name: content.user_name,
                    groups: content.groups,
                },
            })
        });
        let expires = object.spec.expires_at.0.as_second();
        Some((id, Known { expires, session }))
    }
}

async fn within<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Unavailable> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(answer) => answer.map_err(unavailable),
        Err(_) => Err(Unavailable(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

fn unavailable(error: impl std::fmt::Display) -> Unavailable {
    Unavailable(error.to_string())
}

/// How long answers of the API server are remembered.
struct Remember;

impl moka::Expiry<RandomId, Option<Arc<Session>>> for Remember {
    fn expire_after_create(
        &self,
        _: &RandomId,
        found: &Option<Arc<Session>>,
        _: Instant,
    ) -> Option<Duration> {
        Some(remember(found.as_ref()))
    }

    fn expire_after_update(
        &self,
        _: &RandomId,
        found: &Option<Arc<Session>>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(remember(found.as_ref()))
    }
}

fn remember(found: Option<&Arc<Session>>) -> Duration {
    match found {
        Some(_) => REMEMBER_PRESENT,
        None => REMEMBER_ABSENT,
    }
}

#[cfg(test)]
mod tests;
