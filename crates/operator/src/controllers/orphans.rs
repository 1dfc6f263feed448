//! Walls whose workspace is gone for good -> deleted, once no pod is behind them (IO).
//!
//! A NetworkPolicy names no owner, so that no garbage collector takes it from around a pod that is still ending
//! (docs/decisions/0033). Who deletes it is `retire`; what is swept here had its workspace's finalizer taken away by hand, or
//! was made so late that `retire` did not see it.

use std::{sync::Arc, time::Duration};

use api::{Workspace, names};
use k8s_openapi::{api::networking::v1::NetworkPolicy, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Resource as _, api::PropagationPolicy, core::PartialObjectMeta};
use tokio_util::sync::CancellationToken;

use crate::{
    apply::delete,
    cache::{
        observe,
        observed::Identity,
        stores::{self, Glance, Stores},
    },
    context::Context,
    controllers::{
        attempt::{Attempt, attempt},
        resync,
    },
};

/// A write that takes longer has got stuck; it is given up and tried again.
const LIMIT: Duration = Duration::from_secs(15);
/// While pods are on their way out, they are looked at again after this time.
const VIGIL: Duration = Duration::from_secs(5);

/// Sweeps now and whenever something changed, until shutdown. To be begun when the caches are filled.
pub async fn run(context: &Context, shutdown: &CancellationToken) {
    resync::make(&context.stores.pulse, shutdown, async || {
        Box::pin(reconcile(context)).await
    })
    .await;
}

/// Deletes the walls that nobody needs any more, and says after which time to look again at those that are still needed.
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

/// Whether it has to be looked at more closely: most walls are those of a workspace that is there.
fn may_be_left(wall: &Glance<'_>, stores: &Stores) -> bool {
    let Some((namespace, name)) = wall.workspace else {
        return false;
    };
    let there = stores::get_parsed(&stores.workspaces, Some(namespace), name);
    let uid = there
        .as_ref()
        .and_then(|workspace| workspace.meta().uid.as_deref());
    !uid.is_some_and(|uid| wall.says(names::WORKSPACE_UID, uid))
}

/// The workspace that left a wall of ours, if the cache does not show it any more.
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

/// Deletes a wall, if the API server as well has neither its workspace nor anything of it that is a pod or makes one; whether it
/// is gone.
async fn remove(context: &Context, identity: &Identity, wall: &NetworkPolicy) -> Result<bool, kube::Error> {
    let cached = observe::observed(identity, &context.stores);
    if !delete::seems_bare(&cached) || exists(context, identity).await? {
        return Ok(false);
    }
    let observed = observe::reread(cached, &context.client, &context.lister)
        .await
        .map_err(|error| error.0)?;
    if !delete::seems_bare(&observed) {
        return Ok(false);
    }
    delete::end(context, identity, wall, PropagationPolicy::Background).await
}

/// Whether that very workspace is there. The cache may not know it yet.
async fn exists(context: &Context, identity: &Identity) -> Result<bool, kube::Error> {
    let workspaces: Api<PartialObjectMeta<Workspace>> =
        Api::namespaced(context.client.clone(), &identity.namespace);
    let found = workspaces.get_metadata_opt(&identity.name).await?;
    Ok(found.is_some_and(|found| found.metadata.uid.as_ref() == Some(&identity.uid)))
}
