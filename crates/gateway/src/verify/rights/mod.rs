//! user and workspace -> whether roles allow to connect (IO; from memory where known).
//!
//! - `question`: the `SubjectAccessReview`.
//! - here: who may ask, and the renewal of answers that open sockets depend on. `kit::access_review` asks and remembers.

mod question;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kit::access_review::{AccessReviews, Answer, Settings};
use kit::limit::ConcurrencyLimit;
use kit::scope::Scope;
use kube::Client;
use moka::sync::Cache;
use rules::access::Right;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use crate::index::Target;
use crate::metrics::Metrics;
use crate::session::Session;
use crate::tokens::RandomId;

/// Maximum number of concurrent reviews for requests of one user; the user's further reviews queue behind these.
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
/// Maximum number of answers that open sockets wait for. One for which no socket waits any more is removed after this time.
const MAX_RENEWALS: u64 = 50_000;
const UNUSED: Duration = Duration::from_mins(10);

/// Session, UID of the workspace, and hash of the identity that the review is about: a session's groups may change.
type Key = (RandomId, String, u64);

/// Rights to connect, as the API server reported them. Every clone shares them.
#[derive(Clone)]
pub struct Rights(Arc<Inner>);

struct Inner {
    reviews: AccessReviews<Key>,
    /// Answers that open sockets wait for.
    renewals: Cache<Key, Arc<Renewal>>,
    permits: Semaphore,
    /// Hash keys of identities, of this process alone.
    hashes: RandomState,
    /// Per user, and not per session: a user may sign in, or create tokens, any number of times.
    callers: ConcurrencyLimit<String>,
    metrics: Metrics,
}

/// An answer that open sockets wait for, until it comes.
struct Renewal {
    since: Instant,
    /// Whether a review in the background is in progress.
    is_under_way: AtomicBool,
}

impl Rights {
    /// A new instance with an empty cache.
    pub fn new(client: Client, scope: Scope, metrics: Metrics) -> Self {
        let settings = Settings {
            granted: TTL_GRANTED,
            refused: TTL_MISSING,
            must_be_certain: true,
            of_one_user: MAX_REVIEWS_OF_ONE_USER,
            timeout: TIMEOUT,
        };
        let counts = metrics.clone();
        let observer = move |answer: &Result<Answer, kube::Error>| match answer {
            Ok(answer) => counts.review(if answer.granted { "granted" } else { "missing" }),
            Err(error) => {
                counts.review("failed");
                tracing::warn!(%error, "a right to connect cannot be verified: the API server does not answer");
            }
        };
        Self(Arc::new(Inner {
            reviews: AccessReviews::observed(client, scope, settings, observer),
            renewals: Cache::builder()
                .max_capacity(MAX_RENEWALS)
                .time_to_idle(UNUSED)
                .build(),
            permits: Semaphore::new(RENEWALS_AT_ONCE),
            hashes: RandomState::new(),
            callers: ConcurrencyLimit::new(MAX_CALLERS_OF_ONE_USER, MAX_CALLERS).sharing(2),
            metrics,
        }))
    }

    /// The cached right of a user.
    pub(super) fn known(&self, session: &Session, target: &Target) -> Right {
        match self.0.reviews.newest(&self.key(session, target)) {
            Some(answer) if self.counts(&answer, target) => right(Some(answer)),
            _ => Right::Unknown,
        }
    }

    /// As [`Rights::known`], for an open socket. A right that may be outdated is requested at once. Until the API server answers,
    /// it stays valid for `grace`. A right without any answer yet stays valid for the timeout of one review.
    pub(super) fn held(&self, session: &Arc<Session>, target: &Arc<Target>, grace: Duration) -> Right {
        let key = self.key(session, target);
        let newest = self.0.reviews.newest(&key);
        let counting = newest.filter(|answer| self.counts(answer, target));
        if let Some(answer) = counting
            && answer.asked.elapsed() < RENEW
        {
            return right(Some(answer));
        }
        let renewal = self.renew(key, session, target);
        let (since, grace) = match newest {
            Some(_) if counting.is_some() => return right(counting),
            Some(answer) if answer.granted => (answer.asked, grace.max(TTL_GRANTED)),
            Some(_) => return Right::Unanswered,
            None => (renewal.since, TIMEOUT),
        };
        if since.elapsed() < grace {
            Right::Granted
        } else {
            Right::Unanswered
        }
    }

    fn key(&self, session: &Session, target: &Target) -> Key {
        let identity = (&session.identity, &session.credential);
        (session.id, target.uid.clone(), self.0.hashes.hash_one(identity))
    }

    fn counts(&self, answer: &Answer, target: &Target) -> bool {
        self.0.reviews.counts(answer, &target.namespace)
    }

    /// Asks in the background. It joins no review that may wait behind the user's other reviews: otherwise a user could delay the
    /// end of a right with many of them.
    fn renew(&self, key: Key, session: &Session, target: &Target) -> Arc<Renewal> {
        let renewal = self.0.renewals.get_with_by_ref(&key, || {
            Arc::new(Renewal {
                since: Instant::now(),
                is_under_way: AtomicBool::new(false),
            })
        });
        if renewal.is_under_way.swap(true, Ordering::Relaxed) {
            return renewal;
        }
        let (rights, begun) = (self.clone(), Arc::clone(&renewal));
        let question = question::about(session, &target.namespace, &target.name);
        tokio::spawn(async move {
            let turn = rights.0.permits.acquire().await;
            let answered = rights.0.reviews.ask_apart(key.clone(), question).await;
            drop(turn);
            if answered.is_ok() {
                rights.0.renewals.invalidate(&key);
                return;
            }
            sleep(REST).await;
            begun.is_under_way.store(false, Ordering::Relaxed);
        });
        renewal
    }

    /// Asks the API server. Concurrent callers with the same key share one answer. A user with too many concurrent requests gets no
    /// answer, and delays other users little.
    pub(super) async fn ask(&self, session: &Session, target: &Target) -> Right {
        let Some(permit) = self.0.callers.take(session.identity.user_name.clone()) else {
            return Right::Unanswered;
        };
        let question = question::about(session, &target.namespace, &target.name);
        // A caller who leaves before the answer keeps its permit until then.
        let asked = self
            .0
            .reviews
            .ask(self.key(session, target), question, TTL_MISSING, permit);
        right(asked.await.ok())
    }

    /// Whether a user may `use` a template. Always asks the API server and caches nothing.
    pub(crate) async fn may_use(&self, session: &Session, namespace: &str, template: &str) -> Right {
        let Some(_permit) = self.0.callers.take(session.identity.user_name.clone()) else {
            return Right::Unanswered;
        };
        let question = question::template(session, namespace, template);
        right(self.0.reviews.ask_uncached(question).await.ok())
    }

    /// Watches roles and their bindings forever. Affected answers are requested again.
    pub async fn follow_roles(self) {
        // These watches do not affect the index's age. Without them, answers expire after half a minute and are requested again.
        let failed = |resource| self.0.metrics.count_failed_watch(resource);
        self.0.reviews.clone().follow_roles(failed).await;
    }

    /// Marks answers as outdated after roles changed in a namespace (`None`: in the whole cluster).
    pub fn doubt(&self, namespace: Option<&str>) {
        self.0.reviews.add_role_change(namespace);
    }
}

fn right(answer: Option<Answer>) -> Right {
    match answer.map(|answer| answer.granted) {
        Some(true) => Right::Granted,
        Some(false) => Right::Missing,
        None => Right::Unanswered,
    }
}

#[cfg(test)]
mod tests;
