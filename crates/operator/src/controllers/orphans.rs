//! Network policies whose workspace is gone -> deleted, once they isolate no pod (IO).
//!
//! A `NetworkPolicy` has no owner reference, so the garbage collector does not delete it while its pod is still ending
//! (docs/decisions/0033). `reconcile/teardown.rs` deletes it with its workspace. This controller deletes policies that teardown missed:
//! a user removed the workspace's finalizer, or the policy was made so late that teardown did not see it.

use std::{sync::Arc, time::Duration};

use api::{Workspace, names};
use k8s_openapi::{api::networking::v1::NetworkPolicy, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Resource as _, api::PropagationPolicy, core::PartialObjectMeta};
use tokio_util::sync::CancellationToken;

use crate::{
    apply::delete,
    cache::{
        observe::{self, Scope},
        observed::Identity,
        stores::{self, Keys, Stores},
    },
    context::Context,
    controllers::{
        attempt::{Attempt, attempt},
        resync,
    },
};

/// A write that takes longer is stuck. It is cancelled and retried.
const LIMIT: Duration = Duration::from_secs(15);
/// While pods are being deleted, their policies are checked again after this time.
const VIGIL: Duration = Duration::from_secs(5);

/// Reconciles now and on every change, until shutdown. Start it when the caches are filled.
pub async fn run(context: &Context, shutdown: &CancellationToken) {
    resync::make(&context.stores.changes, shutdown, async || {
        Box::pin(reconcile(context)).await
    })
    .await;
}

/// Deletes the policies that isolate no pod. Returns when to check again those that are still needed.
pub async fn reconcile(context: &Context) -> Option<Duration> {
    let mut again: Option<Duration> = None;
    for wall in context
        .stores
        .policies
        .select(|wall| may_be_left(wall, &context.stores))
    {
        let Some(identity) = left_by(&wall.metadata, &context.stores) else {
            continue;
        };
        if !context.site.ignores(&identity.namespace) {
            let wait = Box::pin(attend(context, &identity, &wall)).await;
            again = [again, wait].into_iter().flatten().min();
        }
    }
    again
}

/// Whether it needs a closer check: most policies belong to an existing workspace.
fn may_be_left(wall: &Keys, stores: &Stores) -> bool {
    let Some((namespace, name)) = &wall.workspace else {
        return false;
    };
    let there = stores::get_parsed(&stores.workspaces, Some(namespace), name);
    let uid = there
        .as_ref()
        .and_then(|workspace| workspace.meta().uid.as_deref());
    uid.is_none() || uid != wall.workspace_uid.as_deref()
}

/// The workspace that left a policy of ours, if the cache does not show it any more.
fn left_by(wall: &ObjectMeta, stores: &Stores) -> Option<Identity> {
    let identity = Identity {
        namespace: wall.namespace.clone()?,
        name: wall.labels.as_ref()?.get(names::WORKSPACE_LABEL)?.clone(),
        uid: wall.annotations.as_ref()?.get(names::WORKSPACE_UID)?.clone(),
    };
    let ours = wall.name.as_ref() == Some(&identity.child_name()) && identity.owns(wall);
    if !ours || wall.deletion_timestamp.is_some() {
        return None;
    }
    let there = stores::get_parsed(&stores.workspaces, Some(&identity.namespace), &identity.name);
    let there = there.is_some_and(|workspace| workspace.meta().uid.as_ref() == Some(&identity.uid));
    (!there).then_some(identity)
}

async fn attend(context: &Context, identity: &Identity, wall: &Arc<NetworkPolicy>) -> Option<Duration> {
    let what = Attempt {
        step: "wall",
        key: format!("wall {} of {}", identity.key(), identity.uid),
        limit: LIMIT,
        complaint: "a NetworkPolicy cannot be removed",
    };
    match attempt(context, &what, remove(context, identity, wall)).await {
        Ok(gone) => (!gone).then_some(VIGIL),
        Err(failed) => Some(failed.again),
    }
}

/// Deletes a policy, unless the API server still has its workspace, a pod of it or anything that makes one. Returns whether it is gone.
async fn remove(context: &Context, identity: &Identity, wall: &NetworkPolicy) -> Result<bool, kube::Error> {
    let cached = observe::observed(identity, &context.stores);
    if !delete::seems_bare(&cached) || exists(context, identity).await? {
        return Ok(false);
    }
    let observed = observe::reread(cached, Scope::DeploymentAndPods, &context.client, &context.lister)
        .await
        .map_err(|error| error.0)?;
    if !delete::seems_bare(&observed) {
        return Ok(false);
    }
    delete::end(context, identity, wall, PropagationPolicy::Background).await
}

/// Whether the workspace with this UID exists. The cache may not show it yet.
async fn exists(context: &Context, identity: &Identity) -> Result<bool, kube::Error> {
    let workspaces: Api<PartialObjectMeta<Workspace>> =
        Api::namespaced(context.client.clone(), &identity.namespace);
    let found = workspaces.get_metadata_opt(&identity.name).await?;
    Ok(found.is_some_and(|found| found.metadata.uid.as_ref() == Some(&identity.uid)))
}
