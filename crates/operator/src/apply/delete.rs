//! A child of ours -> deleted; what is left of a workspace's pods (IO).

use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Resource, ResourceExt as _, api::DeleteParams};
use serde::de::DeserializeOwned;

use super::{
    WriteError,
    writes::{NamedKind, Outcome, objects, write_error},
};
use crate::{
    cache::{
        observed::{Identity, Observed, held_in_brackets},
        stores::Trim,
    },
    context::Context,
};

/// The pods of the workspace, as text.
pub(crate) fn pods_left(observed: &Observed) -> Vec<String> {
    observed
        .own_pods()
        .map(|pod| format!("pod {}{}", pod.name_any(), held_in_brackets(&pod.metadata)))
        .collect()
}

/// Deletes a child that is ours and not yet being deleted, and no other object of its name. Returns whether none of ours is left.
pub(crate) async fn delete<K>(
    context: &Context,
    identity: &Identity,
    live: Option<&K>,
    params: DeleteParams,
) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let Some(live) = live.filter(|live| identity.owns(live.meta())) else {
        return Ok(true);
    };
    let ended = end(context, &objects(context, identity), live, params).await?;
    Ok(matches!(ended, Ended::Gone))
}

/// Deletes a child that is ours and not wanted any more. It may be gone already, or a new object may have its name.
pub(super) async fn remove<K>(
    context: &Context,
    identity: &Identity,
    unwanted: &K,
) -> Result<Outcome<K>, WriteError>
where
    K: Trim + Resource<Scope = NamespaceResourceScope> + NamedKind,
{
    let objects = objects(context, identity);
    let ended = end(context, &objects, unwanted, DeleteParams::background()).await;
    ended.map_err(write_error::<K>)?;
    Ok(Outcome::Is(None))
}

/// Result of deleting an object.
pub(crate) enum Ended<K> {
    /// It is gone.
    Gone,
    /// It is being deleted: a finalizer keeps it.
    Held(K),
    /// It may exist, or a new object has its name, as the caches will show.
    Unknown,
}

/// Deletes an object that is not yet being deleted, if it still has this UID.
pub(crate) async fn end<K>(
    context: &Context,
    objects: &Api<K>,
    live: &K,
    mut params: DeleteParams,
) -> Result<Ended<K>, kube::Error>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    if live.meta().deletion_timestamp.is_some() {
        return Ok(Ended::Unknown);
    }
    params.preconditions.get_or_insert_default().uid = live.uid();
    match objects.delete(&live.name_any(), &params).await {
        Ok(answer) => {
            context.metrics.write("delete");
            let held = answer.left().filter(|it| is_held(it.meta()));
            Ok(held.map_or(Ended::Gone, Ended::Held))
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Ended::Gone),
        // The object has another UID or version, or an admission check delayed the deletion.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Ended::Unknown),
        Err(error) => Err(error),
    }
}

/// Whether a deleted object was only marked. A pod that is removed at once is returned with a grace period of 0.
fn is_held(answer: &ObjectMeta) -> bool {
    let is_kept = answer.finalizers.as_ref().is_some_and(|all| !all.is_empty());
    answer.deletion_timestamp.is_some() && (is_kept || answer.deletion_grace_period_seconds != Some(0))
}
