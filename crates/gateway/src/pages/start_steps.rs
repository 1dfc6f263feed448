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
        Phase::Starting if target.detail().reason.is_empty() => REQUESTED,
        Phase::Starting | Phase::Failed => PERCENT[steps_done(target).0],
        Phase::Stopping | Phase::Stopped | Phase::Invalid | Phase::Deleting => 0,
    }
}

/// The reason that keeps the workspace from running, if there is one.
pub(super) fn blocker(target: &Target) -> Option<&str> {
    progress_of::blocker(target.phase, &target.detail().reason)
}

/// Number of completed steps, and the step that is blocked.
pub(super) fn steps_done(target: &Target) -> (usize, Option<usize>) {
    let detail = target.detail();
    let known = progress_of::by_status(target.phase, &detail.reason, detail.started);
    (known.done, known.stuck)
}
