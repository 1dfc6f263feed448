//! Network policies whose workspace is gone -> deleted, once they isolate no pod (IO).
//!
//! A `NetworkPolicy` has no owner reference, so the garbage collector does not delete it while its pod is still ending
//! (docs/decisions/0027). `reconcile/teardown.rs` deletes it with its workspace. This controller deletes policies that teardown missed:
//! a user removed the workspace's finalizer, or the policy was made so late that teardown did not see it.

use std::{sync::Arc, time::Duration};

use api::names;
use k8s_openapi::{api::networking::v1::NetworkPolicy, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Resource as _, api::DeleteParams};

use crate::{
    apply::delete,
    cache::{
        observe,
        observed::Identity,
        stores::{self, Stores},
    },
    context::Context,
    controllers::attempt::{Attempt, attempt},
};

/// A write that takes longer is stuck. It is cancelled and retried.
const LIMIT: Duration = Duration::from_secs(15);
/// While pods are being deleted, their policies are checked again after this time.
const RECHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Deletes the policies that isolate no pod. Returns when to check again those that are still needed.
pub async fn reconcile(context: &Context) -> Option<Duration> {
    let mut again: Option<Duration> = None;
    let stores = &context.stores;
    for policy in stores.policies.state() {
        if let Some(identity) = orphaned_by(policy.meta(), stores)
            && !context.installation.ignores(&identity.namespace)
            && let Some(policy) = policy.object().filter(|policy| identity.owns(&policy.metadata))
        {
            let wait = Box::pin(reconcile_one(context, &identity, &policy)).await;
            again = [again, wait].into_iter().flatten().min();
        }
    }
    again
}

/// The workspace that left a policy with our marks, if the cache does not show it any more.
fn orphaned_by(policy: &ObjectMeta, stores: &Stores) -> Option<Identity> {
    let identity = Identity {
        namespace: policy.namespace.clone()?,
        name: policy.labels.as_ref()?.get(names::WORKSPACE_LABEL)?.clone(),
        uid: policy.annotations.as_ref()?.get(names::WORKSPACE_UID)?.clone(),
    };
    let ours = policy.name.as_ref() == Some(&identity.child_name());
    if !ours || policy.deletion_timestamp.is_some() {
        return None;
    }
    let there = stores::get_parsed(&stores.workspaces, Some(&identity.namespace), &identity.name);
    let there = there.is_some_and(|workspace| workspace.meta().uid.as_ref() == Some(&identity.uid));
    (!there).then_some(identity)
}

async fn reconcile_one(
    context: &Context,
    identity: &Identity,
    policy: &Arc<NetworkPolicy>,
) -> Option<Duration> {
    let what = Attempt {
        step: "orphans",
        key: format!("NetworkPolicy {} of {}", identity.key(), identity.uid),
        limit: LIMIT,
        complaint: "a NetworkPolicy cannot be removed",
    };
    match attempt(context, &what, remove(context, identity, policy)).await {
        Ok(gone) => (!gone).then_some(RECHECK_INTERVAL),
        Err(failed) => Some(failed.again),
    }
}

/// Deletes a policy, unless the API server still has its workspace or a pod of it. Returns whether it is gone.
async fn remove(context: &Context, identity: &Identity, policy: &NetworkPolicy) -> Result<bool, kube::Error> {
    let cached = observe::from_caches(identity, &context.stores);
    let Identity { namespace, name, uid } = identity;
    if !cached.is_free() || observe::exists(&context.client, namespace, name, uid).await? {
        return Ok(false);
    }
    let observed = observe::with_live_pod(cached, &context.client).await;
    if !observed.map_err(|error| error.0)?.is_free() {
        return Ok(false);
    }
    let policies = Api::namespaced(context.client.clone(), namespace);
    let ended = delete::end(context, &policies, policy, DeleteParams::background()).await?;
    Ok(matches!(ended, delete::Ended::Gone))
}
