//! Earlier status, observed state -> since when the workspace runs, and fails (pure).
//!
//! Both outlive a pod that is replaced without a user's wish. A start or restart by a user begins them anew: while the workspace is stopped,
//! or restarts, they are absent. A start after a rule's stop also begins them anew if no status shows the stop.

use api::{
    WorkspaceStatus,
    condition::{self, PROGRESSING},
    names::STOPPED_BECAUSE,
    workspace::{DesiredStatus, Resolved, StopRule},
};
use jiff::Timestamp;
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

    /// Now, in whole seconds, which the API server keeps.
    fn now(&self) -> Timestamp {
        let now = self.facts.now;
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }

    /// The stop by a rule of the run of the earlier status, as the workspace's annotation has it. Users may write that, too.
    fn recorded_stop(&self) -> Option<Because> {
        let record = self.facts.workspace.annotations().get(STOPPED_BECAUSE)?;
        let because: Because = record.parse().ok()?;
        (Some(&because.run_id) == self.before.run_id.as_ref()).then_some(because)
    }

    /// Whether a rule stopped the run of the earlier status, which announced that. Its times end with it.
    fn is_after_stop(&self) -> bool {
        let (rule, at) = (self.before.stops_because, self.before.stops_at.as_ref());
        self.recorded_stop().is_some_and(|because| {
            let is_past = because.time <= self.facts.now;
            is_past && rule == Some(because.rule) && at.is_some_and(|at| at.0 <= because.time)
        })
    }

    /// When the first container started since a user last started the workspace.
    pub(super) fn running_since(&self) -> Option<Time> {
        self.resolved?.max_age_minutes.filter(|_| self.goes_on())?;
        let known = self.before.running_since.clone();
        known
            .filter(|_| !self.is_after_stop())
            .or_else(|| self.first_start())
    }

    /// When the first container of the run started. A node's clock may be wrong: the time is not before its pod, nor ahead of ours.
    fn first_start(&self) -> Option<Time> {
        let observed = self.facts.observed;
        // A pod that still ends is that of an earlier start.
        let pod = observed.current_pod()?;
        let started = remembered::started_at(self.before, observed, true)?.0;
        let made = pod.metadata.creation_timestamp.as_ref();
        let started = made.map_or(started, |made| made.0.max(started));
        Some(Time(started.min(self.now())))
    }

    /// When its user asked for the stop in it. A time that is ahead of our clock counts as now, when it is first seen.
    pub(super) fn stop_requested_at(&self) -> Option<Time> {
        let pod = self.facts.observed.current_pod();
        let is_done = |because: Because| because.rule == StopRule::Requested;
        let pod = pod.filter(|_| self.goes_on() && !self.recorded_stop().is_some_and(is_done))?;
        let (asked, now) = (evidence::stop_request(pod)?, self.now());
        if asked.0 <= now {
            return Some(asked);
        }
        let seen = self.before.stop_requested_at.clone();
        Some(seen.filter(|seen| seen.0 <= now).unwrap_or(Time(now)))
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
