//! Desired status, observed state, safety of a start -> what to do about the pod (pure).
//!
//! `plan/record` decides about restarts.

use api::{
    WorkspaceStatus,
    condition::{self, STOPPED},
    workspace::DesiredStatus,
};

use super::start_safety::StartSafety;
use crate::{cache::observed::Observed, status::assess::is_kept_off};

/// What to do about the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Start a new run.
    Start,
    /// A run is in progress; leave its pod alone.
    Keep,
    /// A run is wanted, but pods of the last one still exist. A disk never has two pods.
    Await,
    /// End the run.
    Stop,
    /// There is no run, and none is wanted or allowed.
    Rest,
}

/// What to do about the pod. `valid`: whether the workspace may run. An invalid workspace is stopped on request like any other. Its
/// existing pod is left alone.
pub(crate) fn intent(
    desired: DesiredStatus,
    valid: bool,
    observed: &Observed,
    safety: StartSafety,
) -> Intent {
    match (desired, observed.wanted_pods() > 0) {
        (DesiredStatus::Stopped, true) => Intent::Stop,
        (DesiredStatus::Stopped, false) => Intent::Rest,
        (DesiredStatus::Running, true) => Intent::Keep,
        (DesiredStatus::Running, false) if !valid => Intent::Rest,
        (DesiredStatus::Running, false) if safety == StartSafety::Safe => Intent::Start,
        (DesiredStatus::Running, false) => Intent::Await,
    }
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

/// Whether the next step of a workspace needs what the caches may miss: a start, the statement `Stopped=True`, or a run whose pod
/// has vanished. Nothing else does: a child that is absent in the caches is made by a write that fails if one exists.
pub(crate) fn needs_reread(
    intent: Intent,
    safety: StartSafety,
    before: Option<&WorkspaceStatus>,
    observed: &Observed,
) -> bool {
    let is_stopped = || before.is_some_and(|status| condition::holds(&status.conditions, STOPPED));
    match intent {
        Intent::Await => safety == StartSafety::Reread,
        Intent::Rest => safety == StartSafety::Reread && !is_stopped(),
        Intent::Keep => may_miss_pod(before, observed),
        Intent::Start | Intent::Stop => false,
    }
}

/// Whether a pod of the current run may be on the disk although the caches do not show it. Either the ready pod has vanished without
/// ending, or the scheduler keeps the next pod away from it. A user may have removed its label.
fn may_miss_pod(before: Option<&WorkspaceStatus>, observed: &Observed) -> bool {
    let used = before.and_then(|before| {
        before
            .endpoint
            .as_ref()
            .filter(|_| before.run_id.as_deref() == observed.run_id())
    });
    let has_vanished = used.is_some_and(|used| {
        observed
            .pods
            .iter()
            .all(|pod| pod.metadata.name.as_ref() != Some(&used.pod_name))
    });
    let pod = observed.current_pod();
    has_vanished || pod.is_some_and(|pod| is_kept_off(pod) && observed.previous_pods(pod).next().is_none())
}

#[cfg(test)]
mod tests {
    use DesiredStatus::{Running, Stopped};

    use super::*;
    use crate::testing;

    /// The intent where the observed state is confirmed.
    fn intent(desired: DesiredStatus, valid: bool, observed: &Observed) -> Intent {
        super::intent(desired, valid, observed, StartSafety::of(observed, true))
    }

    #[test]
    fn a_workspace_without_anything_starts_if_it_may() {
        let observed = testing::observed();
        assert_eq!(intent(Running, true, &observed), Intent::Start);
        assert_eq!(intent(Running, false, &observed), Intent::Rest);
        assert_eq!(intent(Stopped, true, &observed), Intent::Rest);
        let unconfirmed = StartSafety::of(&observed, false);
        assert_eq!(
            super::intent(Running, true, &observed, unconfirmed),
            Intent::Await
        );
    }

    #[test]
    fn a_running_workspace_is_kept_even_if_it_became_invalid_and_stops_on_request() {
        let observed = testing::running();
        assert_eq!(intent(Running, true, &observed), Intent::Keep);
        assert_eq!(intent(Running, false, &observed), Intent::Keep);
        assert_eq!(intent(Stopped, false, &observed), Intent::Stop);
    }

    #[test]
    fn an_evicted_pod_uses_no_disk_and_a_terminating_one_does_until_it_is_gone() {
        let mut observed = testing::scaled_to_zero();
        let mut pod = observed.pods[0].as_ref().clone();
        pod.status.as_mut().unwrap().phase = Some("Failed".to_owned());
        observed.pods = vec![pod.clone().into()];
        assert_eq!(intent(Running, true, &observed), Intent::Start);
        pod.metadata
            .deletion_timestamp
            .clone_from(&pod.metadata.creation_timestamp);
        observed.pods = vec![pod.into()];
        assert_eq!(intent(Running, true, &observed), Intent::Await);
    }

    #[test]
    fn a_foreign_pod_with_our_label_blocks_a_start_only_if_it_uses_the_disk() {
        let mut observed = testing::scaled_to_zero();
        let mut stranger = observed.pods[0].as_ref().clone();
        stranger.metadata.annotations = None;
        stranger.metadata.owner_references = None;
        stranger.spec.as_mut().unwrap().volumes = None;
        let user = observed.pods[0].spec.clone();
        observed.pods = vec![stranger.clone().into()];
        assert_eq!(intent(Running, true, &observed), Intent::Start);
        stranger.spec = user;
        observed.pods = vec![stranger.into()];
        assert_eq!(
            intent(Running, true, &observed),
            Intent::Await,
            "one pod per disk, always"
        );
    }
}
