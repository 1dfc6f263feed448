//! starting workspace -> its completed steps, their share, what blocks it (pure).

use api::workspace::Phase;
use explain::progress::{self as progress_of, PERCENT};

use crate::index::Target;

/// Number of steps that the operator reports; the last one is the proxy's.
pub(super) const ANSWERS: usize = 5;

/// Percentage before the operator has reported anything of this start.
const REQUESTED: u8 = 5;

/// Progress of the start in per cent.
pub(super) fn percent(target: &Target) -> u8 {
    match target.phase {
        Phase::Running => PERCENT[ANSWERS],
        Phase::Starting if is_only_requested(target) => REQUESTED,
        Phase::Starting | Phase::Failed => PERCENT[steps_done(target).0],
        Phase::Stopping | Phase::Stopped | Phase::Invalid | Phase::Deleting => 0,
    }
}

/// Whether the operator has reported nothing of this start yet.
fn is_only_requested(target: &Target) -> bool {
    target
        .status_detail
        .as_deref()
        .is_none_or(|status_detail| status_detail.reason.is_empty())
}

/// The reason that keeps the workspace from running, if there is one.
pub(super) fn blocker(target: &Target) -> Option<&str> {
    progress_of::blocker(target.phase, reason_of(target))
}

fn reason_of(target: &Target) -> &str {
    target
        .status_detail
        .as_deref()
        .map_or("", |status_detail| status_detail.reason.as_str())
}

/// Number of completed steps, and the step that is blocked.
pub(super) fn steps_done(target: &Target) -> (usize, Option<usize>) {
    let has_started = target
        .status_detail
        .as_deref()
        .is_some_and(|status_detail| status_detail.started);
    let known = progress_of::by_status(target.phase, reason_of(target), has_started);
    (known.done, known.stuck)
}
