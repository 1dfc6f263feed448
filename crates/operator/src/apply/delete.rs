//! A child of ours -> deleted, and what is left of a workspace that is a pod or makes one (IO).

use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{DeleteParams, Preconditions, PropagationPolicy},
};
use serde::de::DeserializeOwned;

use crate::{
    cache::observed::{Identity, Observed},
    context::Context,
};

/// The last maker of pods, in words.
pub(crate) const DEPLOYMENT: &str = "Deployment";

/// Whether nothing of the workspace is left that is a pod or makes one.
pub fn seems_bare(observed: &Observed) -> bool {
    makers(observed).is_empty()
}

/// Pods of the workspace and what makes them, in words.
pub fn makers(observed: &Observed) -> Vec<String> {
    let marked = |meta: &ObjectMeta| observed.identity.marked(meta);
    let pods = observed.pods.iter().filter(|pod| marked(&pod.metadata));
    let mut left: Vec<String> = pods.map(|pod| format!("pod {}", pod.name_any())).collect();
    if let Some(orphan) = observed.orphans().next() {
        // Nobody else deletes it, and the operator has no right to.
        left.push(format!(
            "ReplicaSet, left by whoever deleted its Deployment (kubectl delete -n {} replicaset/{})",
            observed.identity.namespace,
            orphan.name_any()
        ));
    } else if observed.replica_sets.iter().any(|it| marked(&it.metadata)) {
        left.push("ReplicaSet".to_owned());
    }
    if observed.own_deployment().is_some() {
        left.push(DEPLOYMENT.to_owned());
    }
    left
}

/// Deletes a child that is ours and not yet on its way out, and no other of its name; whether none of ours is left. What
/// it is told to be gone it does not delete again: caches may show it a little longer.
pub(crate) async fn delete<K>(
    context: &Context,
    identity: &Identity,
    live: Option<&K>,
    propagation: PropagationPolicy,
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
    let kind = K::kind(&());
    let uid = live.meta().uid.as_deref().unwrap_or_default();
    if context.pending_writes.has_removed(identity, &kind, Some(uid)) {
        return Ok(true);
    }
    let gone = end(context, identity, live, propagation).await?;
    if gone {
        context.pending_writes.removed(identity, &kind, uid);
    }
    Ok(gone)
}

/// Deletes what is not yet on its way out, if it is still this very object; whether it is gone. Nothing is remembered of it: that
/// is forgotten only with a workspace, so it is not for what has none any more.
pub(crate) async fn end<K>(
    context: &Context,
    identity: &Identity,
    live: &K,
    propagation: PropagationPolicy,
) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    if live.meta().deletion_timestamp.is_some() {
        return Ok(false);
    }
    let children: Api<K> = Api::namespaced(context.client.clone(), &identity.namespace);
    let params = DeleteParams {
        propagation_policy: Some(propagation),
        preconditions: Some(Preconditions {
            uid: live.meta().uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    match children.delete(&live.name_any(), &params).await {
        // What is only marked for deletion is shown with its mark.
        Ok(answer) => Ok(answer
            .left()
            .is_none_or(|it| it.meta().deletion_timestamp.is_none())),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(true),
        // Another object by now, as the caches will show; or it is there still, and who judges deletions had this one wait.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
