//! a person and a workspace -> whether the cluster's roles let them connect (IO; from memory where the answer is known).
//!
//! `kept` says how long an answer counts; `roles` watches for changes; `question` is what the API server is asked.

mod kept;
mod question;
mod roles;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::api::PostParams;
use kube::{Api, Client};
use rules::access::Right;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout};

use self::kept::{Answer, KEEP_GRANTED, Marks, Worth};
use crate::crypto::tokens::RandomId;
use crate::index::Target;
use crate::metrics::Metrics;
use crate::session::Session;

/// Most questions on their way at a time.
const QUESTIONS: usize = 32;
/// Time for one question, waiting for its turn included.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most questions in the background per second.
const RENEWALS: u32 = 50;
/// Most answers that wait to be renewed; further ones are asked for by whoever needs them.
const WAITING: usize = 1024;
/// After a question in the background that failed, the same one rests for so long.
const REST: Duration = Duration::from_secs(1);
/// Most answers in memory; each costs about 200 bytes.
const MOST: usize = 50_000;

/// Rights to connect, as the API server said. Every clone shares them.
#[derive(Clone)]
pub struct Rights(Arc<Inner>);

struct Inner {
    reviews: Api<SubjectAccessReview>,
    known: RwLock<Known>,
    flights: Mutex<HashMap<(RandomId, String), Flight>>,
    turns: Semaphore,
    renewals: mpsc::Sender<Wanted>,
    waiting: tokio::sync::Mutex<mpsc::Receiver<Wanted>>,
    metrics: Metrics,
}

/// A question on its way; `None` when it was not answered.
type Flight = Shared<BoxFuture<'static, Option<bool>>>;

#[derive(Default)]
struct Known {
    /// By UID of the workspace and session: neither comes back as something else.
    answers: HashMap<String, HashMap<RandomId, Arc<Kept>>>,
    count: usize,
    marks: Marks,
}

struct Kept {
    session: Arc<Session>,
    answer: Answer,
    /// Whether it waits to be renewed.
    waits: AtomicBool,
}

struct Wanted {
    session: Arc<Session>,
    target: Arc<Target>,
    kept: Arc<Kept>,
}

impl Rights {
    /// Nothing is known yet.
    pub fn new(client: Client, metrics: Metrics) -> Self {
        let (renewals, waiting) = mpsc::channel(WAITING);
        Self(Arc::new(Inner {
            reviews: Api::all(client),
            known: RwLock::default(),
            flights: Mutex::default(),
            turns: Semaphore::new(QUESTIONS),
            renewals,
            waiting: tokio::sync::Mutex::new(waiting),
            metrics,
        }))
    }

    /// What is known of a person's right, from memory. An answer that ages is renewed in the background.
    pub(super) fn known(&self, session: &Arc<Session>, target: &Arc<Target>) -> Right {
        match self.look(session, target) {
            Some((kept, Worth::Good | Worth::Aging)) => right(kept.answer.granted),
            Some((_, Worth::Spent)) | None => Right::Unknown,
        }
    }

    /// As [`Rights::known`], for a socket that is open: while the API server says nothing, a right counts for `grace`.
    pub(super) fn held(&self, session: &Arc<Session>, target: &Arc<Target>, grace: Duration) -> Right {
        match self.look(session, target) {
            Some((kept, Worth::Good | Worth::Aging)) => right(kept.answer.granted),
            Some((kept, Worth::Spent)) => {
                self.renew_later(session, target, &kept);
                let counts = kept.answer.granted && kept.answer.asked.elapsed() < grace.max(KEEP_GRANTED);
                if counts { Right::Granted } else { Right::Unanswered }
            }
            None => Right::Unanswered,
        }
    }

    fn look(&self, session: &Arc<Session>, target: &Arc<Target>) -> Option<(Arc<Kept>, Worth)> {
        let now = Instant::now();
        let (kept, worth) = {
            let known = self.read();
            let kept = known.answers.get(&target.uid)?.get(&session.id)?;
            if !kept.is_about(session) {
                return None;
            }
            let stale = known.marks.stale_since(&target.namespace, kept.answer.asked, now);
            (Arc::clone(kept), kept.answer.worth(stale, now))
        };
        if worth == Worth::Aging {
            self.renew_later(session, target, &kept);
        }
        Some((kept, worth))
    }

    /// Asks the API server; whoever asks the same meanwhile gets the same answer.
    pub(super) async fn ask(&self, session: &Arc<Session>, target: &Arc<Target>) -> Right {
        match timeout(PATIENCE, self.flight(session, target)).await {
            Ok(Some(granted)) => right(granted),
            Ok(None) | Err(_) => Right::Unanswered,
        }
    }

    fn flight(&self, session: &Arc<Session>, target: &Arc<Target>) -> Flight {
        let key = (session.id, target.uid.clone());
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&key) {
            return flight.clone();
        }
        let (rights, session, target) = (self.clone(), Arc::clone(session), Arc::clone(target));
        // A task of its own: whoever asked first may leave before the answer.
        let task = tokio::spawn(async move {
            let answered = timeout(PATIENCE, rights.question(&session, &target)).await;
            rights.flights().remove(&(session.id, target.uid.clone()));
            answered.ok().flatten()
        });
        let flight = task.map(|ended| ended.ok().flatten()).boxed().shared();
        flights.insert(key, flight.clone());
        flight
    }

    async fn question(&self, session: &Arc<Session>, target: &Arc<Target>) -> Option<bool> {
        let _turn = self.0.turns.acquire().await.ok()?;
        let asked = Instant::now();
        let review = question::about(&session.identity, &target.namespace, &target.name);
        let answer = self.0.reviews.create(&PostParams::default(), &review).await;
        let granted = match answer.map(|review| question::granted(&review)) {
            Ok(Ok(granted)) => granted,
            Ok(Err(error)) => return self.failed(&error),
            Err(error) => return self.failed(&error.to_string()),
        };
        self.0.metrics.review(if granted { "granted" } else { "missing" });
        self.keep(session, target, Answer { granted, asked });
        Some(granted)
    }

    /// Errors are never kept.
    fn failed(&self, error: &str) -> Option<bool> {
        self.0.metrics.review("failed");
        tracing::warn!(error, "nobody can say whether a person may connect");
        None
    }

    fn keep(&self, session: &Arc<Session>, target: &Target, answer: Answer) {
        let kept = Arc::new(Kept {
            session: Arc::clone(session),
            answer,
            waits: AtomicBool::new(false),
        });
        let mut known = self.write();
        if known.count >= MOST {
            known.make_room(answer.asked);
        }
        let of_workspace = known.answers.entry(target.uid.clone()).or_default();
        if of_workspace.insert(session.id, kept).is_none() {
            known.count += 1;
        }
    }

    fn renew_later(&self, session: &Arc<Session>, target: &Arc<Target>, kept: &Arc<Kept>) {
        if kept.waits.swap(true, Ordering::Relaxed) {
            return;
        }
        let wanted = Wanted {
            session: Arc::clone(session),
            target: Arc::clone(target),
            kept: Arc::clone(kept),
        };
        if self.0.renewals.try_send(wanted).is_err() {
            kept.waits.store(false, Ordering::Relaxed);
        }
    }

    /// Renews answers in the background, for ever.
    pub async fn renew(self) {
        let mut waiting = self.0.waiting.lock().await;
        while let Some(wanted) = waiting.recv().await {
            let rights = self.clone();
            tokio::spawn(async move {
                if rights.ask(&wanted.session, &wanted.target).await == Right::Unanswered {
                    sleep(REST).await;
                    wanted.kept.waits.store(false, Ordering::Relaxed);
                }
            });
            sleep(Duration::from_secs(1) / RENEWALS).await;
        }
    }

    /// Follows roles and their bindings for ever: what they change is asked for again.
    pub async fn follow_roles(self, client: Client) {
        let metrics = self.0.metrics.clone();
        roles::follow(client, &metrics, |namespace| self.doubt(namespace)).await;
    }

    /// Roles changed in a namespace (`None`: for the whole cluster).
    pub fn doubt(&self, namespace: Option<&str>) {
        self.write().marks.add(namespace, Instant::now());
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<(RandomId, String), Flight>> {
        self.0.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Forgets what counts no longer, and everything if that is not enough: it is asked for again.
    fn make_room(&mut self, now: Instant) {
        self.answers.retain(|_, answers| {
            answers.retain(|_, kept| now.duration_since(kept.answer.asked) < KEEP_GRANTED);
            !answers.is_empty()
        });
        self.count = self.answers.values().map(HashMap::len).sum();
        if self.count >= MOST {
            self.answers.clear();
            self.count = 0;
        }
    }
}

impl Kept {
    /// Whether it is about these groups still: a session's may change.
    fn is_about(&self, session: &Arc<Session>) -> bool {
        Arc::ptr_eq(&self.session, session) || self.session.identity == session.identity
    }
}

fn right(granted: bool) -> Right {
    if granted { Right::Granted } else { Right::Missing }
}

#[cfg(test)]
mod tests;
