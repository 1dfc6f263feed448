//! Claims that a workspace names and that are not its own -> whether it may start on them, with a note on its home that
//! keeps others off (IO).
//!
//! The note is an annotation on the claim, written before the pod is made and taken away when no pod is left: it outlives
//! the operator, and two workspaces that start at the same time meet in it.

use std::sync::Arc;

use api::{Workspace, names};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
    core::PartialObjectMeta,
};
use rules::ValidWorkspace;

use super::{
    Error,
    writes::{failed, get_live, patched},
};
use crate::{
    blockers::{Blocker, DiskBlocker},
    cache::observed::Identity,
    context::Context,
    plan::disks::borrowed_claims::{self, Named},
};

type Claim = PersistentVolumeClaim;

/// How many pods are read at a time.
const PAGE: u32 = 200;

/// Whether a run may begin on the claims that the workspace names; its home is noted as in use then.
pub(super) async fn borrow(
    context: &Context,
    identity: &Identity,
    valid: &ValidWorkspace,
) -> Result<Option<Blocker>, Error> {
    for named in borrowed_claims::named(valid) {
        let claim = named.claim.clone();
        let Some(live) = get_live::<Claim>(context, &identity.namespace, &claim).await? else {
            return Ok(Some(Blocker::Disk(DiskBlocker::Missing { claim })));
        };
        if live.metadata.deletion_timestamp.is_some() {
            return Ok(Some(Blocker::Disk(DiskBlocker::Terminating { claim })));
        }
        if borrowed_claims::is_a_disk(&live) {
            return Ok(Some(Blocker::Disk(DiskBlocker::OfAnother { claim })));
        }
        if let Some(by) = occupied(context, identity, &named, &live).await? {
            return Ok(Some(Blocker::Disk(DiskBlocker::InUse { claim, by })));
        }
    }
    Ok(None)
}

/// Who else uses a claim. Notes us, if it is the home and nobody does.
async fn occupied(
    context: &Context,
    identity: &Identity,
    named: &Named,
    live: &Arc<Claim>,
) -> Result<Option<String>, Error> {
    if borrowed_claims::is_shared(live) {
        return Ok(None);
    }
    match borrowed_claims::user(live) {
        Some((_, uid)) if uid == identity.uid => return Ok(None),
        Some((name, uid)) if exists(context, &identity.namespace, name, uid).await? => {
            return Ok(Some(format!("workspace {name}")));
        }
        _ => {}
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

/// The name of another pod that mounts the claim. Pods of a whole namespace are read in pages: no label tells which mount it.
async fn other_pod(context: &Context, identity: &Identity, claim: &str) -> Result<Option<String>, Error> {
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &identity.namespace);
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = pods.list(&params).await.map_err(failed::<Pod>)?;
        if let Some(pod) = borrowed_claims::other_pod(identity, claim, &page.items) {
            return Ok(Some(pod.metadata.name.clone().unwrap_or_default()));
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(None),
        }
    }
}

/// Takes the note away once no pod of the workspace is left.
pub async fn give_back(context: &Context, identity: &Identity, claim: &str) -> Result<(), Error> {
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
) -> Result<(), Error> {
    let params = PatchParams {
        field_manager: Some(names::OPERATOR.to_owned()),
        ..PatchParams::default()
    };
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let patch = Patch::Merge(borrowed_claims::note(claim, by));
    patched::<Claim, _>(context, identity, name, &params, &patch).await?;
    Ok(())
}

/// Whether that very workspace still exists. The caches may not know it yet.
async fn exists(context: &Context, namespace: &str, name: &str, uid: &str) -> Result<bool, Error> {
    let workspaces: Api<PartialObjectMeta<Workspace>> = Api::namespaced(context.client.clone(), namespace);
    let found = workspaces.get_metadata_opt(name).await.map_err(|source| Error {
        kind: "Workspace",
        source,
    })?;
    Ok(found.is_some_and(|found| found.metadata.uid.as_deref() == Some(uid)))
}
