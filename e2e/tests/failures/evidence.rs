//! Condition -> time at which the API server first stored it.

use std::time::Duration;

use api::Workspace;
use e2e::failures::{Fixture, Histories, Moment};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

/// The time of the evidence.
pub(crate) trait When: Fn(&Histories) -> Option<Moment> {}
impl<F: Fn(&Histories) -> Option<Moment>> When for F {}

/// At a known time.
pub(crate) fn at(moment: Option<Moment>) -> impl When {
    move |_| moment.clone()
}

/// Waits for an Event of this reason, which the kubelet writes and no status contains; the time of its creation.
pub(crate) async fn event(fixture: &Fixture, reason: &str) -> anyhow::Result<impl When + use<>> {
    Ok(at(Moment::created(&fixture.event(reason).await?)))
}

/// When a pod first met the condition.
pub(crate) fn pod(holds: impl Fn(&Pod) -> bool) -> impl When {
    move |histories| Moment::written(&histories.pods.first(&holds)?)
}

/// When a container first met the condition.
pub(crate) fn container(holds: impl Fn(&ContainerStatus) -> bool) -> impl When {
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
    container(move |status| {
        let why = |state: &ContainerState| state.waiting.clone()?.reason;
        status
            .state
            .as_ref()
            .and_then(why)
            .is_some_and(|why| reasons.contains(&why.as_str()))
    })
}

/// When a container had first ended.
pub(crate) fn ended() -> impl When {
    container(|status| {
        let terminated =
            |state: Option<&ContainerState>| state.is_some_and(|state| state.terminated.is_some());
        terminated(status.state.as_ref()) || terminated(status.last_state.as_ref())
    })
}

/// This long after a container first started.
pub(crate) fn after_start(time: Duration) -> impl When {
    move |histories| {
        let started = |pod: &Pod| {
            let status = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
            Some(status.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0)
        };
        let first = histories.pods.first(|pod| started(pod).is_some())?;
        Some(Moment::At(started(&first)?.checked_add(time).ok()?))
    }
}

/// This long after the creation of the first pod.
pub(crate) fn after_pod(time: Duration) -> impl When {
    move |histories| {
        let first = histories.pods.first(|_| true)?;
        let made = first.metadata.creation_timestamp?.0;
        Some(Moment::At(made.checked_add(time).ok()?))
    }
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

/// When the start's time limit of one minute had passed.
pub(crate) fn start_is_over() -> impl When {
    |histories: &Histories| {
        let started = |workspace: &Workspace| {
            let status = workspace.status.as_ref();
            status.and_then(|status| status.starting_since.clone())
        };
        let first = histories
            .workspaces
            .first(|workspace| started(workspace).is_some())?;
        Some(Moment::At(started(&first)?.0 + SignedDuration::from_mins(1)))
    }
}

/// When the workspace was created: what it needs was missing or refused from the start.
pub(crate) fn created() -> impl When {
    move |histories| Moment::created(&histories.workspaces.first(|_| true)?)
}

/// When the claim was created.
pub(crate) fn claimed() -> impl When {
    move |histories| Moment::created(&histories.claims.first(|_| true)?)
}
