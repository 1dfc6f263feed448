//! User, verb and object -> whether the user has the permission (IO).
//!
//! Access reviews are cached for a short time.

use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use moka::Expiry;
use moka::future::Cache;

use super::LookupError;

/// Lifetime of a cached grant.
const GRANTED_TTL: Duration = Duration::from_secs(10);
/// Lifetime of a cached refusal. It is shorter, because users try again when they have just got the permission.
const REFUSED_TTL: Duration = Duration::from_secs(2);
/// Maximum size of the cached access reviews, in bytes.
const MAX_CACHED: u64 = 8 * 1024 * 1024;

/// A permission that a user may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Right {
    pub(crate) verb: &'static str,
    /// API group; empty for the core group.
    pub(crate) group: &'static str,
    /// Plural of the kind.
    pub(crate) resource: String,
    /// For cluster-scoped kinds: the namespace that uses the object, so that the permission can be granted per namespace.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// Requests access reviews from the API server.
#[derive(Clone)]
pub(crate) struct AccessReviews {
    client: Client,
    cache: Cache<String, bool>,
}

struct ByAnswer;

impl Expiry<String, bool> for ByAnswer {
    fn expire_after_create(&self, _: &String, granted: &bool, _: Instant) -> Option<Duration> {
        Some(if *granted { GRANTED_TTL } else { REFUSED_TTL })
    }

    fn expire_after_update(
        &self,
        key: &String,
        granted: &bool,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, granted, now)
    }
}

impl AccessReviews {
    pub(crate) fn new(client: Client) -> Self {
        let cache = Cache::builder()
            .max_capacity(MAX_CACHED)
            .weigher(|question: &String, _| u32::try_from(question.len()).unwrap_or(u32::MAX))
            .expire_after(ByAnswer)
            .build();
        Self { client, cache }
    }

    /// Whether `user` has the permission `right`. Errors are not cached.
    pub(crate) async fn is_granted(&self, user: &UserInfo, right: &Right) -> Result<bool, LookupError> {
        let spec = question(user, right);
        // The key contains everything that the answer depends on, so that no user gets another user's answer.
        let key = serde_json::to_string(&spec).map_err(|error| {
            LookupError::new(
                format!("the right to {}", right.verb),
                kube::Error::SerdeError(error),
            )
        })?;
        if let Some(granted) = self.cache.get(&key).await {
            return Ok(granted);
        }
        let review = SubjectAccessReview {
            spec,
            ..SubjectAccessReview::default()
        };
        let reviews = Api::<SubjectAccessReview>::all(self.client.clone());
        let answer = Box::pin(reviews.create(&PostParams::default(), &review))
            .await
            .map_err(|error| LookupError::new(format!("the right to {}", right.verb), error))?;
        let granted = answer
            .status
            .is_some_and(|status| status.allowed && !status.denied.unwrap_or(false));
        Box::pin(self.cache.insert(key, granted)).await;
        Ok(granted)
    }
}

fn question(user: &UserInfo, right: &Right) -> SubjectAccessReviewSpec {
    let version = if right.group == api::names::GROUP {
        api::names::VERSION
    } else {
        "v1"
    };
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
            version: Some(version.to_owned()),
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
    use super::*;

    #[test]
    fn a_refusal_is_forgotten_sooner_than_a_grant() {
        let now = Instant::now();
        let ttl = |granted| ByAnswer.expire_after_create(&String::new(), &granted, now);
        assert_eq!(ttl(true), Some(Duration::from_secs(10)));
        assert!(ttl(false) < ttl(true));
    }

    #[test]
    fn another_group_uid_or_name_is_another_question() {
        let right = Right {
            verb: "use",
            group: api::names::GROUP,
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
            assert_ne!(
                serde_json::to_string(&base).unwrap(),
                serde_json::to_string(&different).unwrap()
            );
        }
    }
}
