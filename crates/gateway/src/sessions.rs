//! session ids -> who is signed in, from objects that every replica watches (IO on unknown ids and at logins only).

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

use api::GatewaySession;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tokio::sync::{Semaphore, watch};

use crate::clock::Clock;
use crate::identity::Identity;
use crate::seal::KeyRing;
use crate::session::{Content, SpendError, id_of, object_name};
use crate::tokens::RandomId;

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
/// Deleted sessions that are remembered before old ones are forgotten.
const GONE: usize = 4096;
/// How long they are remembered at least, in seconds: longer than any question takes.
const GONE_LIFE: i64 = 60;
/// How often ended sessions are removed.
const JANITOR: Duration = Duration::from_secs(5 * 60);
/// An ended session is removed this long after its end, in seconds: clocks differ.
const JANITOR_GRACE: i64 = 60;
/// Most removals at a time.
const JANITOR_BATCH: usize = 500;

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

struct Known {
    expires: i64,
    /// `None` when the content does not open with the keys of the moment.
    session: Option<Arc<Session>>,
}

/// What the watch told, and what may be added to it.
#[derive(Default)]
struct View {
    known: HashMap<RandomId, Known>,
    /// Deleted a short while ago, with the time: an answer that is still under way must not bring them back.
    gone: HashMap<RandomId, i64>,
    /// What a list that is under way brought so far.
    listing: Option<HashMap<RandomId, Known>>,
    /// Complete lists so far. Answers that were asked for before another list are not added: it may have missed them.
    lists: u64,
}

impl View {
    /// The list that answers can be added to: none before the first one is complete, or while one is under way.
    fn stage(&self) -> Option<u64> {
        (self.lists > 0 && self.listing.is_none()).then_some(self.lists)
    }

    /// Adds what the API server answered to a question of the time `asked_at`; `None` if it was deleted since.
    fn add(&mut self, id: RandomId, known: Known, asked_at: Option<u64>) -> Option<Arc<Session>> {
        if self.gone.contains_key(&id) {
            return None;
        }
        let session = known.session.clone();
        if asked_at.is_some() && asked_at == self.stage() {
            self.known.entry(id).or_insert(known);
        }
        session
    }

    fn remove(&mut self, id: RandomId, now: i64) {
        self.known.remove(&id);
        if self.gone.len() >= GONE {
            self.gone.retain(|_, since| now < *since + GONE_LIFE);
        }
        self.gone.insert(id, now);
    }
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
        self.api.patch(name, &params, &patch).await.map(drop)
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
            watcher::Event::Init => self.view_mut().listing = Some(HashMap::new()),
            watcher::Event::InitApply(object) => {
                let read = self.read(&object);
                self.view_mut().listing.get_or_insert_default().extend(read);
            }
            watcher::Event::InitDone => {
                let mut view = self.view_mut();
                view.known = view.listing.take().unwrap_or_default();
                view.lists += 1;
            }
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

    /// Follows the objects for ever. `synced` is called once everything that exists was read.
    pub async fn watch(&self, synced: impl Fn()) {
        let events = watcher(self.api.clone(), watcher::Config::default()).default_backoff();
        let mut events = std::pin::pin!(events);
        loop {
            match events.try_next().await {
                Ok(Some(event)) => {
                    let complete = matches!(event, watcher::Event::InitDone);
                    self.apply(event).await;
                    if complete {
                        synced();
                    }
                }
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, "the watch on sessions broke off and begins anew"),
            }
        }
    }

    /// Removes ended sessions for ever.
    pub async fn janitor(&self) {
        loop {
            tokio::time::sleep(JANITOR).await;
            self.sweep().await;
        }
    }

    /// Removes sessions that ended a while ago.
    pub async fn sweep(&self) {
        let before = self.clock.now() - JANITOR_GRACE;
        let ended: Vec<RandomId> = {
            let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
            let ended = view.known.iter().filter(|(_, known)| known.expires < before);
            ended.map(|(id, _)| *id).take(JANITOR_BATCH).collect()
        };
        futures::stream::iter(ended)
            .for_each_concurrent(4, |id| async move {
                match self.api.delete(&object_name(id), &DeleteParams::default()).await {
                    Ok(_) => {}
                    // Another replica was faster.
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    Err(error) => {
                        tracing::warn!(session = ?id, %error, "an ended session could not be removed")
                    }
                }
            })
            .await;
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
mod tests {
    use super::*;
    use crate::seal::{KeyId, SealingKey};
    use crate::secret::Secret;
    use crate::session::SESSION_LIFE;
    use http::Method;
    use testkit::api_server::{ApiServer, Fault};

    const NAMESPACE: &str = "system";

    fn keys() -> Arc<KeyRing> {
        Arc::new(KeyRing::new(vec![
            SealingKey::derive(KeyId::new([1; 8]), 0, &[1; 32]).unwrap(),
        ]))
    }

    fn replica(client: &kube::Client, clock: &Clock) -> Sessions {
        Sessions::new(Api::namespaced(client.clone(), NAMESPACE), keys(), clock.clone())
    }

    fn content(clock: &Clock) -> Content {
        let identity = Identity {
            user_name: "alice".into(),
            groups: vec![],
        };
        Content::new(
            "https://issuer",
            "1",
            identity,
            &Secret::new("t".into()),
            clock.now(),
        )
    }

    fn stored(server: &ApiServer, id: RandomId) -> GatewaySession {
        server.get(Some(NAMESPACE), &object_name(id)).unwrap()
    }

    #[tokio::test]
    async fn a_session_of_another_replica_is_asked_for_once_however_many_want_it() {
        let (server, client) = ApiServer::start();
        let clock = Clock::manual(1000);
        let id = replica(&client, &clock).create(&content(&clock)).await.unwrap();
        server.take_calls();
        let other = replica(&client, &clock);
        let found = futures::future::join_all((0..20).map(|_| other.find(id))).await;
        for session in found {
            assert_eq!(session.unwrap().unwrap().identity.user_name, "alice");
        }
        assert_eq!(server.take_calls().len(), 1);
    }

    #[tokio::test]
    async fn what_the_watch_told_needs_no_question() {
        let (server, client) = ApiServer::start();
        let clock = Clock::manual(1000);
        let sessions = replica(&client, &clock);
        let id = sessions.create(&content(&clock)).await.unwrap();
        sessions.apply(watcher::Event::Apply(stored(&server, id))).await;
        server.take_calls();
        assert!(sessions.find(id).await.unwrap().is_some());
        assert!(server.take_calls().is_empty());
    }

    #[tokio::test]
    async fn an_absent_session_is_remembered_as_absent() {
        let (server, client) = ApiServer::start();
        let sessions = replica(&client, &Clock::manual(1000));
        let id = RandomId::new().unwrap();
        for _ in 0..3 {
            assert_eq!(sessions.find(id).await.unwrap(), None);
        }
        assert_eq!(server.take_calls().len(), 1);
    }

    #[tokio::test]
    async fn a_deleted_session_is_gone_at_once_even_if_it_was_just_asked_for() {
        let (server, client) = ApiServer::start();
        let clock = Clock::manual(1000);
        let sessions = replica(&client, &clock);
        let id = sessions.create(&content(&clock)).await.unwrap();
        assert!(sessions.find(id).await.unwrap().is_some());
        let object = stored(&server, id);
        let mut changes = sessions.subscribe();
        sessions.apply(watcher::Event::Apply(object.clone())).await;
        sessions.apply(watcher::Event::Delete(object)).await;
        assert_eq!(sessions.find(id).await.unwrap(), None);
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
    }

    #[tokio::test]
    async fn a_session_that_a_new_list_no_longer_holds_is_gone() {
        let (server, client) = ApiServer::start();
        let clock = Clock::manual(1000);
        let sessions = replica(&client, &clock);
        let (kept, gone) = (
            sessions.create(&content(&clock)).await.unwrap(),
            sessions.create(&content(&clock)).await.unwrap(),
        );
        for id in [kept, gone] {
            sessions.apply(watcher::Event::Apply(stored(&server, id))).await;
        }
        sessions.apply(watcher::Event::Init).await;
        sessions
            .apply(watcher::Event::InitApply(stored(&server, kept)))
            .await;
        assert!(sessions.peek(gone).is_some());
        sessions.apply(watcher::Event::InitDone).await;
        assert!(sessions.peek(kept).is_some());
        assert_eq!(sessions.peek(gone), None);
    }

    #[tokio::test]
    async fn an_answer_joins_what_is_known_unless_a_list_or_a_deletion_came_between() {
        let (server, client) = ApiServer::start();
        let clock = Clock::manual(1000);
        let sessions = replica(&client, &clock);
        let list = async || {
            sessions.apply(watcher::Event::Init).await;
            sessions.apply(watcher::Event::InitDone).await;
        };
        let early = sessions.create(&content(&clock)).await.unwrap();
        assert_eq!(sessions.peek(early), None);
        list().await;
        let id = sessions.create(&content(&clock)).await.unwrap();
        assert!(sessions.peek(id).is_some());

        let known = || sessions.read(&stored(&server, id)).unwrap().1;
        let asked_at = sessions.view_mut().stage();
        list().await;
        assert!(sessions.view_mut().add(id, known(), asked_at).is_some());
        assert_eq!(sessions.peek(id), None);

        let asked_at = sessions.view_mut().stage();
        sessions.apply(watcher::Event::Delete(stored(&server, id))).await;
        assert_eq!(sessions.view_mut().add(id, known(), asked_at), None);
        assert_eq!(sessions.peek(id), None);
    }

    #[tokio::test]
    async fn a_session_ends_at_its_absolute_end_and_is_swept_later() {
        let (server, client) = ApiServer::start();
        let clock = Clock::manual(1000);
        let sessions = replica(&client, &clock);
        let id = sessions.create(&content(&clock)).await.unwrap();
        sessions.apply(watcher::Event::Apply(stored(&server, id))).await;
        clock.advance(SESSION_LIFE - 1);
        assert!(sessions.find(id).await.unwrap().is_some());
        clock.advance(1);
        assert_eq!(sessions.find(id).await.unwrap(), None);
        sessions.sweep().await;
        assert!(
            server
                .get::<GatewaySession>(Some(NAMESPACE), &object_name(id))
                .is_some()
        );
        clock.advance(JANITOR_GRACE + 1);
        sessions.sweep().await;
        assert!(
            server
                .get::<GatewaySession>(Some(NAMESPACE), &object_name(id))
                .is_none()
        );
    }

    #[tokio::test]
    async fn errors_of_the_api_server_are_errors_not_absence_and_are_not_remembered() {
        let (server, client) = ApiServer::start();
        let clock = Clock::manual(1000);
        let sessions = replica(&client, &clock);
        let id = sessions.create(&content(&clock)).await.unwrap();
        server.fail(Fault {
            method: Method::GET,
            path_part: "gatewaysessions",
            code: 503,
            reason: "ServiceUnavailable",
            message: "later".into(),
            times: 1,
        });
        assert!(sessions.find(id).await.is_err());
        assert!(sessions.find(id).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn content_that_was_moved_between_objects_or_sealed_elsewhere_is_no_session() {
        let (server, client) = ApiServer::start();
        let clock = Clock::manual(1000);
        let sessions = replica(&client, &clock);
        let id = sessions.create(&content(&clock)).await.unwrap();
        let forged = RandomId::new().unwrap();
        let mut object = stored(&server, id);
        object.metadata = kube::api::ObjectMeta {
            name: Some(object_name(forged)),
            namespace: Some(NAMESPACE.into()),
            ..Default::default()
        };
        server.put(&object);
        assert_eq!(sessions.find(forged).await.unwrap(), None);
    }

    #[tokio::test]
    async fn of_many_attempts_with_one_code_on_two_replicas_one_succeeds() {
        let (_server, client) = ApiServer::start();
        let clock = Clock::manual(1000);
        let (one, two) = (replica(&client, &clock), replica(&client, &clock));
        let id = one.create(&content(&clock)).await.unwrap();
        let code = RandomId::new().unwrap();
        let attempts = (0..8).map(|n| if n % 2 == 0 { &one } else { &two }.spend(id, code, 1030));
        let outcomes = futures::future::join_all(attempts).await;
        let counted = outcomes
            .iter()
            .filter(|outcome| **outcome == Ok(Spent::Now))
            .count();
        assert_eq!(counted, 1, "{outcomes:?}");
        assert_eq!(
            one.spend(id, RandomId::new().unwrap(), 1030).await,
            Ok(Spent::Now)
        );
        assert_eq!(
            one.spend(RandomId::new().unwrap(), code, 1030).await,
            Ok(Spent::NoSession)
        );
    }
}
