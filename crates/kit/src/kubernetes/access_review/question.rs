//! User and permission -> the review to send; its answer -> granted or not (IO: one request).

use aws_lc_rs::digest::SHA256;
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
    SubjectAccessReviewStatus,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::Digest;
use crate::scope::Scope;

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

/// The key depends on everything that the answer depends on, so that no user gets another user's answer.
pub(super) fn digest(question: &SubjectAccessReviewSpec) -> Result<Digest, kube::Error> {
    let bytes = serde_json::to_vec(question).map_err(kube::Error::SerdeError)?;
    let mut digest = Digest::default();
    digest.copy_from_slice(aws_lc_rs::digest::digest(&SHA256, &bytes).as_ref());
    Ok(digest)
}

/// The API server's answer. In [`Scope::Namespace`] the review is a `LocalSubjectAccessReview`, which needs no right on the cluster.
///
/// # Errors
/// The API server does not answer.
pub(super) async fn send(
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

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    Granted,
    Refused,
    /// An authorizer failed, with this error, and no other grants.
    Uncertain(String),
}

/// Reads the answer.
///
/// # Errors
/// It has no result.
pub(super) fn read(status: Option<&SubjectAccessReviewStatus>) -> Result<Decision, kube::Error> {
    let status = status.ok_or_else(|| kube::Error::Service("the answer has no result".into()))?;
    let error = status.evaluation_error.as_deref().unwrap_or_default();
    Ok(match (status.allowed, status.denied.unwrap_or(false)) {
        (true, false) => Decision::Granted,
        (false, _) if !error.is_empty() => Decision::Uncertain(error.to_owned()),
        _ => Decision::Refused,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
            assert_ne!(digest(&base).unwrap(), digest(&different).unwrap());
        }
    }

    #[test]
    fn only_an_allowed_review_grants_and_a_failed_authorizer_is_no_refusal() {
        for (status, decision) in [
            (json!({"allowed": true}), Some(Decision::Granted)),
            (json!({"allowed": true, "denied": true}), Some(Decision::Refused)),
            (json!({"allowed": false}), Some(Decision::Refused)),
            (
                json!({"allowed": false, "evaluationError": "webhook is away"}),
                Some(Decision::Uncertain("webhook is away".into())),
            ),
            (
                json!({"allowed": true, "evaluationError": "one role is missing"}),
                Some(Decision::Granted),
            ),
            (json!(null), None),
        ] {
            let read = read(
                serde_json::from_value::<Option<_>>(status.clone())
                    .unwrap()
                    .as_ref(),
            );
            assert_eq!(read.ok(), decision, "{status}");
        }
    }
}
