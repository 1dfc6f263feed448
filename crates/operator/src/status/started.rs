//! Earlier status, observed state -> whether and when a container of the run first started (pure).
//!
//! Before that the user has nothing to lose, so changes are applied at once (docs/decisions/0025).

use api::{WorkspaceStatus, names::APPLICATION_CONTAINER};
use k8s_openapi::{api::core::v1::ContainerStateTerminated, apimachinery::pkg::apis::meta::v1::Time};

use crate::{
    cache::{
        observed::{Observed, container_statuses},
        partial::{ContainerState, ContainerStatus, Pod},
    },
    plan::record,
};

/// Whether a container of the current run has ever started. Its pod may be gone since; then only the status knows.
pub(crate) fn has_started(before: Option<&WorkspaceStatus>, observed: &Observed) -> bool {
    recorded_start(before, observed).is_some() || observed.own_pods().any(|pod| has_run(observed, pod))
}

/// When the current run started, if the status says so.
pub(crate) fn recorded_start<'a>(
    before: Option<&'a WorkspaceStatus>,
    observed: &Observed,
) -> Option<&'a Time> {
    let same_run =
        |status: &&WorkspaceStatus| status.run_id.is_some() && status.run_id.as_deref() == observed.run_id();
    before.filter(same_run)?.started_at.as_ref()
}

/// When the first container of the current run started, according to its pods.
pub(crate) fn first_start(observed: &Observed) -> Option<Time> {
    let pods = observed.own_pods().filter(|pod| has_run(observed, pod));
    // If a running pod reports no start time, its creation time is used: the pod cannot have started before it.
    pods.filter_map(|pod| {
        let first = containers(observed, pod).filter_map(start_of).min();
        first.or_else(|| pod.metadata.creation_timestamp.clone())
    })
    .min()
}

/// Whether a container of the workspace has ever started in the pod.
pub(crate) fn has_run(observed: &Observed, pod: &Pod) -> bool {
    if container_statuses(pod).next().is_some() {
        return containers(observed, pod).any(ran);
    }
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Running" | "Succeeded"))
}

/// Whether a container has ever started. One that could not be created shows as terminated and retried, in a running pod.
fn ran(container: &ContainerStatus) -> bool {
    let states = [&container.state, &container.last_state].into_iter().flatten();
    let runs = states.clone().any(|state| state.running.is_some());
    let mut ends = states.filter_map(|state| state.terminated.as_deref()).peekable();
    let tried_again = container.restart_count > 0 && ends.peek().is_none();
    runs || tried_again || ends.any(has_started_at)
}

/// The kubelet reports time 0 as the start of a container that ended without ever starting.
fn has_started_at(end: &ContainerStateTerminated) -> bool {
    end.started_at.as_ref().is_none_or(|time| time.0.as_second() > 0)
}

/// Statuses of the containers that the operator planned. Injectors add others to the pod, which start before them.
fn containers<'a>(observed: &Observed, pod: &'a Pod) -> impl Iterator<Item = &'a ContainerStatus> {
    let init = observed
        .started_from()
        .map(record::init_containers)
        .unwrap_or_default();
    container_statuses(pod)
        .filter(move |status| status.name == APPLICATION_CONTAINER || init.contains(&status.name))
}

fn start_of(container: &ContainerStatus) -> Option<Time> {
    let of = |state: &Option<ContainerState>| {
        let state = state.as_ref()?;
        let running = state.running.as_ref().and_then(|it| it.started_at.clone());
        let ended = state.terminated.as_ref().filter(|end| has_started_at(end));
        running.or_else(|| ended?.started_at.clone())
    };
    [of(&container.last_state), of(&container.state)]
        .into_iter()
        .flatten()
        .min()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing;

    fn with(status: &Value) -> Observed {
        let mut observed = testing::started();
        let mut pod = observed.pods[0].as_ref().clone();
        pod.status = serde_json::from_value(status.clone()).unwrap();
        observed.pods = vec![pod.into()];
        observed
    }

    fn container(state: &Value, restarts: i32) -> Value {
        json!({"phase": "Pending", "containerStatuses": [{
            "name": "workspace", "ready": false, "restartCount": restarts, "image": "", "imageID": "", "state": state,
        }]})
    }

    #[test]
    fn a_waiting_pod_has_not_started() {
        for status in [
            json!({"phase": "Pending"}),
            container(&json!({"waiting": {"reason": "ImagePullBackOff"}}), 0),
            json!({"phase": "Failed", "reason": "OutOfcpu"}),
        ] {
            assert!(!has_started(None, &with(&status)), "{status}");
            assert_eq!(first_start(&with(&status)), None);
        }
        let mut none = testing::started();
        none.pods.clear();
        assert!(!has_started(None, &none));
    }

    #[test]
    fn a_container_that_ever_started_counts_as_started() {
        let time = "2026-01-01T00:00:04Z";
        for status in [
            container(&json!({"running": {"startedAt": time}}), 0),
            container(&json!({"terminated": {"exitCode": 1, "startedAt": time}}), 0),
            container(&json!({"waiting": {"reason": "CrashLoopBackOff"}}), 3),
            json!({"phase": "Running"}),
        ] {
            assert!(has_started(None, &with(&status)), "{status}");
            assert!(first_start(&with(&status)).is_some(), "{status}");
        }
    }

    #[test]
    fn a_container_that_could_not_be_created_has_not_started() {
        let never = json!({"terminated": {"reason": "StartError", "exitCode": 128, "startedAt": "1970-01-01T00:00:00Z"}});
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let status = |state: &Value, last: &Value| {
            json!({"phase": "Running", "containerStatuses": [{
                "name": "workspace", "ready": false, "restartCount": 2, "image": "", "imageID": "", "state": state, "lastState": last,
            }]})
        };
        for status in [
            status(&never, &json!({})),
            status(&waiting, &never),
            status(&never, &never),
        ] {
            assert!(!has_started(None, &with(&status)), "{status}");
            assert_eq!(first_start(&with(&status)), None);
        }
        let once = json!({"terminated": {"exitCode": 1, "startedAt": "2026-01-01T00:00:04Z"}});
        let started = with(&status(&never, &once));
        assert!(has_started(None, &started) && first_start(&started).unwrap().0.as_second() > 0);
    }

    #[test]
    fn the_start_time_in_the_status_counts_for_this_run_only() {
        let observed = testing::started();
        let status = |run: &str| WorkspaceStatus {
            run_id: Some(run.to_owned()),
            started_at: serde_json::from_value(json!("2026-01-01T00:00:04Z")).unwrap(),
            ..WorkspaceStatus::default()
        };
        assert!(has_started(Some(&status("run1")), &observed));
        assert!(!has_started(Some(&status("run0")), &observed));
    }
}
