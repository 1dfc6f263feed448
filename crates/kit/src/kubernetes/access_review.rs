//! User, verb and object -> whether the user has the permission (IO).
//!
//! Answers are cached. Callers who ask the same at the same time share one review.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
    SubjectAccessReviewStatus,
};
use kube::api::PostParams;
use kube::{Api, Client};
use moka::future::Cache;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::role_changes::{self, RoleChanges};
use super::scope::Scope;

/// Maximum number of cached answers, of some 200 bytes each.
const MAX_CACHED: u64 = 50_000;
/// Maximum number of concurrent access reviews, of all users together.
const CONCURRENCY: usize = 32;
/// Timeout of an access review, which includes the wait for others.
const TIMEOUT: Duration = Duration::from_secs(10);

/// SHA-256 of a question.
type Key = [u8; 32];

/// What the API server said.
#[derive(Debug, Clone, Copy)]
struct Review {
    granted: bool,
    at: Instant,
    /// How long it counts.
    lifetime: Duration,
}

/// A permission that a user may have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Right {
    /// Such as `create`.
    pub verb: &'static str,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version of the group.
    pub version: &'static str,
    /// Plural of the kind, with `/` and the subresource if there is one.
    pub resource: String,
    /// Namespace; empty: all. For cluster-scoped kinds the namespace that uses the object, so that the permission can be granted per
    /// namespace.
    pub namespace: String,
    /// Name; empty: all.
    pub name: String,
}

/// How long answers are cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of a grant.
    pub granted: Duration,
    /// Of a refusal, unless the caller says otherwise. Where a user waits for a permission that an administrator just gave, it should be
    /// short.
    pub refused: Duration,
}

/// Requests access reviews from the API server.
#[derive(Clone)]
pub struct AccessReviews {
    client: Client,
    scope: Scope,
    cache: Cache<Key, Review>,
    lifetimes: Lifetimes,
    permits: Arc<Semaphore>,
    changes: Arc<RwLock<RoleChanges>>,
}

impl std::fmt::Debug for AccessReviews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessReviews")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl AccessReviews {
    /// In [`Scope::Namespace`] the reviews are `LocalSubjectAccessReview`s, which need no right on the cluster.
    pub fn new(client: Client, scope: Scope, lifetimes: Lifetimes) -> Self {
        let cache = Cache::builder()
            .max_capacity(MAX_CACHED)
            .time_to_live(role_changes::LONGEST)
            .build();
        Self {
            client,
            scope,
            cache,
            lifetimes,
            permits: Arc::new(Semaphore::new(CONCURRENCY)),
            changes: Arc::default(),
        }
    }

    /// Watches roles and their bindings forever: answers from before a change are requested again. A watch that failed goes on where it
    /// ended, or lists again, which counts as a change.
    pub async fn follow_roles(self) {
        let failed = |_| {};
        let changed = |namespace: Option<&str>| self.add_role_change(namespace);
        role_changes::follow(self.client.clone(), &self.scope, failed, changed).await;
    }

    /// Outdates answers after roles changed in a namespace (`None`: in the whole cluster).
    fn add_role_change(&self, namespace: Option<&str>) {
        let mut changes = self.changes.write().unwrap_or_else(PoisonError::into_inner);
        changes.add(namespace, Instant::now());
    }

    fn is_outdated(&self, answer: Review, namespace: &str) -> bool {
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        changes.outdate(namespace, answer.at, Instant::now())
    }

    /// Whether `user` has the permission `right`.
    ///
    /// # Errors
    /// The API server does not answer. This is not cached.
    pub async fn is_granted(&self, user: &UserInfo, right: &Right) -> Result<bool, Arc<kube::Error>> {
        self.is_granted_within(user, right, self.lifetimes.refused).await
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
        let spec = question(user, right);
        let key = key(&spec)?;
        if let Some(answer) = self.cache.get(&key).await {
            let lasts = if answer.granted {
                answer.lifetime
            } else {
                answer.lifetime.min(refused)
            };
            if answer.at.elapsed() <= lasts && !self.is_outdated(answer, &right.namespace) {
                return Ok(answer.granted);
            }
            self.cache.invalidate(&key).await;
        }
        // A task of its own: a caller who gives up or is not polled neither holds a permit nor makes others wait.
        let this = self.clone();
        let asked = tokio::spawn(async move {
            let answer = async {
                let at = Instant::now();
                let answer = tokio::time::timeout(TIMEOUT, this.ask(spec)).await;
                let (granted, is_certain) =
                    answer.unwrap_or_else(|late| Err(kube::Error::Service(late.into())))?;
                let lifetime = match (granted, is_certain) {
                    (true, _) => this.lifetimes.granted,
                    (false, true) => refused,
                    (false, false) => refused.min(this.lifetimes.refused),
                };
                Ok(Review {
                    granted,
                    at,
                    lifetime,
                })
            };
            this.cache.try_get_with(key, Box::pin(answer)).await
        });
        let answer = asked
            .await
            .unwrap_or_else(|ended| Err(Arc::new(kube::Error::Service(ended.into()))));
        Ok(answer?.granted)
    }

    /// Whether the right is granted, and whether that was found out without an error.
    async fn ask(&self, spec: SubjectAccessReviewSpec) -> Result<(bool, bool), kube::Error> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.ok();
        let status = ask(&self.client, &self.scope, spec).await?;
        let status = status.unwrap_or_default();
        let granted = status.allowed && !status.denied.unwrap_or(false);
        Ok((granted, status.evaluation_error.is_none()))
    }
}

/// The API server's answer. In [`Scope::Namespace`] the review is a `LocalSubjectAccessReview`, which needs no right on the cluster.
///
/// # Errors
/// The API server does not answer.
pub async fn ask(
    client: &Client,
    scope: &Scope,
    spec: SubjectAccessReviewSpec,
) -> Result<Option<SubjectAccessReviewStatus>, kube::Error> {
    let params = PostParams::default();
    match scope {
        Scope::Cluster => {
            let review = SubjectAccessReview {
                spec,
                ..SubjectAccessReview::default()
            };
            let reviews = Api::<SubjectAccessReview>::all(client.clone());
            Ok(Box::pin(reviews.create(&params, &review)).await?.status)
        }
        Scope::Namespace(namespace) => {
            let mut review = LocalSubjectAccessReview {
                spec,
                ..LocalSubjectAccessReview::default()
            };
            review.metadata.namespace = Some(namespace.clone());
            let reviews = Api::<LocalSubjectAccessReview>::namespaced(client.clone(), namespace);
            Ok(Box::pin(reviews.create(&params, &review)).await?.status)
        }
    }
}

/// The key depends on everything that the answer depends on, so that no user gets another user's answer.
fn key(question: &SubjectAccessReviewSpec) -> Result<Key, kube::Error> {
    let bytes = serde_json::to_vec(question).map_err(kube::Error::SerdeError)?;
    let mut key = Key::default();
    key.copy_from_slice(digest(&SHA256, &bytes).as_ref());
    Ok(key)
}

/// The review that asks whether `user` has the permission `right`.
pub fn question(user: &UserInfo, right: &Right) -> SubjectAccessReviewSpec {
    let (resource, subresource) = match right.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (right.resource.as_str(), None),
    };
    SubjectAccessReviewSpec {
        user: user.username.clone(),
        uid: user.uid.clone(),
        groups: user.groups.clone(),
        extra: user.extra.clone(),
        resource_attributes: Some(ResourceAttributes {
            group: Some(right.group.to_owned()),
            version: Some(right.version.to_owned()),
            resource: Some(resource.to_owned()),
            subresource,
            verb: Some(right.verb.to_owned()),
            namespace: Some(right.namespace.clone()),
            name: Some(right.name.clone()),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn another_group_uid_or_name_is_another_question() {
        let right = Right {
            verb: "use",
            group: "example.org",
            version: "v1",
            resource: "workspacetemplates".to_owned(),
            namespace: "team".to_owned(),
            name: "prod".to_owned(),
        };
        let user = UserInfo {
            username: Some("alice".to_owned()),
            ..UserInfo::default()
        };
        let base = question(&user, &right);
        let member = UserInfo {
            groups: Some(vec!["staff".to_owned()]),
            ..user.clone()
        };
        let namesake = UserInfo {
            uid: Some("2".to_owned()),
            ..user.clone()
        };
        let other = Right {
            name: "gpu".to_owned(),
            ..right.clone()
        };
        for different in [
            question(&member, &right),
            question(&namesake, &right),
            question(&user, &other),
        ] {
            assert_ne!(key(&base).unwrap(), key(&different).unwrap());
        }
    }

    fn lasting() -> Lifetimes {
        Lifetimes {
            granted: Duration::from_mins(1),
            refused: Duration::from_mins(1),
        }
    }

    fn get_of(name: usize) -> Right {
        Right {
            verb: "get",
            group: "example.org",
            version: "v1",
            resource: "things".to_owned(),
            namespace: "team".to_owned(),
            name: name.to_string(),
        }
    }

    /// Answers each review with `allowed` after 10 ms; counts all, and the most at the same time.
    fn counting(all: &Arc<AtomicUsize>, most: &Arc<AtomicUsize>) -> Client {
        answering(json!({"allowed": true}), all, most)
    }

    /// The same with this status.
    fn answering(status: Value, all: &Arc<AtomicUsize>, most: &Arc<AtomicUsize>) -> Client {
        let (all, most, open) = (all.clone(), most.clone(), Arc::new(AtomicUsize::new(0)));
        let service = tower::service_fn(move |_: http::Request<kube::client::Body>| {
            all.fetch_add(1, SeqCst);
            most.fetch_max(open.fetch_add(1, SeqCst) + 1, SeqCst);
            let (open, answer) = (open.clone(), json!({"spec": {}, "status": status}).to_string());
            async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                open.fetch_sub(1, SeqCst);
                let body = kube::client::Body::from(answer.into_bytes());
                Ok::<_, std::convert::Infallible>(http::Response::new(body))
            }
        });
        Client::new(service, "default")
    }

    #[tokio::test(start_paused = true)]
    async fn callers_who_ask_the_same_share_one_review_and_few_reviews_are_concurrent() {
        let (all, most) = (Arc::default(), Arc::default());
        let reviews = AccessReviews::new(counting(&all, &most), Scope::Cluster, lasting());
        let callers = (0..400).map(|caller| {
            let reviews = reviews.clone();
            tokio::spawn(async move {
                reviews
                    .is_granted(&UserInfo::default(), &get_of(caller % 100))
                    .await
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            assert!(caller.await.unwrap().unwrap());
        }
        assert_eq!(all.load(SeqCst), 100);
        assert_eq!(most.load(SeqCst), CONCURRENCY);
    }

    #[tokio::test(start_paused = true)]
    async fn the_review_of_a_caller_who_gives_up_is_still_cached() {
        let (all, most) = (Arc::default(), Arc::default());
        let reviews = AccessReviews::new(counting(&all, &most), Scope::Cluster, lasting());
        let (user, right) = (UserInfo::default(), get_of(1));
        let early = tokio::time::timeout(Duration::from_millis(1), reviews.is_granted(&user, &right)).await;
        assert!(early.is_err());
        assert!(reviews.is_granted(&user, &right).await.unwrap());
        assert_eq!(all.load(SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_older_than_a_caller_accepts_is_reviewed_again_and_a_grant_is_not() {
        for (allowed, expected) in [(false, [1, 1, 2, 2]), (true, [1, 1, 1, 1])] {
            let (all, most) = (Arc::default(), Arc::default());
            let answer = json!({"allowed": allowed});
            let reviews = AccessReviews::new(answering(answer, &all, &most), Scope::Cluster, lasting());
            let mut asked = Vec::new();
            for (pause, refused) in [(0, 60), (40, 60), (0, 30), (10, 30)] {
                tokio::time::sleep(Duration::from_secs(pause)).await;
                let answer = reviews
                    .is_granted_within(&UserInfo::default(), &get_of(1), Duration::from_secs(refused))
                    .await;
                assert_eq!(answer.unwrap(), allowed);
                asked.push(all.load(SeqCst));
            }
            assert_eq!(asked, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_from_before_a_change_of_roles_is_asked_again_at_once_and_until_all_api_servers_know() {
        for (changed, again) in [(None, true), (Some("team"), true), (Some("other"), false)] {
            let (all, most) = (Arc::default(), Arc::default());
            let answer = json!({"allowed": false});
            let reviews = AccessReviews::new(answering(answer, &all, &most), Scope::Cluster, lasting());
            let ask = async |pause: u64| {
                tokio::time::sleep(Duration::from_secs(pause)).await;
                let (user, right) = (UserInfo::default(), get_of(1));
                let asked = reviews.is_granted_within(&user, &right, Duration::from_mins(30));
                assert!(!asked.await.unwrap());
                all.load(SeqCst)
            };
            assert_eq!((ask(0).await, ask(1).await), (1, 1));
            tokio::time::sleep(Duration::from_secs(1)).await;
            reviews.add_role_change(changed);
            let mut asked = Vec::new();
            for pause in [0, 1, 2, 1, 7, 60, 600] {
                asked.push(ask(pause).await);
            }
            let expected = if again { [2, 2, 3, 3, 4, 4, 4] } else { [1; 7] };
            assert_eq!(asked, expected, "{changed:?}");
        }
    }

    #[tokio::test]
    async fn each_answer_is_kept_for_its_own_time() {
        let lifetimes = Lifetimes {
            granted: Duration::from_secs(10),
            refused: Duration::from_secs(2),
        };
        let error = json!({"allowed": false, "evaluationError": "a webhook did not answer"});
        for (status, lifetime) in [
            (json!({"allowed": true}), 10),
            (json!({"allowed": false}), 300),
            (error, 2),
        ] {
            let (all, most) = (Arc::default(), Arc::default());
            let reviews =
                AccessReviews::new(answering(status.clone(), &all, &most), Scope::Cluster, lifetimes);
            let (user, right) = (UserInfo::default(), get_of(1));
            let asked = reviews.is_granted_within(&user, &right, Duration::from_mins(5));
            asked.await.unwrap();
            let key = key(&question(&user, &right)).unwrap();
            let answer = reviews.cache.get(&key).await.unwrap();
            assert_eq!(answer.lifetime, Duration::from_secs(lifetime), "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_review_without_answer_fails_and_is_repeated() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let silent = tower::service_fn(move |_: http::Request<kube::client::Body>| {
            count.fetch_add(1, SeqCst);
            std::future::pending::<Result<http::Response<kube::client::Body>, std::convert::Infallible>>()
        });
        let reviews = AccessReviews::new(Client::new(silent, "default"), Scope::Cluster, lasting());
        for attempt in 1..=2 {
            let start = Instant::now();
            assert!(
                reviews
                    .is_granted(&UserInfo::default(), &get_of(1))
                    .await
                    .is_err()
            );
            assert_eq!((start.elapsed(), asked.load(SeqCst)), (TIMEOUT, attempt));
        }
    }
}
