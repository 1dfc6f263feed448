//! user and workspace -> whether roles allow to connect (IO; from memory where known).
//!
//! - `question`: the `SubjectAccessReview`. `flights`: callers that share one.
//! - here: how long an answer is valid, and the renewal of answers that open sockets depend on.

mod flights;
mod question;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::authorization::v1::SubjectAccessReviewSpec;
use kit::access_review;
use kit::limit::{ConcurrencyLimit, FairQueue, Permit};
use kit::role_changes::RoleChanges;
use kit::scope::Scope;
use kube::Client;
use moka::Entry;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use rules::access::Right;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use self::flights::{Flight, Flights};
use crate::index::Target;
use crate::metrics::Metrics;
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
/// Maximum number of concurrent reviews for open sockets, so that requests also get their turn.
const RENEWALS_AT_ONCE: usize = 16;
/// Timeout of one review, including the wait for its turn.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum lifetime of a granted right, whatever watches report.
const TTL_GRANTED: Duration = Duration::from_secs(30);
/// Lifetime of a missing right. It is shorter, because users who were just given the right try again.
const TTL_MISSING: Duration = Duration::from_secs(5);
/// The right of an open socket is renewed from this age on, so that it never expires while the API server answers.
const RENEW: Duration = Duration::from_secs(20);
/// Pause after a failed review in the background.
const REST: Duration = Duration::from_secs(1);
/// Maximum number of answers in memory; each takes about 300 bytes. Those that are not used for longest go first.
const MAX_ENTRIES: u64 = 50_000;
/// An answer that nobody uses is removed after this time. An open socket looks at its own more often.
const UNUSED: Duration = Duration::from_mins(10);

/// Session, UID of the workspace, and hash of the identity that the review is about: a session's groups may change.
type Key = (RandomId, String, u64);

/// Rights to connect, as the API server reported them. Every clone shares them.
#[derive(Clone)]
pub struct Rights(Arc<Inner>);

struct Inner {
    client: Client,
    scope: Scope,
    answers: Cache<Key, Arc<Cached>>,
    changes: RwLock<RoleChanges>,
    flights: Flights,
    /// Hash keys of identities, of this process alone.
    hashes: RandomState,
    fair_queue: FairQueue,
    /// Per user, and not per session: a user may sign in, or create tokens, any number of times.
    callers: ConcurrencyLimit<String>,
    renewals: Semaphore,
    metrics: Metrics,
}

/// The newest answer of the API server.
struct Cached {
    granted: bool,
    /// When the review was sent.
    asked: Instant,
    /// No review has answered yet.
    presumed: bool,
    /// Whether a review in the background is in progress.
    is_renewing: AtomicBool,
}

impl Cached {
    fn new(granted: bool, asked: Instant, presumed: bool) -> Arc<Self> {
        Arc::new(Self {
            granted,
            asked,
            presumed,
            is_renewing: AtomicBool::new(false),
        })
    }
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
            renewals: Semaphore::new(RENEWALS_AT_ONCE),
            metrics,
        }))
    }

    /// The cached right of a user.
    pub(super) fn known(&self, session: &Session, target: &Target) -> Right {
        match self.0.answers.get(&self.key(session, target)) {
            Some(cached) if self.is_valid(&cached, target) => right(Some(cached.granted)),
            _ => Right::Unknown,
        }
    }

    /// As [`Rights::known`], for an open socket. A right that may be outdated is requested at once. Until the API server answers,
    /// it stays valid for `grace`. A right without any answer yet stays valid for the timeout of one review.
    pub(super) fn held(&self, session: &Arc<Session>, target: &Arc<Target>, grace: Duration) -> Right {
        let key = self.key(session, target);
        let presumed = || Cached::new(true, Instant::now(), true);
        let cached = self.0.answers.get_with(key, presumed);
        let (age, is_valid) = (cached.asked.elapsed(), self.is_valid(&cached, target));
        if !is_valid || age >= RENEW {
            self.renew(session, target, &cached);
        }
        if is_valid {
            return right(Some(cached.granted));
        }
        let grace = if cached.presumed {
            TIMEOUT
        } else {
            grace.max(TTL_GRANTED)
        };
        if cached.granted && age < grace {
            Right::Granted
        } else {
            Right::Unanswered
        }
    }

    fn key(&self, session: &Session, target: &Target) -> Key {
        let identity = (&session.identity, &session.credential);
        (session.id, target.uid.clone(), self.0.hashes.hash_one(identity))
    }

    fn is_valid(&self, cached: &Cached, target: &Target) -> bool {
        let lifetime = if cached.granted { TTL_GRANTED } else { TTL_MISSING };
        !cached.presumed && cached.asked.elapsed() < lifetime && !self.is_outdated(cached.asked, target)
    }

    /// Whether roles may have changed since a review of the time `asked`.
    fn is_outdated(&self, asked: Instant, target: &Target) -> bool {
        let changes = self.0.changes.read().unwrap_or_else(PoisonError::into_inner);
        changes.outdate(&target.namespace, asked, Instant::now())
    }

    /// Asks in the background. It joins no review that may wait behind the user's other reviews: otherwise a user could delay the
    /// end of a right with many of them.
    fn renew(&self, session: &Arc<Session>, target: &Arc<Target>, cached: &Arc<Cached>) {
        if cached.is_renewing.swap(true, Ordering::Relaxed) {
            return;
        }
        let rights = self.clone();
        let (session, target, cached) = (Arc::clone(session), Arc::clone(target), Arc::clone(cached));
        tokio::spawn(async move {
            let turn = rights.0.renewals.acquire().await;
            let answered = timeout(TIMEOUT, rights.question(&session, &target, None)).await;
            drop(turn);
            if answered.ok().flatten().is_none() {
                sleep(REST).await;
            }
            cached.is_renewing.store(false, Ordering::Relaxed);
        });
    }

    /// Asks the API server. Concurrent callers with the same key share one answer. A user with too many concurrent requests gets no
    /// answer, and delays other users little.
    pub(super) async fn ask(&self, session: &Arc<Session>, target: &Arc<Target>) -> Right {
        let Some(permit) = self.0.callers.take(session.identity.user_name.clone()) else {
            return Right::Unanswered;
        };
        // Callers that join a review keep a permit as well.
        let permit = Arc::new(permit);
        right(self.flight(session, target, &permit).await)
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
        right(timeout(TIMEOUT, answered).await.ok().flatten())
    }

    fn flight(&self, session: &Arc<Session>, target: &Arc<Target>, permit: &Arc<Permit<String>>) -> Flight {
        // A review that began before roles changed says nothing about the present.
        let joins = |started: Instant| !self.is_outdated(started, target);
        let key = self.key(session, target);
        self.0.flights.join_or_start(key, joins, |landing| {
            let (rights, session, target) = (self.clone(), Arc::clone(session), Arc::clone(target));
            let permit = Arc::clone(permit);
            // A task of its own: the first caller may leave before the answer. The review keeps its permit.
            let task = tokio::spawn(async move {
                let _landing = landing;
                let answered = timeout(TIMEOUT, rights.question(&session, &target, Some(permit))).await;
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
        let entry = self.0.answers.entry(self.key(session, target));
        entry.and_compute_with(|before| match before.map(Entry::into_value) {
            // Reviews may end in another order than they began.
            Some(before) if !before.presumed && before.asked > asked => Op::Nop,
            _ => Op::Put(Cached::new(granted, asked, false)),
        });
        Some(granted)
    }

    async fn review(&self, review: SubjectAccessReviewSpec) -> Option<bool> {
        let status = access_review::ask(&self.0.client, &self.0.scope, review).await;
        match status.map(|status| question::is_granted(status.as_ref())) {
            Ok(Ok(granted)) => {
                self.0.metrics.review(if granted { "granted" } else { "missing" });
                Some(granted)
            }
            Ok(Err(error)) => self.record_failure(&error),
            Err(error) => self.record_failure(&error.to_string()),
        }
    }

    /// Errors are never cached.
    fn record_failure(&self, error: &str) -> Option<bool> {
        self.0.metrics.review("failed");
        tracing::warn!(
            error,
            "a right to connect cannot be verified: the API server does not answer"
        );
        None
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
}

fn right(granted: Option<bool>) -> Right {
    match granted {
        Some(true) => Right::Granted,
        Some(false) => Right::Missing,
        None => Right::Unanswered,
    }
}

#[cfg(test)]
mod tests;
