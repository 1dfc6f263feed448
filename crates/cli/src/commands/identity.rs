//! The API server's answer to a `SelfSubjectReview` -> who asks (IO).

use k8s_openapi::api::authentication::v1::{SelfSubjectReview, UserInfo};
use serde_json::json;

use crate::cluster::Cluster;
use crate::failure::Failure;

/// Name, UID and groups of the user, as the API server knows them.
pub(crate) async fn who_asks(cluster: &Cluster) -> Result<UserInfo, Failure> {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer = cluster.create::<SelfSubjectReview>(None, &review, false).await?;
    let review: SelfSubjectReview =
        serde_json::from_value(answer).map_err(|error| Failure::Other(error.into()))?;
    Ok(review
        .status
        .and_then(|status| status.user_info)
        .unwrap_or_default())
}
