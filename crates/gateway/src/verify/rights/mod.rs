//! user and workspace -> whether roles allow to connect (IO; from memory where known).
//!
//! - `cache`: how long an answer is valid.
//! - `question`: the `SubjectAccessReview`. `flights`: callers that share one. `fair_queue`: fair queue of users.
//! - `renewal`: renews answers in the background.

mod cache;
mod fair_queue;
mod flights;
mod question;
mod renewal;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::authorization::v1::SubjectAccessReviewSpec;
use kit::access_review;
use kit::scope::Scope;
use kube::Client;
use moka::Entry;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use rules::access::Right;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use self::cache::{Answer, RoleChanges, TTL_GRANTED, Validity};
use self::fair_queue::FairQueue;
use self::flights::{Flight, Flights};
use crate::index::Target;
use crate::metrics::Metrics;
use crate::server::concurrency::{ConcurrencyLimit, Permit};
use crate::session::Session;
use crate::tokens::RandomId;

/// Maximum number of concurrent reviews.
const MAX_REVIEWS: usize = 32;
/// Maximum number of them for requests of one user; the user's further reviews queue behind these.
const MAX_REVIEWS_OF_ONE_USER: usize = 4;
/// Maximum number of requests that wait for an answer: of one user, and of all. The listener holds 1,024 requests, so some remain
/// for requests that need no answer. Requests above the limit are asked to retry. One browser connection carries 250 requests
/// through the proxy, and an application's page loads that many files at once. All of them wait after a change of roles.
const MAX_CALLERS_OF_ONE_USER: usize = 256;
const MAX_CALLERS: usize = 768;
/// Maximum number of concurrent reviews for answers that only age.
const RENEWALS_AT_ONCE: usize = 8;
/// Timeout of one review, including the wait for its turn.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of answers in a renewal queue. Further answers are requested when they are needed.
const WAITING: usize = 4096;
/// Maximum number of answers in memory; each takes about 300 bytes. Those that are not used for longest go first.
const MAX_ENTRIES: u64 = 50_000;
/// An answer that nobody uses is removed after this time. An open socket looks at its own more often.
const UNUSED: Duration = Duration::from_mins(10);

/// Session, and UID of the workspace. Neither is ever reused.
type Key = (RandomId, String);

/// Rights to connect, as the API server reported them. Every clone shares them.
#[derive(Clone)]
pub struct Rights(Arc<Inner>);

struct Inner {
    client: Client,
    scope: Scope,
    answers: Cache<Key, Arc<Cached>>,
    changes: RwLock<RoleChanges>,
    flights: Flights,
    /// Hash keys of [`Rights::about`], of this process alone.
    hashes: RandomState,
    fair_queue: FairQueue,
    /// Per user, and not per session: a user may sign in, or create tokens, any number of times.
    callers: ConcurrencyLimit<String>,
    aging: Arc<Semaphore>,
    /// One queue per [`Priority`].
    queues: [Queue; 2],
    metrics: Metrics,
}

/// Priority of a renewal.
#[derive(Debug, Clone, Copy)]
enum Priority {
    /// The answer is still valid.
    Some,
    /// An open socket depends on the answer, and the answer may be outdated.
    Most,
}

/// The purpose of a review.
#[derive(Debug)]
enum For {
    /// A caller waits, with this permit.
    Request(Arc<Permit<String>>),
    Renewal(Priority),
}

struct Queue {
    wanted: mpsc::Sender<Wanted>,
    waiting: tokio::sync::Mutex<mpsc::Receiver<Wanted>>,
}

impl Default for Queue {
    fn default() -> Self {
        let (wanted, waiting) = mpsc::channel(WAITING);
        Self {
            wanted,
            waiting: tokio::sync::Mutex::new(waiting),
        }
    }
}

struct Cached {
    /// Hash of the identity that the review was about. A whole session can have many groups.
    about: u64,
    answer: Answer,
    /// No review has answered yet.
    presumed: bool,
    /// Whether the answer waits in the renewal queue of each [`Priority`].
    waits: [AtomicBool; 2],
}

/// A cached answer at this moment.
struct Seen {
    cached: Arc<Cached>,
    validity: Validity,
    /// Roles or the user's groups have changed since.
    doubted: bool,
}

struct Wanted {
    session: Arc<Session>,
    target: Arc<Target>,
    cached: Arc<Cached>,
}

impl Rights {
    /// A new instance with an empty cache.
    pub fn new(client: Client, scope: Scope, metrics: Metrics) -> Self {
        Self(Arc::new(Inner {
            client,
            scope,
            answers: Cache::builder()
                .max_capacity(MAX_ENTRIES)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_idle(UNUSED)
                .build(),
            changes: RwLock::default(),
            flights: Flights::default(),
            hashes: RandomState::new(),
            fair_queue: FairQueue::new(MAX_REVIEWS_OF_ONE_USER, MAX_REVIEWS),
            callers: ConcurrencyLimit::new(MAX_CALLERS_OF_ONE_USER, MAX_CALLERS).sharing(2),
            aging: Arc::new(Semaphore::new(RENEWALS_AT_ONCE)),
            queues: Default::default(),
            metrics,
        }))
    }

    /// The cached right of a user. An answer that ages is renewed in the background.
    pub(super) fn known(&self, session: &Arc<Session>, target: &Arc<Target>) -> Right {
        let Some(seen) = self.cached(session, target) else {
            return Right::Unknown;
        };
        if seen.validity == Validity::Aging {
            self.renew_later(session, target, &seen.cached, Priority::Some);
        }
        match seen.validity {
            Validity::Good | Validity::Aging => right(seen.cached.answer.granted),
            Validity::Expired => Right::Unknown,
        }
    }

    /// As [`Rights::known`], for an open socket. A right that may be outdated is requested at once. Until the API server answers,
    /// it stays valid for `grace`. A right without any answer yet stays valid for the timeout of one review.
    pub(super) fn held(&self, session: &Arc<Session>, target: &Arc<Target>, grace: Duration) -> Right {
        let seen = self.cached(session, target);
        let seen = seen.or_else(|| {
            self.presume(session, target);
            self.cached(session, target)
        });
        let Some(Seen {
            cached,
            validity,
            doubted,
        }) = seen
        else {
            return Right::Unanswered;
        };
        if doubted || validity == Validity::Expired {
            self.renew_later(session, target, &cached, Priority::Most);
        } else if validity == Validity::Aging {
            self.renew_later(session, target, &cached, Priority::Some);
        }
        if validity != Validity::Expired {
            return right(cached.answer.granted);
        }
        let grace = if cached.presumed {
            TIMEOUT
        } else {
            grace.max(TTL_GRANTED)
        };
        if cached.answer.granted && cached.answer.asked.elapsed() < grace {
            Right::Granted
        } else {
            Right::Unanswered
        }
    }

    fn cached(&self, session: &Arc<Session>, target: &Arc<Target>) -> Option<Seen> {
        let now = Instant::now();
        let cached = self.0.answers.get(&(session.id, target.uid.clone()))?;
        let stale = self
            .changes()
            .stale_since(&target.namespace, cached.answer.asked, now);
        let by_other_users = cached.about != self.about(session);
        let validity = if cached.presumed || by_other_users {
            Validity::Expired
        } else {
            cached.answer.validity(stale, now)
        };
        Some(Seen {
            cached,
            validity,
            doubted: stale.is_some() || by_other_users,
        })
    }

    /// Asks the API server. Concurrent callers with the same key share one answer. A user with too many concurrent requests gets no
    /// answer, and delays other users little.
    pub(super) async fn ask(&self, session: &Arc<Session>, target: &Arc<Target>) -> Right {
        let Some(permit) = self.0.callers.take(session.identity.user_name.clone()) else {
            return Right::Unanswered;
        };
        let whom = For::Request(Arc::new(permit));
        let right = self.answer(self.flight(session, target, &whom)).await;
        // Callers that join a review that goes on keep a permit as well.
        drop(whom);
        right
    }

    /// Whether a user may `use` a template. Always asks the API server and caches nothing.
    pub(crate) async fn may_use(&self, session: &Session, namespace: &str, template: &str) -> Right {
        let user = &session.identity.user_name;
        let Some(_permit) = self.0.callers.take(user.clone()) else {
            return Right::Unanswered;
        };
        let review = question::template(session, namespace, template);
        let answered = async {
            let _queue_permit = self.0.fair_queue.take(Some(user)).await?;
            self.review(review).await
        };
        match timeout(TIMEOUT, answered).await {
            Ok(Some(granted)) => right(granted),
            Ok(None) | Err(_) => Right::Unanswered,
        }
    }

    async fn answer(&self, flight: Flight) -> Right {
        match timeout(TIMEOUT, flight).await {
            Ok(Some(granted)) => right(granted),
            Ok(None) | Err(_) => Right::Unanswered,
        }
    }

    fn flight(&self, session: &Arc<Session>, target: &Arc<Target>, whom: &For) -> Flight {
        let key = (session.id, target.uid.clone());
        // A review that began with other groups, or before roles changed, says nothing about the present. A renewal for a socket in
        // doubt joins no review that may wait behind the user's other reviews. Otherwise a user could delay the end of a right with
        // many of them.
        let now = Instant::now();
        let joins = |started: Instant| {
            !matches!(whom, For::Renewal(Priority::Most))
                && self
                    .changes()
                    .stale_since(&target.namespace, started, now)
                    .is_none()
        };
        let permit = match whom {
            For::Request(permit) => Some(Arc::clone(permit)),
            For::Renewal(_) => None,
        };
        self.0.flights.join_or_start(key, session, joins, |landing| {
            let (rights, session, target) = (self.clone(), Arc::clone(session), Arc::clone(target));
            // A task of its own: the first caller may leave before the answer. The review keeps its permit.
            let task = tokio::spawn(async move {
                let _landing = landing;
                let answered = timeout(TIMEOUT, rights.question(&session, &target, permit)).await;
                answered.ok().flatten()
            });
            task.map(|ended| ended.ok().flatten()).boxed().shared()
        })
    }

    async fn question(
        &self,
        session: &Arc<Session>,
        target: &Arc<Target>,
        permit: Option<Arc<Permit<String>>>,
    ) -> Option<bool> {
        let user = permit.as_ref().map(|_| session.identity.user_name.as_str());
        let _queue_permit = self.0.fair_queue.take(user).await?;
        let asked = Instant::now();
        let review = question::about(session, &target.namespace, &target.name);
        let granted = self.review(review).await?;
        self.store(session, target, Answer { granted, asked }, false);
        Some(granted)
    }

    async fn review(&self, review: SubjectAccessReviewSpec) -> Option<bool> {
        let status = access_review::ask(&self.0.client, &self.0.scope, review).await;
        match status.map(|status| question::granted(status.as_ref())) {
            Ok(Ok(granted)) => {
                self.0.metrics.review(if granted { "granted" } else { "missing" });
                Some(granted)
            }
            Ok(Err(error)) => self.failed(&error),
            Err(error) => self.failed(&error.to_string()),
        }
    }

    /// Errors are never cached.
    fn failed(&self, error: &str) -> Option<bool> {
        self.0.metrics.review("failed");
        tracing::warn!(
            error,
            "a right to connect cannot be verified: the API server does not answer"
        );
        None
    }

    /// Records a temporary answer for a right without review, so that a review can be queued.
    fn presume(&self, session: &Arc<Session>, target: &Target) {
        let answer = Answer {
            granted: true,
            asked: Instant::now(),
        };
        self.store(session, target, answer, true);
    }

    fn store(&self, session: &Arc<Session>, target: &Target, answer: Answer, presumed: bool) {
        let cached = Arc::new(Cached {
            about: self.about(session),
            answer,
            presumed,
            waits: Default::default(),
        });
        let entry = self.0.answers.entry((session.id, target.uid.clone()));
        entry.and_compute_with(|before| match before.map(Entry::into_value) {
            // Reviews may end in another order than they began.
            Some(before) if presumed || !before.presumed && before.answer.asked > answer.asked => Op::Nop,
            _ => Op::Put(cached),
        });
    }

    /// Hash of what an answer about this session depends on. A session's groups may change.
    fn about(&self, session: &Session) -> u64 {
        self.0.hashes.hash_one((&session.identity, &session.credential))
    }

    /// Watches roles and their bindings forever. Affected answers are requested again.
    pub async fn follow_roles(self, client: Client, scope: Scope) {
        // These watches do not affect the index's age. Without them, answers expire after half a minute and are requested again.
        let failed = |resource| self.0.metrics.count_failed_watch(resource);
        kit::role_changes::follow(client, &scope, failed, |namespace| self.doubt(namespace)).await;
    }

    /// Marks answers as outdated after roles changed in a namespace (`None`: in the whole cluster).
    pub fn doubt(&self, namespace: Option<&str>) {
        let changes = self.0.changes.write();
        changes
            .unwrap_or_else(PoisonError::into_inner)
            .add(namespace, Instant::now());
    }

    fn changes(&self) -> RwLockReadGuard<'_, RoleChanges> {
        self.0.changes.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn right(granted: bool) -> Right {
    if granted { Right::Granted } else { Right::Missing }
}

#[cfg(test)]
mod tests;
