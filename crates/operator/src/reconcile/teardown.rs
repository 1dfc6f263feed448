//! Deleted workspace, observed state -> children deleted, then the finalizer released (IO).

use std::sync::Arc;

use api::{condition::reason, names, workspace::Retain};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{
    Api, Resource, ResourceExt as _,
    api::{DeleteParams, Preconditions},
    runtime::events::{Event, EventType},
};

use crate::{
    apply::{
        self,
        delete::{delete, pods_left},
        finalizer,
    },
    audit::Users,
    blockers::refusal::Refusal,
    cache::observed::{Identity, Observed, held_in_brackets},
    context::Context,
    controllers::objects,
    plan::disks::{desired_claim, retention},
    status::{publish, transitions},
    support::{failure::message_of, text::brief},
};

/// A child could not be deleted, or the finalizer could not be released. The error is transient.
#[derive(Debug, thiserror::Error)]
#[error("the workspace cannot be cleaned up: {}", message_of(.0))]
pub struct TeardownError(#[from] pub kube::Error);

/// What a deleted workspace says about its disk.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DiskPolicy {
    /// Whether its own disk is deleted or retained.
    pub retain: Retain,
    /// The same, as of the last status.
    pub last: Option<Retain>,
    /// The claim that it uses as home but does not own, if its spec names one.
    pub borrowed: Option<String>,
    /// Its further disks, each with what its template says becomes of it.
    pub further: Vec<(Arc<PersistentVolumeClaim>, Option<Retain>)>,
}

/// Deletes the children of the workspace and returns what is left, as text for users. Nothing is left once the finalizer is released.
/// `object` is the workspace, of which only metadata is read. `observed` is what the API server holds now.
pub(super) async fn delete_children<K>(
    context: &Context,
    object: &K,
    disks: &DiskPolicy,
    observed: &Observed,
) -> Result<Option<String>, TeardownError>
where
    K: Resource<DynamicType = ()>,
{
    let identity = &observed.identity;
    if !finalizer::is_held(object) {
        // The finalizer was released, or a user removed it while another finalizer keeps the workspace. The children are deleted with the
        // workspace, whenever that is. A pod must not run until then, because the idle controller no longer stops it.
        let (_, refused) = end_pod(context, observed).await?;
        return Ok(refused.map(|refusal| refusal.message));
    }
    let owner = names::owner(object.meta());
    let background = DeleteParams::background;
    let pod = end_pod(context, observed);
    let home = async {
        let live = observed.own_claim();
        let is_orphaned = retention::is_orphaned(object.meta(), live.map(|live| &live.metadata), disks.last);
        let is_retained = disks.retain == Retain::Retain || is_orphaned;
        let name = identity.child_name();
        if is_retained {
            return retain_disk(context, identity, &name, owner).await;
        }
        delete_disk(context, identity, live).await
    };
    let further = futures::future::try_join_all(disks.further.iter().map(|(live, stated)| async {
        let is_orphaned = retention::is_orphaned(object.meta(), Some(&live.metadata), *stated);
        let is_retained = *stated == Some(Retain::Retain) || is_orphaned;
        if is_retained {
            return retain_disk(context, identity, &live.name_any(), owner).await;
        }
        delete_disk(context, identity, Some(live.as_ref())).await
    }));
    // The Service does not wait for the pods. So controllers that keep its endpoints need no update when the pods end.
    let service = delete(context, identity, observed.service.as_deref(), background());
    let ((is_free, refused), claim, further, service) = futures::try_join!(pod, home, further, service)?;
    let mut left = if is_free { Vec::new() } else { pods_left(observed) };
    if let (Some(pod), Some(refusal)) = (left.last_mut(), refused) {
        *pod = format!("{pod} ({})", refusal.message.trim_end_matches('.'));
    }
    let mut wait_for = |kind: &str, gone: bool| {
        if !gone {
            left.push(kind.to_owned());
        }
    };
    let held = observed
        .own_claim()
        .map(|claim| held_in_brackets(&claim.metadata));
    wait_for(&format!("disk{}", held.unwrap_or_default()), claim != Disk::Left);
    for ((live, _), disk) in disks.further.iter().zip(&further) {
        let held = held_in_brackets(&live.metadata);
        wait_for(&format!("disk {}{held}", live.name_any()), *disk != Disk::Left);
    }
    wait_for("Service", service);
    if is_free {
        let account = delete(context, identity, observed.account.as_deref(), background()).await?;
        wait_for("ServiceAccount", account);
    }
    left.extend(objects::remove(context, identity).await?);
    if !left.is_empty() {
        return Ok(Some(left.join(", ")));
    }
    if let Some(claim) = &disks.borrowed {
        apply::give_back(context, identity, claim)
            .await
            .map_err(|error| error.source)?;
    }
    if finalizer::release(context, object).await? {
        let users = Users::from_meta(object.meta());
        context.audit.record_deletion(identity, &users, observed.run_id());
        for disk in [&claim].into_iter().chain(&further) {
            if let Disk::Retained(claim) = disk {
                report_retained(context, identity, owner, claim).await;
            }
        }
    }
    Ok(None)
}

/// Ends the pod. Returns whether it is gone, and the refusal if it must not be deleted.
async fn end_pod(context: &Context, observed: &Observed) -> Result<(bool, Option<Refusal>), kube::Error> {
    let mut pods = Observed::empty(observed.identity.clone());
    pods.pods.clone_from(&observed.pods);
    let ended = apply::pod::end(context, false, &mut pods).await;
    let refused = ended.map_err(|error| error.source)?;
    Ok((pods.is_free(), refused))
}

/// Longest name of an owner in an Event, in bytes.
const MAX_OWNER: usize = 256;

/// What has become of the disk.
#[derive(PartialEq)]
enum Disk {
    Gone,
    Left,
    Retained(Arc<PersistentVolumeClaim>),
}

/// Deletes the claim of a disk. `live`: as it was read.
async fn delete_disk(
    context: &Context,
    identity: &Identity,
    live: Option<&PersistentVolumeClaim>,
) -> Result<Disk, kube::Error> {
    // The garbage collector may have orphaned it since it was read.
    let as_seen = DeleteParams::background().preconditions(Preconditions {
        uid: None,
        resource_version: live.and_then(|live| live.metadata.resource_version.clone()),
    });
    let gone = delete(context, identity, live, as_seen).await?;
    Ok(if gone { Disk::Gone } else { Disk::Left })
}

/// Makes the disk outlive its workspace. The cache is not enough: an object that it does not show yet may still have an owner
/// reference to the workspace, and be deleted with it.
async fn retain_disk(
    context: &Context,
    identity: &Identity,
    name: &str,
    owner: Option<&str>,
) -> Result<Disk, kube::Error> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(context.client.clone(), &identity.namespace);
    let Some(claim) = claims.get_opt(name).await? else {
        return Ok(Disk::Gone);
    };
    if !identity.owns(&claim.metadata) {
        return Ok(Disk::Gone);
    }
    if claim.metadata.deletion_timestamp.is_some() {
        return Ok(Disk::Left);
    }
    if retention::is_retained(&claim.metadata, identity, owner) {
        return Ok(Disk::Retained(Arc::new(claim)));
    }
    apply::retain(context, identity, &claim, owner)
        .await
        .map(Disk::Retained)
}

async fn report_retained(
    context: &Context,
    identity: &Identity,
    owner: Option<&str>,
    claim: &PersistentVolumeClaim,
) {
    let (name, namespace) = (claim.name_any(), &identity.namespace);
    // A name may be longer than an Event note allows, and the instruction is at the end of the note.
    let owner = brief(owner.unwrap_or("no owner"), MAX_OWNER);
    let ends = if name == identity.child_name() {
        "create that workspace with storage.retain: Delete and delete it; or, with permission to delete claims: "
    } else {
        "with permission to delete claims: "
    };
    let text = format!(
        "The disk {name} ({}) is kept for {owner}. A new workspace {} of the same owner uses it again. To delete the disk with its files, \
         {ends}kubectl delete -n {namespace} pvc/{name}",
        desired_claim::size(claim).unwrap_or_default(),
        identity.name,
    );
    let event = Event {
        secondary: Some(claim.object_ref(&())),
        ..transitions::event(EventType::Normal, "Keep", reason::DISK_KEPT, &text)
    };
    publish::event(context, identity, event).await;
}
