//! Answer to a `SelfSubjectReview` -> the user, and the owner of what the user creates (IO).

use api::names::CREATED_BY;
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, UserInfo};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::failure::Failure;

/// Name, UID and groups of the user, as the API server knows them.
pub(crate) async fn current_user(cluster: &Cluster) -> Result<UserInfo, Failure> {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer = cluster.create::<SelfSubjectReview>(None, &review, false).await?;
    let review: SelfSubjectReview = serde_json::from_value(answer)?;
    Ok(review
        .status
        .and_then(|status| status.user_info)
        .unwrap_or_default())
}

/// Writes the user's own name as the owner, if the object names none. Where a webhook runs, it would do the same; in an installation in one
/// namespace no other client does. The API server judges the name in each case.
pub(crate) async fn own(cluster: &Cluster, object: &mut Value) -> Result<(), Failure> {
    // Its type was checked, so both are maps or missing.
    let annotations = &mut object["metadata"]["annotations"];
    if !annotations[CREATED_BY].is_null() {
        return Ok(());
    }
    match current_user(cluster).await {
        Ok(user) => {
            if let Some(name) = user.username {
                annotations[CREATED_BY] = json!(name);
            }
            Ok(())
        }
        // A cluster that answers no self-review may still have a webhook that writes the owner.
        Err(Failure::Refused(_)) => Ok(()),
        Err(failure) => Err(failure),
    }
}
