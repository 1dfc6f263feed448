//! Desired status, observed state -> what to do about the pod (pure).
//!
//! `plan/record` decides about restarts.

use std::time::Duration;

use api::workspace::DesiredStatus;
use jiff::Timestamp;

use crate::{
    cache::{
        observed::{Observed, has_ended},
        partial::Pod,
    },
    status::started::has_run,
};

/// A pod that its node refused is replaced after this time, so that pods are not made and refused in a loop.
const REFUSED: Duration = Duration::from_secs(10);

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
/// existing pod is left alone.
pub(crate) fn intent(desired: DesiredStatus, valid: bool, observed: &Observed, now: Timestamp) -> Intent {
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
        DesiredStatus::Running if !has_run(observed, pod) && is_recent(pod, now) => Intent::Await,
        DesiredStatus::Running | DesiredStatus::Stopped => Intent::Stop,
    }
}

fn is_recent(pod: &Pod, now: Timestamp) -> bool {
    let made = pod.metadata.creation_timestamp.as_ref();
    // The API server's clock may be ahead of ours.
    let age = made.map(|made| Duration::try_from(now.duration_since(made.0)).unwrap_or_default());
    age.is_some_and(|age| age < REFUSED)
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
        super::intent(desired, valid, observed, now)
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
        assert_eq!(super::intent(Running, true, &observed, later), Intent::Stop);
        let before_creation = "2025-12-31T23:59:59Z".parse().unwrap();
        let intent_then = super::intent(Running, true, &observed, before_creation);
        assert_eq!(intent_then, Intent::Await, "the clock of the API server is ahead");
        assert_eq!(intent(Stopped, true, &observed), Intent::Stop);
    }
}
