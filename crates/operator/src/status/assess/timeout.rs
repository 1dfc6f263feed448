//! A start that exceeds its timeout -> failed, with the last problem (pure).
//!
//! Nothing is done to the pod (docs/decisions/0021). It keeps waiting, and the workspace runs as soon as it is ready.

use std::time::Duration;

use api::{
    WorkspaceStatus,
    condition::{self, DEGRADED, reason},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use rules::ValidWorkspace;

use super::evidence::{is_gated, node_of};
use crate::{
    blockers::Problem,
    cache::{
        observed::{Observed, container_statuses},
        partial::Pod,
    },
};

/// Text before the last problem. It is parsed again from the status, so that a problem keeps its message.
const LAST: &str = " Last problem: ";

/// Since when a run has been starting; `None` once it has had a ready pod. A run that the status does not contain yet starts now, or
/// started with its first pod, because no operator may have run then. The time that its pod waited for scheduling gates does not count.
pub(super) fn since(
    before: &WorkspaceStatus,
    observed: &Observed,
    run_id: Option<&str>,
    now: Timestamp,
) -> Option<Time> {
    let run_id = run_id.filter(|_| observed.runs())?;
    // The API server keeps whole seconds.
    let whole = |time: Timestamp| Timestamp::from_second(time.as_second()).ok().map(Time);
    if before.run_id.as_deref() == Some(run_id) {
        let was_gated = condition::find(&before.conditions, DEGRADED)
            .is_some_and(|it| it.status == "True" && it.reason == reason::SCHEDULING_GATED);
        return if was_gated && !observed.current_pod().is_some_and(is_gated) {
            whole(now)
        } else {
            before.starting_since.clone()
        };
    }
    let made = observed
        .pod()
        .and_then(|pod| pod.metadata.creation_timestamp.as_ref());
    let start = made.map_or(now, |made| made.0.min(now));
    whole(start)
}

/// A start with a time limit.
pub(super) struct Start {
    since: Timestamp,
    limit: Duration,
}

impl Start {
    /// The current start, if it is limited.
    pub(super) fn new(valid: Option<&ValidWorkspace>, since: Option<&Time>) -> Option<Self> {
        Some(Self {
            since: since?.0,
            limit: valid?.start_timeout()?,
        })
    }

    /// The time that is left; `None`: nothing.
    pub(super) fn left(&self, now: Timestamp) -> Option<Duration> {
        // The clock of an earlier leader may have been ahead of ours.
        let age = Duration::try_from(now.duration_since(self.since)).unwrap_or_default();
        self.limit.checked_sub(age).filter(|left| !left.is_zero())
    }

    /// The problem that the time is over. Without a current problem, the one of `before` stays as the last problem.
    pub(super) fn failure(
        &self,
        cause: Option<Problem>,
        before: Option<Earlier<'_>>,
        observed: &Observed,
    ) -> Problem {
        let last = match (cause, before) {
            (Some(cause), _) => format!("{}: {}", cause.reason, cause.message),
            (None, Some(Earlier { late: Some(last), .. })) => last.to_owned(),
            (None, _) => progress(observed),
        };
        Problem {
            reason: reason::START_TIMEOUT,
            message: format!(
                "The pod was not ready within {} min of the beginning of its run at {}. It keeps waiting: once the problem is \
                 fixed, the start continues. Or stop the workspace, or allow more time in \
                 spec.limits.startTimeoutMinutes.{LAST}{last}",
                self.limit.as_secs() / 60,
                self.since
            ),
            failed: true,
        }
    }
}

/// The problem that was reported before.
#[derive(Clone, Copy)]
pub(super) struct Earlier<'a> {
    /// Its reason, or the reason of the last problem if a start took too long.
    pub(super) reason: &'a str,
    /// Its message, likewise.
    pub(super) message: &'a str,
    /// Both, as reported when a start took too long.
    late: Option<&'a str>,
}

impl<'a> Earlier<'a> {
    /// Parses it from a condition.
    pub(super) fn parse(reason: &'a str, message: &'a str) -> Self {
        let last = message.split_once(LAST).map(|(_, last)| last);
        let Some(last) = last.filter(|_| reason == reason::START_TIMEOUT) else {
            return Self {
                reason,
                message,
                late: None,
            };
        };
        let (reason, message) = last.split_once(": ").unwrap_or(("", last));
        Self {
            reason,
            message,
            late: Some(last),
        }
    }
}

/// The progress of a start without problems.
fn progress(observed: &Observed) -> String {
    let Some(pod) = observed.current_pod() else {
        return "no reason is known; no pod exists yet.".to_owned();
    };
    let name = pod.name_any();
    let how = match waiting(pod) {
        _ if node_of(pod).is_none() => "has no node yet".to_owned(),
        Some((container, why)) => {
            format!(
                "waits for its container {container} ({why}): the image is being pulled, or a volume mounted"
            )
        }
        None => "runs and is not ready".to_owned(),
    };
    format!("no reason is known; the pod {name} {how}.")
}

/// The first container that has not started, and why.
fn waiting(pod: &Pod) -> Option<(&str, &str)> {
    container_statuses(pod).find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        Some((container.name.as_str(), waiting.reason.as_deref()?))
    })
}
