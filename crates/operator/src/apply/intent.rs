//! Desired status, observed state -> what to do about the pod (pure).
//!
//! `plan/record` decides about restarts.

use std::time::Duration;

use api::condition::{self, AVAILABLE, STOPPED};
use api::workspace::DesiredStatus;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::{
    cache::{
        observed::{Observed, has_ended},
        partial::Pod,
    },
    status::started::has_run,
};

/// A pod that its node refused is replaced after this time at least, so that pods are not made and refused in a loop.
const REFUSED: Duration = Duration::from_secs(10);
/// And after this time at most, which is also the longest wait of the kubelet between restarts.
const LONG_REFUSED: Duration = Duration::from_mins(5);

/// What to do about the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Start a new run.
    Start,
    /// A run is in progress; leave its pod alone.
    Keep,
    /// A pod has not ended yet.
    Await,
    /// End the run.
    Stop,
    /// There is no run, and none is wanted or allowed.
    Rest,
}

/// What to do about the pod. `valid`: whether the workspace may run. An invalid workspace is stopped on request like any other. Its
/// existing pod is left alone. `conditions`: those of the last status.
pub(crate) fn intent(
    desired: DesiredStatus,
    valid: bool,
    observed: &Observed,
    conditions: &[Condition],
    now: Timestamp,
) -> Intent {
    let Some(pod) = observed.pod() else {
        return match desired {
            DesiredStatus::Running if valid => Intent::Start,
            DesiredStatus::Running | DesiredStatus::Stopped => Intent::Rest,
        };
    };
    if pod.metadata.deletion_timestamp.is_some() {
        return Intent::Await;
    }
    match desired {
        DesiredStatus::Running if !has_ended(pod) => Intent::Keep,
        DesiredStatus::Running if !has_run(observed, pod) && is_recent(pod, conditions, now) => Intent::Await,
        DesiredStatus::Running | DesiredStatus::Stopped => Intent::Stop,
    }
}

/// Whether a refused pod is too young to be replaced. It has to get as old as the start was when the pod was made, so that waits double.
fn is_recent(pod: &Pod, conditions: &[Condition], now: Timestamp) -> bool {
    let Some(made) = pod.metadata.creation_timestamp.as_ref() else {
        return false;
    };
    // The API server's clock may be ahead of ours.
    let since = |time: Timestamp, start: Timestamp| Duration::try_from(time.duration_since(start));
    let changed = |type_| condition::find(conditions, type_).map(|it| it.last_transition_time.0);
    let start = changed(AVAILABLE).max(changed(STOPPED));
    let waited = start
        .and_then(|start| since(made.0, start).ok())
        .unwrap_or_default();
    since(now, made.0).unwrap_or_default() < waited.clamp(REFUSED, LONG_REFUSED)
}

impl Intent {
    /// The same, but ends a run that has to restart. Once its pod is gone, the next run starts by itself.
    #[must_use]
    pub(crate) fn or_restart(self, asked: bool) -> Self {
        if self == Self::Keep && asked {
            Self::Stop
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use DesiredStatus::{Running, Stopped};

    use super::*;
    use crate::testing;

    fn intent(desired: DesiredStatus, valid: bool, observed: &Observed) -> Intent {
        let now = "2026-01-01T00:00:05Z".parse().unwrap();
        super::intent(desired, valid, observed, &[], now)
    }

    #[test]
    fn a_pod_that_has_ended_is_deleted_and_one_that_ends_is_waited_for() {
        let mut observed = testing::running();
        let mut pod = observed.pods[0].as_ref().clone();
        pod.status.as_mut().unwrap().phase = Some("Failed".to_owned());
        observed.pods = vec![pod.clone().into()];
        assert_eq!(intent(Running, true, &observed), Intent::Stop);
        pod.metadata
            .deletion_timestamp
            .clone_from(&pod.metadata.creation_timestamp);
        observed.pods = vec![pod.into()];
        for desired in [Running, Stopped] {
            assert_eq!(intent(desired, true, &observed), Intent::Await);
        }
    }

    #[test]
    fn a_pod_that_its_node_refused_is_not_replaced_at_once() {
        let mut observed = testing::started();
        let mut pod = observed.pods[0].as_ref().clone();
        pod.status.as_mut().unwrap().phase = Some("Failed".to_owned());
        observed.pods = vec![pod.into()];
        assert_eq!(intent(Running, true, &observed), Intent::Await);
        let later = "2026-01-01T00:00:11Z".parse().unwrap();
        assert_eq!(super::intent(Running, true, &observed, &[], later), Intent::Stop);
        let before_creation = "2025-12-31T23:59:59Z".parse().unwrap();
        let intent_then = super::intent(Running, true, &observed, &[], before_creation);
        assert_eq!(intent_then, Intent::Await, "the clock of the API server is ahead");
        assert_eq!(intent(Stopped, true, &observed), Intent::Stop);
    }
    #[test]
    fn each_pod_that_a_node_refuses_is_waited_for_longer_until_a_start_or_a_ready_pod() {
        let condition = |type_: &str, time: &str| -> Condition {
            let json = serde_json::json!({
                "type": type_, "status": "False", "lastTransitionTime": time, "reason": "r", "message": "",
            });
            serde_json::from_value(json).unwrap()
        };
        let mut pod = testing::started().pods[0].as_ref().clone();
        pod.status.as_mut().unwrap().phase = Some("Failed".to_owned());
        let made = pod.metadata.creation_timestamp.clone().unwrap().0;
        let at = |seconds: i64| made + jiff::SignedDuration::from_secs(seconds);
        let mut observed = testing::started();
        observed.pods = vec![pod.into()];
        // Seconds from the last stop and from the last ready pod to the pod -> seconds until it is replaced.
        for (stop, ready, wait) in [
            (0, 0, 10),
            (12, 12, 12),
            (90, 5000, 90),
            (5000, 90, 90),
            (5000, 5000, 300),
            (-5, 90, 10),
        ] {
            let conditions = [
                condition(STOPPED, &at(-stop).to_string()),
                condition(AVAILABLE, &at(-ready).to_string()),
            ];
            let intent = |seconds| super::intent(Running, true, &observed, &conditions, at(seconds));
            assert_eq!(intent(wait - 1), Intent::Await, "{stop} {ready}");
            assert_eq!(intent(wait), Intent::Stop, "{stop} {ready}");
        }
    }
}
