//! Workspace on its way out, observed state -> children deleted, then the finalizer released (IO).

use std::sync::Arc;

use api::{condition::reason, names, workspace::Retain};
use k8s_openapi::{
    api::{apps::v1::ReplicaSet, core::v1::PersistentVolumeClaim},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::PropagationPolicy,
    runtime::events::{Event, EventType},
};

use crate::{
    apply::{
        self,
        delete::{DEPLOYMENT, delete, makers, seems_bare},
        finalizer,
    },
    cache::observed::{Identity, Observed},
    context::Context,
    controllers::routes,
    plan::disks::{desired_claim, retention},
    status::{assess::conditions::brief, publish, transitions},
    support::failure::message_of,
};

/// A child could not be deleted, or the finalizer not released, in a way that passes by itself.
#[derive(Debug, thiserror::Error)]
#[error("the workspace cannot be cleaned up: {}", message_of(.0))]
pub struct Error(#[from] pub kube::Error);

/// What a workspace that is being deleted says about its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWill {
    /// What becomes of a disk of its own.
    pub retain: Retain,
    /// The claim that is its home and not its own, if it names one.
    pub borrowed: Option<String>,
}

/// Deletes what belongs to the workspace and says, for people, what is left; nothing is left once the finalizer is
/// released. `object` is the workspace, of which only metadata is looked at, `observed state` what the API server holds now.
pub async fn retire<K>(
    context: &Context,
    object: &K,
    will: &LastWill,
    observed: &Observed,
) -> Result<Option<String>, Error>
where
    K: Resource<DynamicType = ()>,
{
    let identity = &observed.identity;
    if !finalizer::is_held(object) {
        // Released, or taken away by somebody while another finalizer holds the workspace. Its children go with it, whenever that is; a
        // pod that nobody stops for being idle any more does not run on until then.
        delete(
            context,
            identity,
            observed.deployment.as_deref(),
            propagation(observed),
        )
        .await?;
        return Ok(None);
    }
    let owner = names::owner(object.meta());
    let background = || PropagationPolicy::Background;
    let deployment = delete(
        context,
        identity,
        observed.deployment.as_deref(),
        propagation(observed),
    );
    let claim = async {
        match will.retain {
            Retain::Retain => retain_disk(context, identity, owner).await,
            Retain::Delete => {
                let gone = delete(context, identity, observed.claim.as_deref(), background()).await?;
                Ok(if gone { Disk::Gone } else { Disk::Left })
            }
        }
    };
    // The Service does not wait for the pods: their ends are then no news to those who keep its endpoints.
    let service = delete(context, identity, observed.service.as_deref(), background());
    let (deployment, claim, service) = futures::try_join!(deployment, claim, service)?;
    let mut left = makers(observed);
    // What it made is waited for, and is enough to say.
    if deployment && left.len() > 1 {
        left.retain(|left| left != DEPLOYMENT);
    }
    let mut wait_for = |kind: &str, gone: bool| {
        if !gone {
            left.push(kind.to_owned());
        }
    };
    wait_for("disk", claim != Disk::Left);
    wait_for("Service", service);
    if seems_bare(observed) {
        // Last: a pod that is still ending stays walled in. No owner reference lets a garbage collector come first.
        let (policy, account) = futures::try_join!(
            delete(context, identity, observed.policy.as_deref(), background()),
            delete(context, identity, observed.account.as_deref(), background()),
        )?;
        wait_for("NetworkPolicy", policy);
        wait_for("ServiceAccount", account);
    }
    left.extend(routes::remove(context, identity).await?);
    if !left.is_empty() {
        return Ok(Some(left.join(", ")));
    }
    if let Some(claim) = &will.borrowed {
        apply::give_back(context, identity, claim)
            .await
            .map_err(|error| error.source)?;
    }
    if let Disk::Retained(claim) = &claim {
        report_retained(context, identity, owner, claim).await;
    }
    finalizer::release(context, object).await?;
    Ok(None)
}

/// Longest name of an owner in an Event, in bytes.
const LONGEST_OWNER: usize = 256;

/// What has become of the disk.
#[derive(PartialEq)]
enum Disk {
    Gone,
    Left,
    Retained(Arc<PersistentVolumeClaim>),
}

/// Sees to it that the disk outlives its workspace. The cache is not enough: what it does not show yet may still be tied to
/// the workspace, and go with it.
async fn retain_disk(
    context: &Context,
    identity: &Identity,
    owner: Option<&str>,
) -> Result<Disk, kube::Error> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(context.client.clone(), &identity.namespace);
    let Some(claim) = claims.get_opt(&identity.child_name()).await? else {
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
    // A name may be longer than a note, and what to do stands at the end.
    let owner = brief(owner.unwrap_or("nobody"), LONGEST_OWNER);
    let text = format!(
        "The disk {name} ({}) is kept for {owner}. A new workspace {} of the same owner goes on with it. To be rid of it, make that \
         one with storage.retain Delete and delete it; or, with the right to delete claims: kubectl delete -n {namespace} pvc/{name}",
        desired_claim::size(claim).unwrap_or_default(),
        identity.name,
    );
    let event = Event {
        type_: EventType::Normal,
        reason: reason::DISK_KEPT.to_owned(),
        note: Some(transitions::note(&text)),
        action: "Keep".to_owned(),
        secondary: Some(claim.object_ref(&())),
    };
    publish::event(context, identity, event).await;
}

/// How the Deployment goes. After all that it made, as a rule, for only it knows of that for certain. But that costs the cluster
/// three writes more for each workspace, so it goes first where all that it can have made is known by our mark, and waited
/// for by it: when it has done what it was told to, and the replica set of its run is there.
fn propagation(observed: &Observed) -> PropagationPolicy {
    let marked = |meta: &ObjectMeta| observed.identity.marked(meta);
    let run = |meta: &ObjectMeta| meta.labels.as_ref()?.get(names::RUN_ID_LABEL).cloned();
    let has_run =
        |set: &Arc<ReplicaSet>| run(&set.metadata).is_some_and(|run| Some(&*run) == observed.run_id());
    let known = observed.is_done()
        && observed.replica_sets.iter().any(has_run)
        && observed.replica_sets.iter().all(|set| marked(&set.metadata))
        && observed.pods.iter().all(|pod| marked(&pod.metadata));
    if known {
        PropagationPolicy::Background
    } else {
        PropagationPolicy::Foreground
    }
}
