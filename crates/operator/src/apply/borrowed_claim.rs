//! Claims that a workspace names but does not own -> whether it may start on them (IO).
//!
//! The home claim is marked as in use, which keeps other workspaces off. The mark is an annotation on the claim. It is written before
//! the pod is made and removed when no pod is left. It outlives the operator, and two workspaces that start at the same time conflict
//! on it.

use std::sync::Arc;

use api::names;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{
    Api,
    api::{ListParams, Patch},
};
use rules::ValidWorkspace;

use super::{
    WriteError,
    writes::{get_live, send_patch, write_error},
};
use crate::{
    blockers::{Blocker, DiskBlocker},
    cache::{
        observe,
        observed::{Identity, holders},
        partial::Pod,
    },
    context::Context,
    plan::disks::borrowed_claims::{self, Named},
    support::send::patch_as,
};

type Claim = PersistentVolumeClaim;

/// Pods per page of a list request.
const PAGE: u32 = 200;

/// Whether a run may start on the claims that the workspace names. If so, its home is marked as in use.
pub(super) async fn borrow(
    context: &Context,
    identity: &Identity,
    valid: &ValidWorkspace,
) -> Result<Option<Blocker>, WriteError> {
    for named in borrowed_claims::named_claims(valid) {
        let claim = named.claim.clone();
        let Some(live) = get_live::<Claim>(context, &identity.namespace, &claim).await? else {
            return Ok(Some(Blocker::Disk(DiskBlocker::Missing { claim })));
        };
        if live.metadata.deletion_timestamp.is_some() {
            let holders = holders(&live.metadata);
            return Ok(Some(Blocker::Disk(DiskBlocker::Terminating { claim, holders })));
        }
        if borrowed_claims::is_a_disk(&live) {
            return Ok(Some(Blocker::Disk(DiskBlocker::OfAnother { claim })));
        }
        if let Some(by) = other_user(context, identity, &named, &live).await? {
            return Ok(Some(Blocker::Disk(DiskBlocker::InUse { claim, by })));
        }
    }
    Ok(None)
}

/// The other user of a claim, if any. If there is none and the claim is the home, marks it as in use by this workspace.
async fn other_user(
    context: &Context,
    identity: &Identity,
    named: &Named,
    live: &Arc<Claim>,
) -> Result<Option<String>, WriteError> {
    if borrowed_claims::is_shared(live) {
        return Ok(None);
    }
    match borrowed_claims::user(live) {
        Some((_, uid)) if uid == identity.uid => return Ok(None),
        Some((name, uid)) => {
            let exists = observe::exists(&context.client, &identity.namespace, name, uid).await;
            if exists.map_err(|source| WriteError::new("Workspace", source))? {
                return Ok(Some(format!("workspace {name}")));
            }
        }
        None => {}
    }
    if !named.home {
        return Ok(None);
    }
    if let Some(pod) = other_pod(context, identity, &named.claim).await? {
        return Ok(Some(format!("pod {pod}")));
    }
    note(context, identity, live, Some(identity)).await?;
    Ok(None)
}

/// The name of another pod that mounts the claim. Pods of the whole namespace are read in pages: no label tells which pods mount it.
async fn other_pod(
    context: &Context,
    identity: &Identity,
    claim: &str,
) -> Result<Option<String>, WriteError> {
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &identity.namespace);
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = pods.list(&params).await.map_err(write_error::<Pod>)?;
        if let Some(pod) = borrowed_claims::other_pod(identity, claim, &page.items) {
            return Ok(Some(pod.metadata.name.clone().unwrap_or_default()));
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(None),
        }
    }
}

/// Removes the in-use mark once no pod of the workspace is left.
pub(crate) async fn give_back(context: &Context, identity: &Identity, claim: &str) -> Result<(), WriteError> {
    let Some(live) = get_live::<Claim>(context, &identity.namespace, claim).await? else {
        return Ok(());
    };
    match borrowed_claims::user(&live) {
        Some((_, uid)) if uid == identity.uid => note(context, identity, &live, None).await,
        _ => Ok(()),
    }
}

async fn note(
    context: &Context,
    identity: &Identity,
    claim: &Claim,
    by: Option<&Identity>,
) -> Result<(), WriteError> {
    let params = patch_as(names::OPERATOR);
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let patch = Patch::Merge(borrowed_claims::note(claim, by));
    send_patch::<Claim, _>(context, identity, name, &params, &patch).await?;
    Ok(())
}
