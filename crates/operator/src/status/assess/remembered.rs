//! Earlier status, observed state -> disk, lost files, start time that the status keeps (pure).

use api::{WorkspaceStatus, workspace::DiskStatus};
use k8s_openapi::apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::Time};
use rules::{
    claims::has_volume,
    files::{Disk, Disks},
};

use crate::{cache::observed::Observed, plan::disks, status::started};

/// The disk that the workspace has, or had last. If a pod was ready on a disk and the disk is another one now, the first was deleted.
/// That does not hold if the new claim has the same volume.
pub(super) fn disk(
    before: &WorkspaceStatus,
    observed: &Observed,
    run_id: Option<&str>,
    ready: bool,
) -> Option<DiskStatus> {
    let earlier = before.disk.as_ref();
    let found = observed
        .own_claim()
        .and_then(|claim| Some((claim, claim.metadata.uid.clone()?)));
    let Some((claim, claim_uid)) = found else {
        return earlier.map(|earlier| DiskStatus {
            size: None,
            phase: None,
            ..earlier.clone()
        });
    };
    let same = earlier.filter(|earlier| earlier.claim_uid == claim_uid);
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone());
    let (replaced_volume_name, replaces_deleted) = replacement(earlier, same.is_some(), volume.as_ref());
    let run_ended = same.is_some() && before.run_id.is_some() && before.run_id.as_deref() != run_id;
    let class = observed
        .storage_classes
        .iter()
        .find(|class| class.metadata.name.as_deref() == disks::desired_claim::class_of(claim));
    Some(DiskStatus {
        cannot_grow: class.is_some_and(|class| class.allow_volume_expansion != Some(true)),
        replaces_deleted: replaces_deleted && !run_ended,
        replaced_volume_name,
        size: disks::desired_claim::size(claim).map(|size| Quantity(size.to_owned())),
        volume_name: same
            .and_then(|same| same.volume_name.clone())
            .or_else(|| volume.filter(|_| ready)),
        claim_uid,
        // Its use is told by the pod (`disk_use.rs`).
        ..DiskStatus::default()
    })
}

/// The disk, with the phase of a claim that has no volume. It is not worth a write of its own, so only a status with a problem has it.
pub(super) fn with_phase(disk: DiskStatus, observed: &Observed) -> DiskStatus {
    let claim = observed.own_claim();
    let phase = claim.and_then(|claim| claim.status.as_ref()?.phase.as_deref());
    let phase = match phase {
        Some("Lost") => Some("Lost"),
        _ => claim.filter(|claim| !has_volume(claim)).map(|_| "Pending"),
    };
    DiskStatus {
        phase: phase.map(str::to_owned),
        ..disk
    }
}

/// The volume of the lost disk, and whether a claim with this `volume` replaces it. `same`: it is the claim of `earlier`.
fn replacement(earlier: Option<&DiskStatus>, same: bool, volume: Option<&String>) -> (Option<String>, bool) {
    let Some(earlier) = earlier else {
        return (None, false);
    };
    let had = [&earlier.volume_name, &earlier.replaced_volume_name];
    if !same && earlier.volume_name.is_some() {
        let restored = volume.is_some() && had.iter().any(|name| name.as_ref() == volume);
        // If the disk before `earlier` is back, the lost one is the disk of `earlier`.
        let last = if restored && earlier.volume_name.as_ref() == volume {
            earlier.replaced_volume_name.clone()
        } else {
            earlier.volume_name.clone()
        };
        return (last, !restored);
    }
    // A disk on which no pod was ever ready had nothing to lose.
    let restored = volume.is_some() && earlier.replaced_volume_name.as_ref() == volume;
    (
        earlier.replaced_volume_name.clone(),
        earlier.replaces_deleted && !restored,
    )
}

/// Whether a run of the workspace of this name has ended whose files were deleted with its pod, and no other one has begun.
pub(super) fn files_lost(before: &WorkspaceStatus, name: &str, run_id: Option<&str>) -> bool {
    let had_no_disk = || Disks::from_status(name, before).home == Disk::None;
    run_id.is_none() && (before.files_lost || before.run_id.is_some() && had_no_disk())
}

/// Since when the run has had a container. It is not worth a write of its own: `is_written` is whether the status is written anyway.
pub(super) fn started_at(before: &WorkspaceStatus, observed: &Observed, is_written: bool) -> Option<Time> {
    let remembered = started::recorded_start(Some(before), observed).cloned();
    remembered.or_else(|| started::first_start(observed).filter(|_| is_written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn observed(uid: &str) -> Observed {
        let mut observed = testing::running();
        let mut claim = observed.claim.as_deref().unwrap().clone();
        claim.metadata.uid = Some(uid.to_owned());
        claim.spec.as_mut().unwrap().volume_name = Some(format!("volume-of-{uid}"));
        observed.claim = Some(claim.into());
        observed
    }

    fn status(disk: Option<DiskStatus>, run_id: Option<&str>) -> WorkspaceStatus {
        WorkspaceStatus {
            disk,
            run_id: run_id.map(str::to_owned),
            ..WorkspaceStatus::default()
        }
    }

    #[test]
    fn a_disk_is_remembered_with_its_volume_once_a_pod_was_ready_on_it() {
        let first = disk(&status(None, None), &observed("a"), Some("run1"), false).unwrap();
        assert_eq!((first.claim_uid.as_str(), &first.volume_name), ("a", &None));
        let used = disk(
            &status(Some(first), Some("run1")),
            &observed("a"),
            Some("run1"),
            true,
        )
        .unwrap();
        assert_eq!(used.volume_name.as_deref(), Some("volume-of-a"));
        let mut gone = observed("a");
        gone.claim = None;
        let after = disk(&status(Some(used.clone()), Some("run1")), &gone, None, false);
        assert!(used.size.is_some());
        let remembered = DiskStatus { size: None, ..used };
        assert_eq!(after, Some(remembered), "also when it is gone, without its size");
    }

    #[test]
    fn a_disk_whose_class_does_not_let_it_grow_is_known() {
        for (grows, expected) in [(Some(true), false), (Some(false), true), (None, true)] {
            let mut observed = observed("a");
            let mut claim = observed.claim.as_deref().unwrap().clone();
            claim.spec.as_mut().unwrap().storage_class_name = Some("fast".to_owned());
            observed.claim = Some(claim.into());
            let told = |observed: &Observed| {
                disk(&status(None, None), observed, None, false)
                    .unwrap()
                    .cannot_grow
            };
            assert!(!told(&observed), "the class is not known");
            let mut class = k8s_openapi::api::storage::v1::StorageClass::default();
            class.metadata.name = Some("fast".to_owned());
            class.allow_volume_expansion = grows;
            observed.storage_classes = vec![class.into()];
            assert_eq!(told(&observed), expected, "{grows:?}");
        }
    }

    #[test]
    fn a_replaced_disk_is_reported_until_its_first_run_has_ended() {
        let used = DiskStatus {
            claim_uid: "a".to_owned(),
            volume_name: Some("v".to_owned()),
            ..DiskStatus::default()
        };
        let replaced = disk(&status(Some(used), None), &observed("b"), None, false).unwrap();
        assert!(replaced.replaces_deleted);
        let started = disk(&status(Some(replaced), None), &observed("b"), Some("run2"), true).unwrap();
        assert!(started.replaces_deleted && started.volume_name.is_some());
        let stopped = disk(&status(Some(started), Some("run2")), &observed("b"), None, false).unwrap();
        assert!(!stopped.replaces_deleted);
    }

    #[test]
    fn nothing_is_lost_with_a_disk_that_no_pod_was_ready_on() {
        let unused = DiskStatus {
            claim_uid: "a".to_owned(),
            ..DiskStatus::default()
        };
        let next = disk(&status(Some(unused), None), &observed("b"), None, false).unwrap();
        assert!(!next.replaces_deleted);
    }

    #[test]
    fn the_phase_of_a_claim_without_a_volume_tells_whether_it_ever_had_one() {
        for (volume, phase, expected) in [
            (None, None, Some("Pending")),
            (None, Some("Pending"), Some("Pending")),
            (Some("v"), Some("Pending"), None),
            (Some("v"), Some("Bound"), None),
            (Some("v"), Some("Lost"), Some("Lost")),
        ] {
            let mut observed = on("a", volume);
            let mut claim = observed.claim.as_deref().unwrap().clone();
            claim.status.get_or_insert_default().phase = phase.map(str::to_owned);
            observed.claim = Some(claim.into());
            let told = with_phase(used(), &observed);
            assert_eq!(told.phase.as_deref(), expected, "{volume:?} {phase:?}");
        }
    }

    /// An observed state whose claim has this volume, or none yet.
    fn on(uid: &str, volume: Option<&str>) -> Observed {
        let mut observed = observed(uid);
        let mut claim = observed.claim.as_deref().unwrap().clone();
        claim.spec.as_mut().unwrap().volume_name = volume.map(str::to_owned);
        observed.claim = Some(claim.into());
        observed
    }

    fn used() -> DiskStatus {
        DiskStatus {
            claim_uid: "a".to_owned(),
            volume_name: Some("v".to_owned()),
            ..DiskStatus::default()
        }
    }

    #[test]
    fn a_claim_made_anew_for_the_earlier_volume_is_the_earlier_disk() {
        let restored = disk(&status(Some(used()), None), &on("b", Some("v")), None, false).unwrap();
        assert!(!restored.replaces_deleted);
        assert_eq!(restored.replaced_volume_name, None);
    }

    #[test]
    fn the_lost_volume_is_remembered_until_it_is_back() {
        let next = |before: DiskStatus, observed: &Observed, ready| {
            disk(&status(Some(before), None), observed, None, ready).unwrap()
        };
        let empty = next(used(), &on("b", None), false);
        assert!(empty.replaces_deleted);
        assert_eq!(empty.replaced_volume_name.as_deref(), Some("v"));
        let bound = next(empty.clone(), &on("b", Some("v")), false);
        assert!(!bound.replaces_deleted, "its volume was reserved for it");
        let again = next(empty.clone(), &on("c", None), false);
        assert!(again.replaces_deleted, "no pod used the one between");
        assert_eq!(again.replaced_volume_name.as_deref(), Some("v"));
        let replaced_again = next(empty, &on("b", Some("w")), true);
        assert_eq!(replaced_again.volume_name.as_deref(), Some("w"));
        let back = next(replaced_again, &on("c", Some("v")), false);
        assert!(!back.replaces_deleted);
        assert_eq!(back.replaced_volume_name.as_deref(), Some("w"));
    }

    #[test]
    fn the_start_time_is_written_only_with_another_change() {
        let running = testing::running();
        assert_eq!(started_at(&status(None, Some("run1")), &running, false), None);
        assert!(started_at(&status(None, Some("run1")), &running, true).is_some());
    }
}
