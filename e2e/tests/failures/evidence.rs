//! Condition -> time at which the API server first stored it.

use e2e::failures::{Histories, Moment};
use k8s_openapi::api::{
    core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod},
    events::v1::Event,
};

/// The time of the evidence.
pub(crate) trait When: Fn(&Histories) -> Option<Moment> {}
impl<F: Fn(&Histories) -> Option<Moment>> When for F {}

/// At a known time.
pub(crate) fn at(moment: Option<Moment>) -> impl When {
    move |_| moment.clone()
}

/// When the first of these Events was created.
pub(crate) fn warning(events: &[Event]) -> impl When + use<> {
    let first = events
        .iter()
        .min_by_key(|event| &event.metadata.creation_timestamp);
    at(first.and_then(Moment::created))
}

/// When a pod first met the condition.
fn pod(holds: impl Fn(&Pod) -> bool) -> impl When {
    move |histories| Moment::written(&histories.pods.first(&holds)?)
}

/// When a container first met the condition.
fn container(holds: impl Fn(&ContainerStatus) -> bool) -> impl When {
    pod(move |pod| {
        let status = pod.status.as_ref();
        status.is_some_and(|status| {
            let init = status.init_container_statuses.iter().flatten();
            init.chain(status.container_statuses.iter().flatten()).any(&holds)
        })
    })
}

/// When a container first waited for one of these reasons.
pub(crate) fn waiting(reasons: &'static [&'static str]) -> impl When {
    container(move |status| waits(status, reasons))
}

/// When a container first did not run: it waited for this reason, or had ended.
pub(crate) fn not_running(reason: &'static str) -> impl When {
    container(move |status| waits(status, &[reason]) || has_ended(status, |_| true))
}

fn waits(status: &ContainerStatus, reasons: &[&str]) -> bool {
    let why = |state: &ContainerState| state.waiting.clone()?.reason;
    let why = status.state.as_ref().and_then(why);
    why.is_some_and(|why| reasons.contains(&why.as_str()))
}

/// When a container had first ended.
pub(crate) fn ended() -> impl When {
    container(|status| has_ended(status, |_| true))
}

/// When a container had first ended for want of memory.
pub(crate) fn ended_for_memory() -> impl When {
    container(|status| has_ended(status, |end| end.reason.as_deref() == Some("OOMKilled")))
}

/// When a container had first ended twice: its restarts and an end that none has followed yet.
pub(crate) fn ended_twice() -> impl When {
    container(|status| {
        let runs = status.state.as_ref().is_some_and(|state| state.running.is_some());
        status.restart_count + i32::from(!runs) >= 2
    })
}

fn has_ended(status: &ContainerStatus, as_wanted: impl Fn(&ContainerStateTerminated) -> bool) -> bool {
    let both = [status.state.as_ref(), status.last_state.as_ref()];
    let mut ends = both.into_iter().filter_map(|state| state?.terminated.as_ref());
    ends.any(as_wanted)
}

/// When the scheduler first reported that no node fits the pod.
pub(crate) fn unscheduled() -> impl When {
    pod(|pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.is_some_and(|all| {
            all.iter()
                .any(|it| it.type_ == "PodScheduled" && it.status == "False")
        })
    })
}

/// When the pod had first failed, as its node ended it.
pub(crate) fn failed() -> impl When {
    pod(|pod| {
        let status = pod.status.as_ref();
        status.is_some_and(|status| status.phase.as_deref() == Some("Failed"))
    })
}

/// When the workspace was created: what it needs was missing or refused from the start.
pub(crate) fn created() -> impl When {
    move |histories| Moment::created(&histories.workspaces.first(|_| true)?)
}

/// When the claim was created.
pub(crate) fn claimed() -> impl When {
    move |histories| Moment::created(&histories.claims.first(|_| true)?)
}
