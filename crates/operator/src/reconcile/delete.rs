//! A workspace that is being deleted -> children deleted, finalizer released (IO).

use std::sync::Arc;

use api::{Workspace, WorkspaceStatus, WorkspaceTemplate, workspace::Retain};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Resource as _;

use super::{
    outcome::{Error, Next, RECHECK_INTERVAL},
    teardown::{self, DiskPolicy},
};
use crate::{
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
    let identity = Identity::from_meta(object.meta());
    context.idle.forget(&identity.key());
    let observed = what_is_left(context, &identity).await?;
    let disks = disk_policy(object, context).await?;
    let left = context
        .metrics
        .time(
            "delete",
            Box::pin(teardown::delete_children(context, object, &disks, &observed)),
        )
        .await?;
    let Some(left) = left else {
        return Ok(Next::Never);
    };
    if let Ok(workspace) = &object.0 {
        let update = StatusUpdate {
            status: assess::deleting(workspace, &left, (context.now)()),
            run: observed.run_id().map(str::to_owned),
            ..StatusUpdate::default()
        };
        let before = workspace.status.as_ref();
        publish::publish(context, &workspace.metadata, before, update).await?;
    }
    Ok(Next::Settled(Some(RECHECK_INTERVAL)))
}

/// Observed state of a deleted workspace. Where the cache shows no pod, one read decides.
async fn what_is_left(context: &Context, identity: &Identity) -> Result<Observed, Error> {
    let (observed, _) = context.pending_writes.newest_children(identity, &context.stores);
    if !observed.is_free() {
        return Ok(observed);
    }
    Ok(observe::with_live_pod(observed, &context.client).await?)
}

/// What becomes of the disks of a deleted workspace. If its spec does not parse, its status decides.
async fn disk_policy(object: &Parsed<Workspace>, context: &Context) -> Result<DiskPolicy, Error> {
    let storage = |status: Option<&WorkspaceStatus>| status?.resolved.as_ref()?.storage.clone();
    let Ok(workspace) = &object.0 else {
        let (_, status) = observe::unreadable(&Identity::from_meta(object.meta()), &context.client).await?;
        let last = storage(Some(&status));
        return Ok(DiskPolicy {
            retain: retention(None, None, last.as_ref()),
            last: last.as_ref().and_then(|last| last.retain),
            borrowed: last.and_then(|last| last.claim_name),
            further: further_disks(object, None, context),
        });
    };
    let references = observe::references(workspace, &context.stores);
    let last = storage(workspace.status.as_ref());
    let given = workspace.spec.storage.as_ref();
    Ok(DiskPolicy {
        retain: retention(
            Some(&workspace.spec),
            references.template.as_deref(),
            last.as_ref(),
        ),
        last: last.and_then(|last| last.retain),
        borrowed: given.and_then(|storage| storage.claim_name.clone()),
        further: further_disks(object, references.template.as_deref(), context),
    })
}

/// All further disks, each with what its template says becomes of it. Where no template says that, the owner reference does: a retained one
/// has none from its creation on.
fn further_disks(
    object: &Parsed<Workspace>,
    template: Option<&WorkspaceTemplate>,
    context: &Context,
) -> Vec<(Arc<PersistentVolumeClaim>, Option<Retain>)> {
    let identity = Identity::from_meta(object.meta());
    let stated = |claim: &PersistentVolumeClaim| {
        let name = rules::names::further_disk(claim.metadata.name.as_deref()?, &identity.name)?;
        let disk = template?
            .spec
            .volume_claims
            .iter()
            .find(|disk| disk.name == name)?;
        Some(disk.retain.unwrap_or_default())
    };
    let claims = observe::all_further_claims(&identity, &context.stores).into_iter();
    claims
        .map(|claim| {
            let stated = stated(&claim);
            (claim, stated)
        })
        .collect()
}
