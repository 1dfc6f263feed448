//! A problem, the reported one -> the problem with a message that stays (pure).

use api::{
    WorkspaceStatus,
    condition::{self, DEGRADED, reason},
};

use super::{State, WAITING, timeout::Earlier};
use crate::{blockers::Problem, cache::observed::Observed};

/// Reasons that the kubelet reports with varying messages.
const VARYING_MESSAGES: [&str; 2] = [reason::IMAGE_PULL_FAILED, reason::VOLUME_ATTACH_FAILED];

/// The reported problem of the current run. An eviction counts until the run after it is ready.
pub(super) fn earlier<'a>(before: &'a WorkspaceStatus, observed: &Observed) -> Option<Earlier<'a>> {
    let same_run = before.run_id.as_deref() == observed.run_id();
    let earlier = condition::find(&before.conditions, DEGRADED).filter(|it| it.status == "True")?;
    if !same_run && earlier.reason != reason::EVICTED {
        return None;
    }
    let message = earlier.message.split(WAITING).next().unwrap_or_default();
    Some(Earlier::parse(&earlier.reason, message))
}

/// Keeps the reported message while the run and the reason are the same. The kubelet alternates between two messages for the same
/// failing pull or mount. An evicted pod is soon gone, while the next pod is still starting.
pub(super) fn steady(
    problem: Option<Problem>,
    state: State,
    earlier: Option<Earlier<'_>>,
) -> Option<Problem> {
    let Some(earlier) = earlier else { return problem };
    let message = || earlier.message.to_owned();
    match problem {
        None if state == State::Starting && earlier.reason == reason::EVICTED => Some(Problem {
            reason: reason::EVICTED,
            message: message(),
            failed: false,
        }),
        Some(now) if VARYING_MESSAGES.contains(&now.reason) && now.reason == earlier.reason => {
            Some(Problem {
                message: message(),
                ..now
            })
        }
        // The kubelet reports why a hook failed only for a moment. Afterwards it only reports that the hook failed.
        Some(now)
            if now.reason == reason::POST_START_HOOK_FAILED
                && now.reason == earlier.reason
                && message().len() > now.message.len() =>
        {
            Some(Problem {
                message: message(),
                ..now
            })
        }
        problem => problem,
    }
}
