//! User, verb and object -> whether the user has the permission (IO).
//!
//! - `question`: the `SubjectAccessReview` and its answer. `role_changes`: where rights may have changed.
//! - here: how long an answer counts. Callers who ask the same at the same time share one review, and each user has a share of the reviews
//!   that are under way.

mod question;
mod role_changes;

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::SubjectAccessReviewSpec;
use kube::Client;
use moka::Entry;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::{future, sync};
use parking_lot::RwLock;
use tokio::time::{Instant, timeout};

use self::question::{Decision, digest, read, send};
pub use self::question::{Right, question};
use self::role_changes::{LONGEST, RoleChanges};
use super::scope::Scope;
use crate::limit::FairQueue;

/// Maximum number of cached answers, of some 200 bytes each. Those that are not used for longest go first.
const MAX_CACHED: u64 = 50_000;
/// Maximum number of concurrent access reviews, of all users together.
const CONCURRENCY: usize = 32;

/// SHA-256 of a question.
pub type Digest = [u8; 32];

/// What the API server said.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// Whether the user has the permission.
    pub granted: bool,
    /// When the review was sent.
    pub asked: Instant,
    /// How long it counts.
    lifetime: Duration,
}

/// How reviews are requested, and how long answers are cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Lifetime of a grant.
    pub granted: Duration,
    /// Lifetime of a refusal, unless the caller says otherwise. Where a user waits for a permission that an administrator just gave, it should
    /// be short.
    pub refused: Duration,
    /// Whether a review is an error, and not a refusal of the usual lifetime, when an authorizer failed and no other grants.
    pub must_be_certain: bool,
    /// Maximum number of concurrent reviews of one user. Further ones wait for these.
    pub of_one_user: usize,
    /// Timeout of a review, which includes the wait for others.
    pub timeout: Duration,
}

/// Is told what each review came to.
type Observer = Box<dyn Fn(&Result<Answer, kube::Error>) + Send + Sync>;

/// Requests access reviews from the API server, and caches answers by `K`: whatever an answer depends on. Clones share the cache.
pub struct AccessReviews<K = Digest>(Arc<Inner<K>>);

struct Inner<K> {
    client: Client,
    scope: Scope,
    settings: Settings,
    answers: sync::Cache<K, Answer>,
    /// Reviews that callers share, with the change of roles that they came after: one from before it says nothing about the present. An answer
    /// expires as it comes, so that only callers who wait for it get it.
    under_way: future::Cache<(K, Option<Instant>), Answer>,
    queue: FairQueue,
    changes: RwLock<RoleChanges>,
    observer: Observer,
}

impl<K> Clone for AccessReviews<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> std::fmt::Debug for AccessReviews<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessReviews")
            .field("scope", &self.0.scope)
            .finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static> AccessReviews<K> {
    /// In [`Scope::Namespace`] the reviews are `LocalSubjectAccessReview`s, which need no right on the cluster.
    pub fn new(client: Client, scope: Scope, settings: Settings) -> Self {
        Self::observed(client, scope, settings, |_| {})
    }

    /// The same. `observer` is told what each review came to, also one that did not end in time.
    pub fn observed(
        client: Client,
        scope: Scope,
        settings: Settings,
        observer: impl Fn(&Result<Answer, kube::Error>) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            client,
            scope,
            settings,
            answers: sync::Cache::builder()
                .max_capacity(MAX_CACHED)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_idle(LONGEST)
                .build(),
            under_way: future::Cache::builder().time_to_live(Duration::ZERO).build(),
            queue: FairQueue::new(settings.of_one_user, CONCURRENCY),
            changes: RwLock::default(),
            observer: Box::new(observer),
        }))
    }

    /// Watches roles and their bindings forever: answers from before a change do not count any more. Calls `failed` with the resource of a
    /// watch that failed. That watch goes on where it ended, or lists again, which counts as a change.
    pub async fn follow_roles(self, failed: impl Fn(&'static str)) {
        let changed = |namespace: Option<&str>| self.add_role_change(namespace);
        role_changes::follow(self.0.client.clone(), &self.0.scope, failed, changed).await;
    }

    /// Outdates answers after roles changed in a namespace (`None`: in the whole cluster).
    pub fn add_role_change(&self, namespace: Option<&str>) {
        self.0.changes.write().add(namespace, Instant::now());
    }

    /// When answers about a namespace became outdated last.
    fn last_change(&self, namespace: &str) -> Option<Instant> {
        self.0.changes.read().last(namespace, Instant::now())
    }

    /// The newest answer, whether it still counts or not. Reads memory only.
    pub fn newest(&self, key: &K) -> Option<Answer> {
        self.0.answers.get(key)
    }

    /// Whether an answer about a right in `namespace` still counts. Reads memory only.
    pub fn counts(&self, answer: &Answer, namespace: &str) -> bool {
        answer.asked.elapsed() < answer.lifetime.min(LONGEST)
            && self
                .last_change(namespace)
                .is_none_or(|changed| changed <= answer.asked)
    }

    /// Asks, or joins the callers who ask the same since the last change of roles. The answer is cached, a refusal for `refused`. The review goes
    /// on if the caller leaves; `permit` is dropped when it ends.
    ///
    /// # Errors
    /// The API server does not answer. This is not cached.
    pub async fn ask(
        &self,
        key: K,
        question: SubjectAccessReviewSpec,
        refused: Duration,
        permit: impl Send + 'static,
    ) -> Result<Answer, Arc<kube::Error>> {
        let this = self.clone();
        // A task of its own: a caller who leaves or is not polled neither holds a turn nor makes those who joined ask again.
        let asked = tokio::spawn(async move {
            let _permit = permit;
            let shared = (key, this.last_change(namespace(&question)));
            let review = async {
                let user = question.user.clone().unwrap_or_default();
                let answer = this.review(Some(&user), question, refused).await?;
                this.store(shared.0.clone(), answer);
                Ok(answer)
            };
            this.0.under_way.try_get_with_by_ref(&shared, review).await
        });
        asked
            .await
            .unwrap_or_else(|ended| Err(Arc::new(kube::Error::Service(ended.into()))))
    }

    /// The same, but it joins no review and takes no share of the user: it waits for none of the user's other reviews.
    ///
    /// # Errors
    /// The API server does not answer. This is not cached.
    pub async fn ask_apart(&self, key: K, question: SubjectAccessReviewSpec) -> Result<Answer, kube::Error> {
        let answer = self.review(None, question, self.0.settings.refused).await?;
        self.store(key, answer);
        Ok(answer)
    }

    /// Asks, and caches nothing.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn ask_uncached(&self, question: SubjectAccessReviewSpec) -> Result<Answer, kube::Error> {
        let user = question.user.clone().unwrap_or_default();
        self.review(Some(&user), question, self.0.settings.refused).await
    }

    async fn review(
        &self,
        user: Option<&str>,
        question: SubjectAccessReviewSpec,
        refused: Duration,
    ) -> Result<Answer, kube::Error> {
        let reviewed = async {
            // The queue is never closed.
            let _turn = self.0.queue.take(user).await;
            let asked = Instant::now();
            let status = send(&self.0.client, &self.0.scope, question).await;
            let decision = status.and_then(|status| read(status.as_ref()));
            decision.and_then(|decision| self.answer(decision, refused, asked))
        };
        let answer = timeout(self.0.settings.timeout, reviewed).await;
        let answer = answer.unwrap_or_else(|late| Err(kube::Error::Service(late.into())));
        (self.0.observer)(&answer);
        answer
    }

    fn answer(&self, decision: Decision, refused: Duration, asked: Instant) -> Result<Answer, kube::Error> {
        let settings = &self.0.settings;
        let (granted, lifetime) = match decision {
            Decision::Granted => (true, settings.granted),
            Decision::Refused => (false, refused),
            Decision::Uncertain(error) if settings.must_be_certain => {
                return Err(kube::Error::Service(error.into()));
            }
            Decision::Uncertain(_) => (false, refused.min(settings.refused)),
        };
        Ok(Answer {
            granted,
            asked,
            lifetime,
        })
    }

    /// Caches an answer. Reviews may end in another order than they began.
    fn store(&self, key: K, answer: Answer) {
        let entry = self.0.answers.entry(key);
        entry.and_compute_with(|before| match before.map(Entry::into_value) {
            Some(before) if before.asked > answer.asked => Op::Nop,
            _ => Op::Put(answer),
        });
    }
}

impl AccessReviews {
    /// Whether `user` has the permission `right`.
    ///
    /// # Errors
    /// The API server does not answer. This is not cached.
    pub async fn is_granted(&self, user: &UserInfo, right: &Right) -> Result<bool, Arc<kube::Error>> {
        self.is_granted_within(user, right, self.0.settings.refused).await
    }

    /// The same, but a refusal counts, and is cached, for so long. One that an authorizer gave because of an error is cached no longer than
    /// usual.
    ///
    /// # Errors
    /// The API server does not answer. This is not cached.
    pub async fn is_granted_within(
        &self,
        user: &UserInfo,
        right: &Right,
        refused: Duration,
    ) -> Result<bool, Arc<kube::Error>> {
        let question = question(user, right);
        let key = digest(&question)?;
        let counts = |answer: &Answer| {
            self.counts(answer, &right.namespace) && (answer.granted || answer.asked.elapsed() < refused)
        };
        if let Some(answer) = self.newest(&key).filter(counts) {
            return Ok(answer.granted);
        }
        let answer = self.ask(key, question, refused, ()).await?;
        Ok(answer.granted)
    }
}

/// The namespace that a question is about; empty: all.
fn namespace(question: &SubjectAccessReviewSpec) -> &str {
    let attributes = question.resource_attributes.as_ref();
    attributes
        .and_then(|it| it.namespace.as_deref())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
