//! Caches, our last writes -> the workspace with its newest status, its newest pod (in memory).

use std::{borrow::Cow, time::Duration};

use api::{Workspace, WorkspaceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{
    cache::{
        observe,
        observed::{Identity, Observed},
    },
    context::Context,
};

/// The children: the cached ones, with our last write of the pod if the cache does not show it yet. Then also when to look again.
pub(super) fn newest_observed(identity: &Identity, context: &Context) -> (Observed, Option<Duration>) {
    let mut observed = observe::observed(identity, &context.stores);
    let cached = observed.pods.pop();
    let (pod, recheck) = context.pending_writes.newest_pod(identity, cached);
    observed.pods.extend(pod);
    (observed, recheck)
}

/// The `resourceVersion` on which a status is based: the cached one, or that of our last status if the cache does not show it yet.
pub(super) fn newest_version(cached: &ObjectMeta, context: &Context) -> Option<String> {
    let key = Identity::of(cached).key();
    context.pending_writes.newest_version(&key, cached)
}

/// The status of the workspace: the cached one, or our last write if the cache does not show it yet.
pub(super) fn newest_status<'a>(
    cached: &'a Workspace,
    context: &Context,
) -> Option<Cow<'a, WorkspaceStatus>> {
    let key = Identity::of(&cached.metadata).key();
    let newer = context.pending_writes.newer_status(&key, &cached.metadata);
    newer
        .map(Cow::Owned)
        .or_else(|| cached.status.as_ref().map(Cow::Borrowed))
}

/// The workspace with its pending status, if that differs from the cached one. A delayed status counts as written.
pub(super) fn with_pending_status(
    cached: &Workspace,
    newest: Option<&Cow<'_, WorkspaceStatus>>,
    context: &Context,
) -> Option<Box<Workspace>> {
    let identity = Identity::of(&cached.metadata);
    let own = match (
        context.status_debounce.status(&identity.key(), &identity.uid),
        newest,
    ) {
        (Some(delayed), _) => delayed,
        (None, Some(Cow::Owned(newer))) => newer.clone(),
        (None, _) => return None,
    };
    Some(Box::new(Workspace {
        metadata: cached.metadata.clone(),
        spec: cached.spec.clone(),
        status: Some(own),
    }))
}
