//! Earlier status, observed state -> since when the workspace runs, and fails (pure).
//!
//! Both outlive a pod that is replaced without a user's wish. A start or restart by a user begins them anew: while the workspace is stopped,
//! or restarts, they are absent. A start after a rule's stop also begins them anew if no status shows the stop.

use api::{
    WorkspaceStatus,
    condition::{self, PROGRESSING},
    names::STOPPED_BECAUSE,
    workspace::{DesiredStatus, Resolved},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt as _;
use rules::stops::STEADY;

use super::{Facts, State, evidence, remembered};
use crate::status::stop_record::Because;

/// What both times follow from.
pub(super) struct Run<'a> {
    pub(super) facts: &'a Facts<'a>,
    pub(super) state: State,
    pub(super) before: &'a WorkspaceStatus,
    pub(super) resolved: Option<&'a Resolved>,
    /// Its pod waits for scheduling gates.
    pub(super) is_gated: bool,
    /// As the new status says.
    pub(super) starting_since: Option<&'a Time>,
    /// As the new status says.
    pub(super) conditions: &'a [Condition],
}

impl Run<'_> {
    fn goes_on(&self) -> bool {
        let is_wanted = self.facts.workspace.spec.desired_status == DesiredStatus::Running;
        is_wanted && !self.facts.restarts && self.state != State::Invalid
    }

    /// Whether a rule stopped the run of the earlier status. Its times end with it.
    fn is_after_stop(&self) -> bool {
        let record = self.facts.workspace.annotations().get(STOPPED_BECAUSE);
        let because: Option<Because> = record.and_then(|record| record.parse().ok());
        because.is_some_and(|because| Some(because.run_id) == self.before.run_id)
    }

    /// When the first container started since a user last started the workspace.
    pub(super) fn running_since(&self) -> Option<Time> {
        self.resolved?.max_age_minutes.filter(|_| self.goes_on())?;
        let observed = self.facts.observed;
        let known = self.before.running_since.clone();
        let known = known.filter(|_| !self.is_after_stop());
        // A pod that still ends is that of an earlier start.
        known.or_else(|| remembered::started_at(self.before, observed, true).filter(|_| observed.runs()))
    }

    /// When its user asked for the stop in it.
    pub(super) fn stop_requested_at(&self) -> Option<Time> {
        let pod = self.facts.observed.current_pod();
        let pod = pod.filter(|_| self.goes_on() && !self.is_after_stop());
        pod.and_then(evidence::stop_request)
    }

    /// Since when it was not ready for [`STEADY`] together.
    pub(super) fn failing_since(&self) -> Option<Time> {
        self.resolved?.failed_timeout_minutes.filter(|_| self.goes_on())?;
        if self.is_gated {
            return None;
        }
        let is_after_stop = self.is_after_stop();
        let known = self.before.failing_since.as_ref().filter(|_| !is_after_stop);
        let is_steady = |since: &Time| self.facts.now.duration_since(since.0) >= STEADY;
        if self.state == State::Running {
            let ready = flipped(self.conditions)?;
            return known.filter(|_| !is_steady(ready)).cloned();
        }
        let was_steady =
            self.before.endpoint.is_some() && flipped(&self.before.conditions).is_some_and(is_steady);
        let unready = || flipped(self.conditions).filter(|_| self.facts.observed.runs());
        known
            .filter(|_| !was_steady)
            .or(self.starting_since)
            .or_else(unready)
            .cloned()
    }
}

/// Since when the pod has been ready, or not.
fn flipped(conditions: &[Condition]) -> Option<&Time> {
    Some(&condition::find(conditions, PROGRESSING)?.last_transition_time)
}
