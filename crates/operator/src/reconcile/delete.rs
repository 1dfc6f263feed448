//! A workspace that is being deleted -> children deleted, finalizer released (IO).

use api::{Workspace, WorkspaceStatus};
use kube::Resource as _;

use super::{
    outcome::{Error, Next, RECHECK_INTERVAL, sooner},
    pending_status::{newest_observed, newest_status, newest_version, with_pending_status},
    teardown::{self, DiskPolicy},
};
use crate::{
    apply::finalizer,
    audit::Users,
    cache::{
        observe,
        observed::{Identity, Observed},
        stores::Parsed,
    },
    context::Context,
    plan::disks::retention::retention,
    status::{
        assess,
        publish::{self, StatusUpdate},
    },
};

/// Deletes the children of a deleted workspace first. Its spec is not needed.
pub(super) async fn delete(object: &Parsed<Workspace>, context: &Context) -> Result<Next, Error> {
    let identity = Identity::of(object.meta());
    context.idle.forget(&identity.key());
    if context.pending_writes.is_released(&identity) {
        return Ok(Next::Never);
    }
    let observed = what_is_left(context, &identity).await?;
    let disks = disk_policy(object, context).await?;
    let left = context
        .metrics
        .timed(
            "delete",
            Box::pin(teardown::delete_children(context, object, &disks, &observed)),
        )
        .await?;
    let users = Users::of(object.meta());
    let Some(left) = left else {
        // If the finalizer was released before, the deletion was recorded then.
        if finalizer::is_held(object) {
            context.audit.deleted(&identity, &users, observed.run_id());
        }
        context.pending_writes.released(&identity);
        return Ok(Next::Never);
    };
    let mut delay = None;
    if let Ok(workspace) = &object.0 {
        let written = newest_status(workspace, context);
        let own = with_pending_status(workspace, written.as_ref(), context);
        let workspace = own.as_deref().unwrap_or(workspace);
        let status = assess::deleting(workspace, &left, (context.now)());
        let update = StatusUpdate {
            status,
            is_end_requested: true,
            users,
            run: observed.run_id().map(str::to_owned),
            ..StatusUpdate::default()
        };
        let seen = newest_version(&workspace.metadata, context);
        delay = publish::publish(context, &identity, seen, written.as_deref(), update).await?;
    }
    Ok(Next::Settled(sooner(Some(RECHECK_INTERVAL), delay)))
}

/// Observed state of a deleted workspace. Where the cache shows no pod, one read decides.
async fn what_is_left(context: &Context, identity: &Identity) -> Result<Observed, Error> {
    let (observed, _) = newest_observed(identity, context);
    if !observed.is_free() {
        return Ok(observed);
    }
    Ok(observe::with_live_pod(observed, &context.client).await?)
}

/// What becomes of the disks of a deleted workspace. If its spec does not parse, its status decides.
async fn disk_policy(object: &Parsed<Workspace>, context: &Context) -> Result<DiskPolicy, Error> {
    let storage = |status: Option<&WorkspaceStatus>| status?.resolved.as_ref()?.storage.clone();
    let Ok(workspace) = &object.0 else {
        let (_, status) = observe::unreadable(&Identity::of(object.meta()), &context.client).await?;
        let last = storage(Some(&status));
        return Ok(DiskPolicy {
            retain: retention(None, None, last.as_ref()),
            last: last.as_ref().and_then(|last| last.retain),
            borrowed: last.and_then(|last| last.claim_name),
        });
    };
    let references = observe::references(workspace, &context.stores);
    let written = newest_status(workspace, context);
    let own = with_pending_status(workspace, written.as_ref(), context);
    let last = storage(own.as_deref().unwrap_or(workspace).status.as_ref());
    let given = workspace.spec.storage.as_ref();
    Ok(DiskPolicy {
        retain: retention(
            Some(&workspace.spec),
            references.template.as_deref(),
            last.as_ref(),
        ),
        last: last.and_then(|last| last.retain),
        borrowed: given.and_then(|storage| storage.claim_name.clone()),
    })
}
