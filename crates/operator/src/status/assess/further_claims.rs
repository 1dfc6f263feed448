//! Further disks of a workspace, their claims and what blocks them -> `status.claims` (pure).

use api::{WorkspaceStatus, workspace::ClaimStatus};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;

use super::Facts;
use crate::blockers::{Blocker, Problem};

/// What users read of a disk that their choices leave out.
const NOT_MOUNTED: &str = "The disk is not mounted, because of the options that are chosen or in recovery. It stays until the workspace is \
                           deleted.";

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
    let chosen = valid.volume_claims.iter().map(|disk| {
        let claim = rules::names::further_claim(&disk.name, &identity.name);
        let blocker = facts.claim_blockers.iter().find(|(name, _)| *name == claim);
        let cause = cause(blocker.map(|(_, blocker)| blocker), problem, &claim);
        ClaimStatus {
            name: disk.name.clone(),
            phase: phase(facts, &claim),
            reason: cause.as_ref().and_then(|(reason, _)| reason.clone()),
            message: cause.map(|(_, message)| message),
            claim,
        }
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
        all.push(ClaimStatus {
            name: disk.to_owned(),
            phase: phase(facts, &name),
            reason: None,
            message: Some(NOT_MOUNTED.to_owned()),
            claim: name,
        });
    }
    all
}

/// The phase of the workspace's own claim of this name.
fn phase(facts: &Facts<'_>, claim: &str) -> Option<String> {
    let claim = facts.observed.further_claim(claim)?;
    let is_own = facts.observed.identity.owns(&claim.metadata);
    is_own.then(|| phase_of(claim))
}

/// A claim that was just made has no phase yet.
fn phase_of(claim: &PersistentVolumeClaim) -> String {
    let phase = claim.status.as_ref().and_then(|status| status.phase.clone());
    phase.unwrap_or_else(|| "Pending".to_owned())
}

/// Why the disk cannot be used: reason and message of what blocks its claim, or of a problem that names it.
fn cause(
    blocker: Option<&Blocker>,
    problem: Option<&Problem>,
    claim: &str,
) -> Option<(Option<String>, String)> {
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
