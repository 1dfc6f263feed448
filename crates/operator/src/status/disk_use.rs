//! Figures of a disk, earlier status -> what the status says of its use (pure).
//!
//! Percentages are in steps, because each change costs a write.

use api::{
    WorkspaceStatus,
    workspace::{DiskResource, DiskStatus},
};

use crate::activity::DiskUse;

/// Distance of two steps, in percent.
const STEP: i32 = 5;
/// How far a percentage falls below its step before the step falls, so that one at the border does not change it each time.
const SLACK: i32 = 1;

/// Sets in a status how much of the disk the run uses. `told`: by the pod's door; `None`: it has not answered yet, so what is in the
/// status `before` stays. The figures are of the pod: another run begins with none.
pub(crate) fn complete(
    status: &mut WorkspaceStatus,
    before: Option<&WorkspaceStatus>,
    told: Option<DiskUse>,
) {
    let run_id = status.run_id.as_ref();
    let Some(disk) = &mut status.disk else { return };
    let earlier = before.filter(|before| run_id.is_some() && before.run_id.as_ref() == run_id);
    let earlier = earlier.and_then(|before| before.disk.as_ref());
    let earlier = earlier.filter(|earlier| earlier.claim_uid == disk.claim_uid);
    let (percent, full) = match (told.filter(|_| run_id.is_some()), earlier) {
        (Some(told), earlier) => (steps(told, earlier), told.is_full),
        (None, Some(earlier)) => (earlier.used_percent.zip(earlier.used_percent_of), earlier.full),
        (None, None) => (None, false),
    };
    (disk.used_percent, disk.used_percent_of) = percent.unzip();
    disk.full = full;
}

/// What a status says of the use of the disk.
pub(crate) fn figures(status: &WorkspaceStatus) -> (Option<i32>, Option<DiskResource>, bool) {
    let figures = |disk: &DiskStatus| (disk.used_percent, disk.used_percent_of, disk.full);
    status.disk.as_ref().map(figures).unwrap_or_default()
}

/// The disk without what a run tells of its use.
pub(crate) fn without_use(disk: Option<DiskStatus>) -> Option<DiskStatus> {
    disk.map(|disk| DiskStatus {
        used_percent: None,
        used_percent_of: None,
        full: false,
        ..disk
    })
}

/// The higher step of both resources, and which it is. Of equal ones it is the earlier.
fn steps(told: DiskUse, earlier: Option<&DiskStatus>) -> Option<(i32, DiskResource)> {
    let before = earlier.and_then(|earlier| earlier.used_percent);
    let step = |percent: Option<u8>| percent.map(|percent| step(percent, before));
    let [bytes, inodes] = [step(told.bytes), step(told.inodes)];
    let top = bytes.max(inodes)?;
    let was_inodes = earlier.and_then(|earlier| earlier.used_percent_of) == Some(DiskResource::Inodes);
    let is_inodes = inodes == Some(top) && (was_inodes || bytes != Some(top));
    let of = if is_inodes {
        DiskResource::Inodes
    } else {
        DiskResource::Bytes
    };
    Some((top, of))
}

/// The multiple of [`STEP`] that is not above a percentage, or the earlier one if the percentage is only just below it.
fn step(percent: u8, earlier: Option<i32>) -> i32 {
    let percent = i32::from(percent);
    let down = percent - percent % STEP;
    match earlier {
        Some(earlier) if earlier % STEP == 0 && (percent..=percent + SLACK).contains(&earlier) => earlier,
        _ => down,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn running(run: &str) -> WorkspaceStatus {
        WorkspaceStatus {
            run_id: Some(run.to_owned()),
            disk: Some(DiskStatus {
                claim_uid: "c".to_owned(),
                ..DiskStatus::default()
            }),
            ..WorkspaceStatus::default()
        }
    }

    fn used(bytes: u8, inodes: u8) -> DiskUse {
        DiskUse {
            bytes: Some(bytes),
            inodes: Some(inodes),
            is_full: false,
        }
    }

    fn next(before: &WorkspaceStatus, told: Option<DiskUse>) -> WorkspaceStatus {
        let mut status = running("run1");
        complete(&mut status, Some(before), told);
        status
    }

    #[test]
    fn the_higher_percentage_counts_and_the_status_says_which() {
        let first = next(&running("run1"), Some(used(52, 31)));
        assert_eq!(figures(&first), (Some(50), Some(DiskResource::Bytes), false));
        let files = next(&first, Some(used(52, 91)));
        assert_eq!(figures(&files), (Some(90), Some(DiskResource::Inodes), false));
        // As long as they are equal nothing is written.
        assert_eq!(next(&files, Some(used(92, 90))), files);
        assert_eq!(
            figures(&next(&files, Some(used(92, 3)))).1,
            Some(DiskResource::Bytes)
        );
    }

    #[test]
    fn what_is_not_known_any_more_is_absent_and_what_was_not_asked_stays() {
        let full = DiskUse {
            is_full: true,
            ..DiskUse::default()
        };
        let first = next(&running("run1"), Some(full));
        assert_eq!(figures(&first), (None, None, true), "a shared file system");
        assert_eq!(next(&first, None), first);
        let nothing = (None, None, false);
        assert_eq!(figures(&next(&first, Some(DiskUse::default()))), nothing);
        let percent = next(&running("run1"), Some(used(90, 0)));
        assert_eq!(next(&percent, None), percent, "a new leader has asked nobody yet");
    }

    #[test]
    fn the_figures_go_with_the_run_and_with_the_disk() {
        let nothing = (None, None, false);
        let first = next(&running("run1"), Some(used(90, 0)));
        let mut of_another_run = running("run2");
        complete(&mut of_another_run, Some(&first), None);
        assert_eq!(figures(&of_another_run), nothing);
        let mut stopped = running("run1");
        stopped.run_id = None;
        complete(&mut stopped, Some(&first), Some(used(90, 0)));
        assert_eq!(figures(&stopped), nothing);
        let mut another_disk = running("run1");
        another_disk.disk.as_mut().unwrap().claim_uid = "d".to_owned();
        complete(&mut another_disk, Some(&first), None);
        assert_eq!(figures(&another_disk), nothing);
        assert_eq!(without_use(first.disk), running("run1").disk);
        let mut without_disk = WorkspaceStatus::default();
        complete(&mut without_disk, Some(&another_disk), Some(used(90, 0)));
        assert_eq!(without_disk.disk, None);
    }

    proptest! {
        #[test]
        fn a_step_is_a_multiple_near_the_percentage_and_the_next_reading_of_it_changes_nothing(
            percent in 0_u8..=100, earlier: Option<i32>,
        ) {
            let found = step(percent, earlier);
            prop_assert!(found % STEP == 0 && (0..=100).contains(&found));
            prop_assert!((-SLACK..STEP).contains(&(i32::from(percent) - found)));
            prop_assert_eq!(step(percent, Some(found)), found);
        }

        #[test]
        fn more_use_is_never_a_lower_step(percent in 0_u8..100, earlier in proptest::option::of(0_i32..=20)) {
            let earlier = earlier.map(|steps| steps * STEP);
            prop_assert!(step(percent, earlier) <= step(percent + 1, earlier));
        }

        /// A disk whose use goes up and down by a percent each time is written once.
        #[test]
        fn use_at_a_border_changes_the_step_once(percent in 0_u8..100, first: bool) {
            let mut known = None;
            let mut changes = 0;
            for turn in 0..20_u8 {
                let now = percent + u8::from((turn % 2 == 0) == first);
                let found = step(now, known);
                changes += usize::from(known.is_some_and(|known| known != found));
                known = Some(found);
            }
            prop_assert!(changes <= 1);
        }
    }
}
