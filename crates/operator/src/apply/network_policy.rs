//! How pods are isolated -> the policies in their namespace, before a pod has their labels (IO).
//!
//! A pod gets the labels of policies only while the lock of its namespace is held for reading, and only after both policies were seen in
//! it. A policy is deleted only while the lock is held for writing, after the API server has listed no pod that it selects. The first
//! write of a leader's term gives the policy another version, so that a deletion by an earlier leader that comes late fails. A deletion
//! without an answer ends the term too.

use api::names;
use k8s_openapi::api::{core::v1 as core_v1, networking::v1::NetworkPolicy};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Preconditions},
    core::PartialObjectMeta,
};
use tokio::sync::OwnedRwLockReadGuard;

use super::{
    WriteError,
    delete::{self, Ended},
    diff::{self, Step},
    first_to_report,
    lasting::child,
    limit_time,
};
use crate::{
    blockers::Blocker,
    cache::observed::Identity,
    context::Context,
    plan::{self, Isolation},
};

const KIND: &str = "NetworkPolicy";

/// Makes sure that a namespace has the policies of pods that are isolated so. While the caller holds the lock, none of them is deleted.
pub(super) async fn ensure(
    context: &Context,
    namespace: &str,
    isolation: &Isolation,
) -> Result<(OwnedRwLockReadGuard<()>, Option<Blocker>), WriteError> {
    let planned = || {
        let policies = isolation.policies(namespace, &context.installation).into_iter();
        policies.map(|policy| in_this_term(context, policy))
    };
    let lock = context.namespaces.lock(namespace);
    let held = lock.clone().read_owned().await;
    let left: Vec<_> = planned().filter(|policy| !is_stored(context, policy)).collect();
    let contested: Vec<_> = left
        .iter()
        .filter_map(|policy| contested(context, policy))
        .collect();
    if contested.len() == left.len() {
        return Ok((held, contested.into_iter().next()));
    }
    drop(held);
    let held = lock.write_owned().await;
    let mut found: Option<Blocker> = None;
    // The one that denies comes first.
    for policy in planned() {
        // Other starts wait for it.
        let blocker = limit_time(KIND, Box::pin(put(context, policy))).await?;
        found = first_to_report(found, blocker);
        if found.as_ref().is_some_and(Blocker::blocks) {
            break;
        }
    }
    Ok((held.downgrade(), found))
}

/// Makes the policies of running pods as planned.
pub(super) async fn restore(
    context: &Context,
    namespace: &str,
    isolation: &Isolation,
) -> Result<Option<Blocker>, WriteError> {
    let mut found = None;
    for policy in isolation.policies(namespace, &context.installation) {
        found = first_to_report(found, restore_one(context, policy).await?);
    }
    Ok(found)
}

/// Makes a policy as planned. In which term it was written does not matter.
pub(crate) async fn restore_one(
    context: &Context,
    policy: NetworkPolicy,
) -> Result<Option<Blocker>, WriteError> {
    if is_stored(context, &policy) {
        return Ok(None);
    }
    let namespace = policy.metadata.namespace.as_deref().unwrap_or_default();
    let _held = context.namespaces.lock(namespace).write_owned().await;
    put(context, in_this_term(context, policy)).await
}

/// Deletes a policy, unless a pod needs it. Returns whether it is gone.
pub(crate) async fn remove(
    context: &Context,
    identity: &Identity,
    selector: &str,
) -> Result<bool, kube::Error> {
    let _held = context.namespaces.lock(&identity.namespace).write_owned().await;
    let policy = context.pending_writes.newest_policy(identity, &context.stores);
    let Some(policy) = policy.filter(|policy| plan::network_policy::is_ours(&policy.metadata)) else {
        return Ok(true);
    };
    let pods: Api<PartialObjectMeta<core_v1::Pod>> =
        Api::namespaced(context.client.clone(), &identity.namespace);
    let selected = ListParams::default().labels(selector).limit(1);
    if !pods.list_metadata(&selected).await?.items.is_empty() {
        return Ok(false);
    }
    let expected = &context.pending_writes.policies;
    // The loss is recorded first: the cache may show the policy for some time, and the answer may be lost.
    expected.expect_none(&identity.key(), &policy.metadata);
    let as_seen = DeleteParams::background().preconditions(Preconditions {
        uid: None,
        resource_version: policy.metadata.resource_version.clone(),
    });
    let policies = Api::namespaced(context.client.clone(), &identity.namespace);
    let mut sent = Deletion {
        context,
        is_answered: false,
    };
    let ended = delete::end(context, &policies, policy.as_ref(), as_seen).await;
    sent.is_answered = match &ended {
        Ok(_) => true,
        Err(kube::Error::Api(status)) => status.code < 500,
        Err(_) => false,
    };
    let is_kept = matches!(ended, Ok(Ended::Unknown) | Err(kube::Error::Api(_)));
    if is_kept {
        expected.forget(&identity.key());
    }
    Ok(matches!(ended?, Ended::Gone))
}

/// A deletion that was sent. Without an answer, which cancellation prevents as well, it may come late: the next start gives the policy
/// another version.
struct Deletion<'a> {
    context: &'a Context,
    is_answered: bool,
}

impl Drop for Deletion<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.context.rename_term();
        }
    }
}

/// What reports a policy that another client changes, if it must not be written now. It was written in this term.
fn contested(context: &Context, planned: &NetworkPolicy) -> Option<Blocker> {
    let identity = plan::network_policy::identity_of(&planned.metadata)?;
    let live = context.pending_writes.newest_policy(&identity, &context.stores)?;
    if diff::step(&identity, planned, live.as_ref()) != Step::Write {
        return None;
    }
    let name = identity.child_name();
    context.contests.check(&identity, (KIND, &name), planned).err()
}

/// Whether a policy is stored as planned.
pub(crate) fn is_stored(context: &Context, planned: &NetworkPolicy) -> bool {
    let Some(identity) = plan::network_policy::identity_of(&planned.metadata) else {
        return false;
    };
    let live = context.pending_writes.newest_policy(&identity, &context.stores);
    live.is_some_and(|live| diff::step(&identity, planned, live.as_ref()) == Step::Keep)
}

/// The policy as the leader of this term writes it.
fn in_this_term(context: &Context, mut policy: NetworkPolicy) -> NetworkPolicy {
    let annotations = policy.metadata.annotations.get_or_insert_default();
    annotations.insert(names::WRITTEN_IN.to_owned(), context.term.lock().clone());
    policy
}

async fn put(context: &Context, policy: NetworkPolicy) -> Result<Option<Blocker>, WriteError> {
    let Some(identity) = plan::network_policy::identity_of(&policy.metadata) else {
        return Ok(None);
    };
    let live = context.pending_writes.newest_policy(&identity, &context.stores);
    let outcome = child(context, &identity, Some(policy), live.as_ref()).await?;
    let blocker = outcome.blocker();
    let mut written = None;
    outcome.put_into(&mut written);
    if let Some(written) = written {
        context.pending_writes.policies.expect(&identity.key(), &written);
    }
    Ok(blocker)
}
