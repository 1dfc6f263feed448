//! Status, pod and Events of a starting workspace -> its steps (pure).

use api::condition::reason;
use api::names::RUN_ID_LABEL;
use api::workspace::Phase;
use api::{Workspace, WorkspaceStatus};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt as _;

/// The steps of a start, in order.
pub const STEPS: [&str; 6] = [
    "Scheduling",
    "Attaching disk",
    "Pulling image",
    "Starting JupyterLab",
    "Waiting for JupyterLab",
    "Opening the connection",
];
/// Number of steps before the application runs.
pub const PREPARED: usize = 4;

/// How far a start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Number of completed steps.
    pub done: usize,
    /// The step that does not go on.
    pub stuck: Option<usize>,
}

impl Progress {
    /// In percent of all steps.
    pub fn percent(self) -> u8 {
        let percent = self.done.min(STEPS.len()) * 100 / STEPS.len();
        u8::try_from(percent).unwrap_or(100)
    }
}

/// The reason that keeps a workspace from running, if there is one.
pub fn blocker(phase: Phase, reason: &str) -> Option<&str> {
    let goes_well = [
        "",
        reason::STARTING,
        reason::STOPPING,
        reason::PREDECESSOR_TERMINATING,
        reason::READY,
    ];
    match phase {
        Phase::Failed | Phase::Invalid | Phase::Starting => (!goes_well.contains(&reason)).then_some(reason),
        _ => None,
    }
}

/// How far the start is by the status alone. `started`: whether a container of this run has started.
pub fn by_status(phase: Phase, reason: &str, started: bool) -> Progress {
    let blocker = blocker(phase, reason);
    let stuck = blocker.and_then(blocked_step);
    let done = match stuck {
        Some(_) if blocker.is_some_and(is_before_node) => 0,
        Some(at) => at,
        None if started => PREPARED,
        None => 0,
    };
    Progress { done, stuck }
}

/// The pod of the present run: the newest one that is not being deleted. Pods of earlier runs carry another run's label.
pub fn current_pod<'a>(workspace: &Workspace, pods: &'a [Pod]) -> Option<&'a Pod> {
    let run = workspace
        .status
        .as_ref()
        .and_then(|status| status.run_id.as_deref());
    let of_run = pods.iter().filter(|pod| {
        let label = pod.labels().get(RUN_ID_LABEL).map(String::as_str);
        pod.metadata.deletion_timestamp.is_none() && label == run
    });
    of_run.max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// How far the start is by its pod and Events, too. A step that shows itself proves the steps before it: an image that is on the node is
/// not pulled, and a disk that is attached says nothing.
pub fn by_pod(workspace: &Workspace, pod: Option<&Pod>, events: &[Event]) -> Progress {
    let status = workspace.status.clone().unwrap_or_default();
    let WorkspaceStatus {
        phase,
        reason,
        started_at,
        endpoint,
        ..
    } = status;
    let known = by_status(
        phase.unwrap_or(Phase::Starting),
        reason.as_deref().unwrap_or_default(),
        started_at.is_some(),
    );
    let Some(pod) = pod else {
        return known;
    };
    let of_pod = |event: &&Event| event.involved_object.uid == pod.metadata.uid;
    let happened = |name: &str| {
        events
            .iter()
            .filter(of_pod)
            .any(|event| event.reason.as_deref() == Some(name))
    };
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let is = |type_: &str| {
        conditions
            .clone()
            .any(|it| it.type_ == type_ && it.status == "True")
    };
    let containers = || {
        pod.status
            .iter()
            .flat_map(|status| status.container_statuses.iter().flatten())
    };
    let runs = containers().any(|it| it.state.as_ref().is_some_and(|state| state.running.is_some()));
    let steps = [
        is("PodScheduled"),
        is("PodReadyToStartContainers") || happened("Pulling") || happened("Pulled") || runs,
        happened("Pulled") || runs,
        runs,
        is("Ready"),
        is("Ready") && endpoint.is_some(),
    ];
    let by_pod = steps.iter().rposition(|done| *done).map_or(0, |at| at + 1);
    Progress {
        done: known.done.max(by_pod).min(known.stuck.unwrap_or(STEPS.len())),
        stuck: known.stuck,
    }
}

/// Whether a reason that blocks the disk's step occurs before the pod has a node.
fn is_before_node(name: &str) -> bool {
    [
        reason::STORAGE_CLASS_NOT_FOUND,
        reason::VOLUME_UNBOUND,
        reason::VOLUME_IN_USE,
        reason::VOLUME_OF_ANOTHER_WORKSPACE,
        reason::RETAINED_VOLUME_OF_ANOTHER_OWNER,
    ]
    .contains(&name)
}

/// The step that a reason blocks.
fn blocked_step(name: &str) -> Option<usize> {
    Some(match name {
        reason::UNSCHEDULABLE
        | reason::QUOTA_EXCEEDED
        | reason::POD_SECURITY_VIOLATION
        | reason::ADMISSION_DENIED
        | reason::SERVICE_ACCOUNT_NOT_FOUND
        | reason::NAME_CONFLICT
        | reason::NODE_LOST
        | reason::EVICTED => 0,
        reason::STORAGE_CLASS_NOT_FOUND
        | reason::VOLUME_UNBOUND
        | reason::VOLUME_ATTACH_FAILED
        | reason::VOLUME_IN_USE
        | reason::VOLUME_OF_ANOTHER_WORKSPACE
        | reason::RETAINED_VOLUME_OF_ANOTHER_OWNER => 1,
        reason::IMAGE_PULL_FAILED => 2,
        reason::SECRET_NOT_FOUND
        | reason::CONFIG_MAP_NOT_FOUND
        | reason::CONTAINER_START_FAILED
        | reason::CONTAINER_EXITED
        | reason::CRASH_LOOPING
        | reason::OOM_KILLED
        | reason::POST_START_HOOK_FAILED => 3,
        reason::READINESS_FAILED => 4,
        reason::ROUTE_FAILED => 5,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn done(conditions: &[&str], runs: bool, events: &[&str], status: Value) -> (usize, Option<usize>) {
        let conditions: Vec<_> = conditions
            .iter()
            .map(|it| json!({"type": it, "status": "True"}))
            .collect();
        let state = if runs {
            json!({"running": {}})
        } else {
            json!({"waiting": {}})
        };
        let pod = json!({
            "metadata": {"uid": "p"},
            "status": {"conditions": conditions, "containerStatuses": [
                {"name": "workspace", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state}]},
        });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let event = |reason: &&str| {
            let event = json!({"metadata": {}, "involvedObject": {"uid": "p"}, "reason": reason});
            serde_json::from_value::<Event>(event).unwrap()
        };
        let events: Vec<_> = events.iter().map(event).collect();
        let workspace = json!({"metadata": {"name": "w"}, "spec": {"displayName": "w"}, "status": status});
        let progress = by_pod(&serde_json::from_value(workspace).unwrap(), Some(&pod), &events);
        (progress.done, progress.stuck)
    }

    #[test]
    fn a_start_goes_on_step_by_step_with_its_pod() {
        let starting = || json!({"phase": "Starting", "reason": "Starting"});
        assert_eq!(done(&[], false, &[], starting()).0, 0);
        assert_eq!(done(&["PodScheduled"], false, &[], starting()).0, 1);
        assert_eq!(done(&["PodScheduled"], false, &["Pulling"], starting()).0, 2);
        assert_eq!(
            done(&["PodScheduled"], false, &["Pulling", "Pulled"], starting()).0,
            3
        );
        assert_eq!(done(&["PodScheduled"], true, &[], starting()).0, 4);
        assert_eq!(done(&["PodScheduled", "Ready"], true, &[], starting()).0, 5);
        let endpoint = json!({"podName": "p", "podIP": "10.0.0.1", "port": 8888});
        let ready = json!({"phase": "Running", "endpoint": endpoint});
        assert_eq!(done(&["Ready"], true, &[], ready).0, STEPS.len());
    }

    #[test]
    fn a_blocked_step_stays_undone_whatever_the_pod_shows() {
        let blocked = json!({"phase": "Failed", "reason": reason::IMAGE_PULL_FAILED});
        assert_eq!(
            done(&["PodScheduled"], false, &["Pulling"], blocked),
            (2, Some(2))
        );
        let unbound = json!({"phase": "Starting", "reason": reason::VOLUME_UNBOUND});
        assert_eq!(done(&[], false, &[], unbound), (0, Some(1)));
    }

    #[test]
    fn percent_goes_from_none_to_all() {
        assert_eq!(Progress::default().percent(), 0);
        let all = Progress {
            done: STEPS.len(),
            stuck: None,
        };
        assert_eq!(all.percent(), 100);
    }
}
