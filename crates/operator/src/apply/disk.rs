//! Planned disk, live claim -> the disk as planned, taken over, or unchanged (IO).

use std::sync::Arc;

use api::{
    Workspace, WorkspaceTemplate,
    condition::reason,
    names::{MADE_FOR, OPERATOR},
};
use json_patch::Patch as JsonPatch;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{
    Resource as _, ResourceExt as _,
    api::{DeleteParams, Patch},
    runtime::events::{Event, EventType},
};
use rules::ValidWorkspace;

use super::{
    WriteError,
    delete::{self, Ended},
    writes::{self, Made, Outcome, conflict, expect, terminating, write},
};
use crate::{
    blockers::{Blocker, DiskBlocker},
    cache::{
        observed::{Identity, Observed},
        partial::Pod,
        stores,
    },
    context::Context,
    plan::{
        self,
        disks::{
            borrowed_claims,
            desired_claim::{self, Growth},
            ownership::{Claimant, Ownership, ownership},
            retention,
        },
    },
    status::{publish, transitions},
    support::send::patch_as,
};

type Claim = PersistentVolumeClaim;

/// Writes the home of a workspace that has a disk of its own as home.
pub(super) async fn home(
    context: &Context,
    observed: &Observed,
    valid: &ValidWorkspace,
    planned: Option<Claim>,
) -> Result<Outcome<Claim>, WriteError> {
    let live = observed.claim.as_ref();
    match planned {
        Some(planned) => disk(context, observed, valid, planned, live).await,
        None => Ok(Outcome::Is(live.cloned())),
    }
}

/// Writes the further disks, each with the result of its claim. What blocks one names its claim.
pub(super) async fn further(
    context: &Context,
    observed: &Observed,
    valid: &ValidWorkspace,
    planned: Vec<Claim>,
) -> Vec<(String, Result<Outcome<Claim>, WriteError>)> {
    let writes = planned.into_iter().map(|planned| async {
        let name = planned.name_any();
        let live = observed.further_claim(&name);
        let outcome = Box::pin(disk(context, observed, valid, planned, live)).await;
        let outcome = outcome.map(|outcome| match outcome {
            Outcome::Blocked(Blocker::Refused(refusal)) => {
                Outcome::Blocked(Blocker::Refused(refusal.of_claim(&name)))
            }
            outcome => outcome,
        });
        (name, outcome)
    });
    futures::future::join_all(writes).await
}

/// The workspace's disks that are not chosen, as their template has them today: each with its claim.
pub(super) fn unchosen(
    observed: &Observed,
    valid: &ValidWorkspace,
    template: Option<&WorkspaceTemplate>,
) -> Vec<(Claim, Arc<Claim>)> {
    let disks = template.iter().flat_map(|template| &template.spec.volume_claims);
    let left_out = disks.filter(|disk| valid.volume_claims.iter().all(|chosen| chosen.name != disk.name));
    let planned = left_out.map(|disk| plan::claim::further(valid, disk));
    planned
        .filter_map(|planned| {
            let live = observed.further_claim(&planned.name_any())?;
            let is_kept =
                observed.identity.owns(&live.metadata) && live.metadata.deletion_timestamp.is_none();
            is_kept.then(|| (planned, live.clone()))
        })
        .collect()
}

/// Writes disks that are not chosen. They are neither made nor made anew: by its owner reference each goes with the workspace, or stays.
pub(super) async fn keep_all(
    context: &Context,
    observed: &Observed,
    valid: &ValidWorkspace,
    disks: Vec<(Claim, Arc<Claim>)>,
) -> Vec<(String, Result<Outcome<Claim>, WriteError>)> {
    let writes = disks.into_iter().map(|(planned, live)| async move {
        let kept = Box::pin(keep(context, &observed.identity, valid, &planned, &live));
        (planned.name_any(), kept.await)
    });
    futures::future::join_all(writes).await
}

/// Makes the workspace's own claim as planned, at its size.
async fn keep(
    context: &Context,
    identity: &Identity,
    valid: &ValidWorkspace,
    planned: &Claim,
    live: &Arc<Claim>,
) -> Result<Outcome<Claim>, WriteError> {
    let live = release(context, identity, valid, planned, live).await?;
    let Some(mut intent) = desired_claim::update(planned, &live, Growth::None) else {
        return Ok(Outcome::Is(Some(live)));
    };
    intent.metadata.uid.clone_from(&live.metadata.uid);
    write::<Claim>(context, identity, (OPERATOR, &planned.name_any()), &intent).await
}

/// The workspace's own claim, without owner reference if it is to be retained.
async fn release(
    context: &Context,
    identity: &Identity,
    valid: &ValidWorkspace,
    planned: &Claim,
    live: &Arc<Claim>,
) -> Result<Arc<Claim>, WriteError> {
    if !is_to_be_retained(planned) || !retention::has_owner(&live.metadata, identity) {
        return Ok(live.clone());
    }
    let released = retain(context, identity, live, valid.owner.as_deref()).await;
    released.map_err(writes::write_error::<Claim>)
}

/// Writes one disk. `live`: the claim of its name.
async fn disk(
    context: &Context,
    observed: &Observed,
    valid: &ValidWorkspace,
    planned: Claim,
    live: Option<&Arc<Claim>>,
) -> Result<Outcome<Claim>, WriteError> {
    match live {
        Some(live) => make_existing(context, observed, valid, &planned, live).await,
        None => make(context, observed, valid, planned).await,
    }
}

/// Makes a disk. If a claim of its name turns out to exist, that claim is checked.
///
/// A pod of another workspace may name a claim of this name that existed before and is gone. It would mount the new disk, so that pod
/// has to end first.
async fn make(
    context: &Context,
    observed: &Observed,
    valid: &ValidWorkspace,
    planned: Claim,
) -> Result<Outcome<Claim>, WriteError> {
    let identity = &observed.identity;
    let claim = planned.name_any();
    let is_near = |pod: &Pod| pod.metadata.namespace.as_ref() == Some(&identity.namespace);
    let pods = stores::select(&context.stores.pods, is_near);
    let pod = borrowed_claims::other_pod(identity, &claim, pods.iter().map(AsRef::as_ref));
    let by = pod.map(|pod| format!("pod {}", pod.name_any()));
    if let Some(by) = by {
        return Ok(Outcome::Blocked(Blocker::Disk(DiskBlocker::InUse { claim, by })));
    }
    if let Some(blocker) = source(context, identity, &planned).await? {
        return Ok(Outcome::Blocked(blocker));
    }
    let mut intent = planned.clone();
    expect(&mut intent.metadata, None);
    let made_for = desired_claim::made_for(&planned);
    intent.annotations_mut().insert(MADE_FOR.to_owned(), made_for);
    let write = write(context, identity, (OPERATOR, &claim), &intent);
    match writes::make::<Claim>(context, identity, &claim, write).await? {
        Made::New(outcome) => Ok(outcome),
        Made::Exists(found, error) => {
            let outcome = make_existing(context, observed, valid, &planned, &found).await?;
            // Without the label no cache showed it, so no pods on it have been looked up yet. The next reconcile does that.
            let was_cached = found.labels().get(api::names::WORKSPACE_LABEL) == Some(&identity.name);
            match outcome {
                Outcome::Is(_) if !was_cached => Err(error),
                outcome => Ok(outcome),
            }
        }
    }
}

/// What keeps a disk from its first content: a claim that is, or was, the disk of a workspace, or is the home of one, is no more copied than
/// mounted. One that does not exist yet might be any of these once it is copied.
async fn source(
    context: &Context,
    identity: &Identity,
    planned: &Claim,
) -> Result<Option<Blocker>, WriteError> {
    let source = planned
        .spec
        .as_ref()
        .and_then(|spec| spec.data_source_ref.as_ref());
    let Some(source) = source.filter(|source| source.kind == <Claim as k8s_openapi::Resource>::KIND) else {
        return Ok(None);
    };
    let live = writes::get_live::<Claim>(context, &identity.namespace, &source.name).await?;
    let (claim, source) = (planned.name_any(), source.name.clone());
    let Some(live) = live.filter(|live| live.metadata.deletion_timestamp.is_none()) else {
        return Ok(Some(Blocker::Disk(DiskBlocker::NoSource { claim, source })));
    };
    let is_private = borrowed_claims::is_a_disk(&live)
        || borrowed_claims::user(&live).is_some()
        || is_a_home(context, &identity.namespace, &source);
    Ok(is_private.then_some(Blocker::Disk(DiskBlocker::CopyOfAnother { claim, source })))
}

/// Whether a workspace names the claim as its home.
fn is_a_home(context: &Context, namespace: &str, claim: &str) -> bool {
    let names_it = |workspace: &Workspace| {
        let storage = workspace.spec.storage.as_ref();
        let named = storage.and_then(|storage| storage.claim_name.as_deref());
        workspace.metadata.namespace.as_deref() == Some(namespace) && named == Some(claim)
    };
    !stores::select(&context.stores.workspaces, names_it).is_empty()
}

/// Makes an existing claim as planned, if the workspace owns it or may take it over.
async fn make_existing(
    context: &Context,
    observed: &Observed,
    valid: &ValidWorkspace,
    planned: &Claim,
    live: &Arc<Claim>,
) -> Result<Outcome<Claim>, WriteError> {
    let identity = &observed.identity;
    let owner = valid.owner.as_deref();
    let claimant = Claimant {
        owner,
        attested: context.settings.admission,
        assigned: valid.owner_is_assigned,
    };
    let ownership = ownership(identity, claimant, &live.metadata);
    let mut live = live.clone();
    match ownership {
        Ownership::Terminating => return Ok(Outcome::Blocked(terminating::<Claim>(&live.metadata))),
        Ownership::Foreign => return Ok(Outcome::Blocked(conflict::<Claim>(&live.name_any()))),
        Ownership::Withheld(why) => {
            let claim = live.name_any();
            let blocker = DiskBlocker::Withheld { claim, why };
            return Ok(Outcome::Blocked(Blocker::Disk(blocker)));
        }
        Ownership::Ours if desired_claim::is_to_be_made_anew(planned, &live) => {
            return make_anew(context, observed, valid, planned, &live).await;
        }
        Ownership::Ours => live = release(context, identity, valid, planned, &live).await?,
        Ownership::Adoptable => {}
    }
    let name = planned.name_any();
    let growth = if name == identity.child_name() {
        let classes = observed.storage_classes.iter().map(AsRef::as_ref);
        desired_claim::growth(planned, &live, classes)
    } else {
        // A template never changes, and another template moves no files.
        Growth::None
    };
    let Some(mut intent) = desired_claim::update(planned, &live, growth) else {
        return Ok(shortfall(live, growth));
    };
    if ownership == Ownership::Adoptable {
        // The ownership was decided for this version.
        expect(&mut intent.metadata, Some(&live.metadata));
    } else {
        intent.metadata.uid.clone_from(&live.metadata.uid);
    }
    match write::<Claim>(context, identity, (OPERATOR, &name), &intent).await? {
        Outcome::Is(Some(written)) => {
            if ownership == Ownership::Adoptable {
                report_taken_over(context, identity, &written).await;
            }
            Ok(shortfall(written, growth))
        }
        // The disk is usable all the same, at its old size.
        Outcome::Blocked(blocker) if !blocker.blocks() => Ok(Outcome::But(live, blocker)),
        other => Ok(other),
    }
}

/// Deletes a disk that never had a volume, and makes it with today's class and size. If it gets a volume at this moment, it stays.
async fn make_anew(
    context: &Context,
    observed: &Observed,
    valid: &ValidWorkspace,
    planned: &Claim,
    live: &Arc<Claim>,
) -> Result<Outcome<Claim>, WriteError> {
    let identity = &observed.identity;
    let mut params = DeleteParams::background();
    params.preconditions.get_or_insert_default().resource_version = live.resource_version();
    let claims = writes::objects::<Claim>(context, identity);
    let ended = delete::end(context, &claims, &**live, params).await;
    match ended.map_err(writes::write_error::<Claim>)? {
        Ended::Gone => Box::pin(make(context, observed, valid, planned.clone())).await,
        // The watch triggers the next reconcile.
        Ended::Held(_) | Ended::Unknown => Ok(Outcome::Blocked(terminating::<Claim>(&live.metadata))),
    }
}

/// Only a retained disk is planned without owner.
fn is_to_be_retained(planned: &Claim) -> bool {
    planned.metadata.owner_references.is_none()
}

fn shortfall(claim: Arc<Claim>, growth: Growth) -> Outcome<Claim> {
    if growth != Growth::Never {
        return Outcome::Is(Some(claim));
    }
    let blocker = DiskBlocker::Ungrowable {
        size: desired_claim::size(&claim).unwrap_or_default().to_owned(),
        class: desired_claim::class_of(&claim).unwrap_or_default().to_owned(),
    };
    Outcome::But(claim, Blocker::Disk(blocker))
}

/// The blocker if the workspace requests a smaller size or another class than its disk has. Admission does not refuse it when the disk is
/// unknown.
pub(super) fn differs(workspace: &Workspace, observed: &Observed) -> Option<Blocker> {
    let (given, disk) = (workspace.spec.storage.as_ref()?, observed.own_claim()?);
    let found = rules::claims::shrinks(Some(given), disk);
    let found = found.or_else(|| rules::claims::changes_class(given, disk))?;
    let message = found.to_string();
    Some(Blocker::Disk(DiskBlocker::Unchangeable { message }))
}

/// Removes the owner reference from a disk and records its owner on it, so that it outlives its workspace.
pub(crate) async fn retain(
    context: &Context,
    identity: &Identity,
    claim: &Claim,
    owner: Option<&str>,
) -> Result<Arc<Claim>, kube::Error> {
    let steps = retention::retention_patch(claim, identity, owner);
    let patch: JsonPatch = serde_json::from_value(steps).map_err(kube::Error::SerdeError)?;
    let params = patch_as(OPERATOR);
    let patch = Patch::Json::<()>(patch);
    let kept = writes::send_patch(context, identity, &claim.name_any(), &params, &patch).await;
    kept.map_err(|error| error.source)
}

async fn report_taken_over(context: &Context, identity: &Identity, claim: &Claim) {
    let note = format!(
        "The workspace uses the disk {} again, which was kept from an earlier workspace of its owner.",
        claim.name_any()
    );
    let event = Event {
        secondary: Some(claim.object_ref(&())),
        ..transitions::event(EventType::Normal, "TakeOver", reason::DISK_TAKEN_OVER, &note)
    };
    publish::event(context, identity, event).await;
}
