//! Further disks of a workspace, their claims and what blocks them -> `status.claims` (pure).

use api::{
    WorkspaceStatus,
    condition::reason,
    workspace::{ClaimStatus, Retain},
};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;

use super::Facts;
use crate::{
    blockers::{Blocker, Problem},
    cache::observed::{held_by, holders, is_deleted},
    plan::disks::retention,
};

/// What users read of a disk that is left out.
const NOT_MOUNTED: &str = "The disk is not mounted: the options that are chosen, the template, or recovery leave it out. Its files \
                           stay. Whether a deletion of the workspace deletes them, its retain in status.claims says.";

/// The status of each further disk: of those that the workspace has by its choices, and of others that were made before. Those of an invalid
/// workspace stay as they were.
pub(super) fn statuses(
    facts: &Facts<'_>,
    problem: Option<&Problem>,
    before: &WorkspaceStatus,
) -> Vec<ClaimStatus> {
    let Ok(valid) = facts.validation else {
        return before.claims.clone();
    };
    let identity = &facts.observed.identity;
    let blocker = |claim: &str| {
        let mut blockers = facts.claim_blockers.iter();
        blockers
            .find(|(name, _)| name == claim)
            .map(|(_, blocker)| blocker)
    };
    let chosen = valid.volume_claims.iter().map(|disk| {
        let claim = rules::names::further_claim(&disk.name, &identity.name);
        let cause = cause(blocker(&claim), problem, &claim);
        of_disk(facts, disk.name.clone(), claim, cause)
    });
    let mut all: Vec<_> = chosen.collect();
    for claim in &facts.observed.further_claims {
        let name = claim.name_any();
        let is_listed = all.iter().any(|status| status.claim == name);
        if is_listed || !identity.owns(&claim.metadata) {
            continue;
        }
        let Some(disk) = rules::names::further_disk(&name, &identity.name) else {
            continue;
        };
        let cause = cause(blocker(&name), None, &name).unwrap_or_else(|| (None, NOT_MOUNTED.to_owned()));
        all.push(of_disk(facts, disk.to_owned(), name, Some(cause)));
    }
    all
}

/// Why a disk cannot be used, and what to do.
type Cause = (Option<String>, String);

fn of_disk(facts: &Facts<'_>, name: String, claim: String, cause: Option<Cause>) -> ClaimStatus {
    let own = own(facts, &claim);
    let is_reported = |cause: &Cause| cause.0.as_deref() == Some(reason::VOLUME_TERMINATING);
    let cause = match own.filter(|own| is_deleted(own)) {
        Some(own) if !cause.as_ref().is_some_and(is_reported) => Some(deleted(own)),
        _ => cause,
    };
    let (reason, message) = cause.map_or((None, None), |(reason, message)| (reason, Some(message)));
    ClaimStatus {
        phase: own.map(phase_of),
        retain: own.map(|own| retain(facts, own)),
        name,
        claim,
        reason,
        message,
    }
}

/// Of a disk that a user deleted, and that is not gone yet.
fn deleted(own: &PersistentVolumeClaim) -> Cause {
    let message = format!(
        "A user deleted the disk {}. It is removed with its files once no pod uses it, unless its volume is kept; a deletion cannot be \
         undone.{}",
        own.name_any(),
        held_by(holders(&own.metadata).as_deref())
    );
    (Some(reason::VOLUME_TERMINATING.to_owned()), message)
}

/// The workspace's own claim of this name.
fn own<'a>(facts: &Facts<'a>, claim: &str) -> Option<&'a PersistentVolumeClaim> {
    let claim = facts.observed.further_claim(claim)?;
    let is_own = facts.observed.identity.owns(&claim.metadata);
    is_own.then_some(claim)
}

/// What becomes of the claim when the workspace is deleted.
fn retain(facts: &Facts<'_>, claim: &PersistentVolumeClaim) -> Retain {
    if retention::has_owner(&claim.metadata, &facts.observed.identity) {
        Retain::Delete
    } else {
        Retain::Retain
    }
}

/// A claim that was just made has no phase yet.
fn phase_of(claim: &PersistentVolumeClaim) -> String {
    let phase = claim.status.as_ref().and_then(|status| status.phase.clone());
    phase.unwrap_or_else(|| "Pending".to_owned())
}

/// Why the disk cannot be used: reason and message of what blocks its claim, or of a problem that names it.
fn cause(blocker: Option<&Blocker>, problem: Option<&Problem>, claim: &str) -> Option<Cause> {
    if let Some(found) = blocker.and_then(Blocker::problem) {
        return Some((Some(found.reason.to_owned()), found.message));
    }
    let mut words = problem
        .iter()
        .flat_map(|problem| problem.message.split([' ', ':', '.', ',']));
    let names = words.any(|word| word == claim);
    match problem.filter(|_| names) {
        Some(problem) => Some((Some(problem.reason.to_owned()), problem.message.clone())),
        // It passes by itself, as the end of an earlier claim does.
        None => blocker.map(|blocker| (None, blocker.to_string())),
    }
}
