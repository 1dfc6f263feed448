//! Earlier status, world -> what the status remembers of the disk, and of the run (pure).

use api::{WorkspaceStatus, workspace::DiskStatus};
use k8s_openapi::apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::Time};

use crate::{begun, disks, world::World};

/// Which disk the workspace has, or had last. One that a pod was ready on and that is another one now was deleted.
pub(super) fn disk(
    before: &WorkspaceStatus,
    world: &World,
    run_id: Option<&str>,
    ready: bool,
) -> Option<DiskStatus> {
    let earlier = before.disk.as_ref();
    let found = world
        .own_claim()
        .and_then(|claim| Some((claim, claim.metadata.uid.clone()?)));
    let Some((claim, claim_uid)) = found else {
        return earlier.cloned();
    };
    let same = earlier.filter(|earlier| earlier.claim_uid == claim_uid);
    let volume = || claim.spec.as_ref()?.volume_name.clone().filter(|_| ready);
    let run_ended = before.run_id.is_some() && before.run_id.as_deref() != run_id;
    Some(DiskStatus {
        replaces_deleted: match same {
            Some(same) => same.replaces_deleted && !run_ended,
            None => earlier.is_some_and(|earlier| earlier.volume_name.is_some()),
        },
        size: disks::shape::size(claim).map(|size| Quantity(size.to_owned())),
        volume_name: same.and_then(|same| same.volume_name.clone()).or_else(volume),
        claim_uid,
    })
}

/// Since when the run has had a container. It is not written for itself: `told` is whether the status is written anyway.
pub(super) fn started_at(before: &WorkspaceStatus, world: &World, told: bool) -> Option<Time> {
    let remembered = begun::remembered(Some(before), world).cloned();
    remembered.or_else(|| begun::first_start(world).filter(|_| told))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    fn world(uid: &str) -> World {
        let mut world = fixtures::running();
        let mut claim = world.claim.as_deref().unwrap().clone();
        claim.metadata.uid = Some(uid.to_owned());
        claim.spec.as_mut().unwrap().volume_name = Some(format!("volume-of-{uid}"));
        world.claim = Some(claim.into());
        world
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
        let first = disk(&status(None, None), &world("a"), Some("run1"), false).unwrap();
        assert_eq!((first.claim_uid.as_str(), &first.volume_name), ("a", &None));
        let used = disk(
            &status(Some(first), Some("run1")),
            &world("a"),
            Some("run1"),
            true,
        )
        .unwrap();
        assert_eq!(used.volume_name.as_deref(), Some("volume-of-a"));
        let mut gone = world("a");
        gone.claim = None;
        let after = disk(&status(Some(used.clone()), Some("run1")), &gone, None, false);
        assert_eq!(after, Some(used), "also when it is gone");
    }

    #[test]
    fn a_disk_in_the_place_of_one_that_was_used_is_told_until_its_first_run_has_ended() {
        let used = DiskStatus {
            claim_uid: "a".to_owned(),
            volume_name: Some("v".to_owned()),
            ..DiskStatus::default()
        };
        let replaced = disk(&status(Some(used), None), &world("b"), None, false).unwrap();
        assert!(replaced.replaces_deleted);
        let started = disk(&status(Some(replaced), None), &world("b"), Some("run2"), true).unwrap();
        assert!(started.replaces_deleted && started.volume_name.is_some());
        let stopped = disk(&status(Some(started), Some("run2")), &world("b"), None, false).unwrap();
        assert!(!stopped.replaces_deleted);
    }

    #[test]
    fn nothing_is_lost_with_a_disk_that_no_pod_was_ready_on() {
        let unused = DiskStatus {
            claim_uid: "a".to_owned(),
            ..DiskStatus::default()
        };
        let next = disk(&status(Some(unused), None), &world("b"), None, false).unwrap();
        assert!(!next.replaces_deleted);
    }

    #[test]
    fn somebody_else_s_claim_is_not_the_disk() {
        let mut foreign = world("b");
        let mut claim = foreign.claim.as_deref().unwrap().clone();
        claim.metadata.owner_references = None;
        claim.metadata.annotations = None;
        foreign.claim = Some(claim.into());
        assert_eq!(disk(&status(None, None), &foreign, None, true), None);
    }

    #[test]
    fn the_beginning_of_a_run_is_written_only_with_something_else() {
        let running = fixtures::running();
        assert_eq!(started_at(&status(None, Some("run1")), &running, false), None);
        assert!(started_at(&status(None, Some("run1")), &running, true).is_some());
    }
}
