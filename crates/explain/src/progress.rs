//! Status, pod and Events of a starting workspace -> its steps (pure).

use api::condition::reason::{self, State, Step};
use api::names::{APPLICATION_CONTAINER, RUN_ID_LABEL};
use api::workspace::{DesiredStatus, Phase};
use api::{Workspace, WorkspaceStatus};
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

/// The steps of a start, in order.
pub const STEPS: [&str; 6] = [
    "Scheduling",
    "Attaching disk",
    "Pulling image",
    "Starting the application",
    "Waiting for the application",
    "Opening the connection",
];
/// Number of steps before the application runs.
const PREPARED: usize = 4;

/// Percentage of a start by the number of completed steps. The first step is started; pulls and the application's own start take longest.
pub const PERCENT: [u8; STEPS.len() + 1] = [20, 30, 40, 55, 75, 95, 100];

/// How far a start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Number of completed steps.
    pub done: usize,
    /// The step that does not go on.
    pub stuck: Option<usize>,
    /// Start of the first incomplete step, as far as the pod shows it.
    pub since: Option<Timestamp>,
}

impl Progress {
    /// In percent.
    pub fn percent(self) -> u8 {
        PERCENT[self.done.min(STEPS.len())]
    }
}

/// The phase of a workspace: that of its status, with what its spec wants since then. A requested stop or start shows at once.
pub fn phase(workspace: &Workspace) -> Phase {
    let status = workspace.status.as_ref();
    let is_judged = status.and_then(|status| status.observed_generation) == workspace.metadata.generation;
    let is_stopped = workspace.spec.desired_status == DesiredStatus::Stopped;
    match status.and_then(|status| status.phase) {
        _ if workspace.metadata.deletion_timestamp.is_some() => Phase::Deleting,
        Some(Phase::Stopped) if is_stopped => Phase::Stopped,
        // The operator reports no other phase of a workspace that is to be stopped.
        _ if is_stopped => Phase::Stopping,
        Some(Phase::Stopped) if !is_judged => Phase::Starting,
        Some(phase) => phase,
        None => Phase::Starting,
    }
}

/// The reason that keeps a workspace from running, if there is one. A reason of a later version is one.
pub fn blocker(phase: Phase, name: &str) -> Option<&str> {
    let waits = matches!(phase, Phase::Failed | Phase::Invalid | Phase::Starting);
    let blocks = match reason::find(name).map(|reason| reason.state) {
        Some(State::Fine | State::Waits) => false,
        Some(State::Wrong | State::Blocks(_)) => true,
        None => !name.is_empty(),
    };
    (waits && blocks).then_some(name)
}

/// The steps of the start by the status alone. `started`: whether a container of this run has started.
pub fn by_status(phase: Phase, reason: &str, started: bool) -> Progress {
    let blocked = blocker(phase, reason).and_then(blocked_step);
    let (done, stuck) = match blocked {
        // A pod gets a node only when its disk is free.
        Some(Step::Node) => (0, Some(0)),
        Some(Step::Disk) => (0, Some(1)),
        Some(Step::Attach) => (1, Some(1)),
        Some(Step::Image) => (2, Some(2)),
        Some(Step::Container | Step::Process) => (3, Some(3)),
        Some(Step::Application) => (4, Some(4)),
        Some(Step::Connection) => (5, Some(5)),
        None if started => (PREPARED, None),
        None => (0, None),
    };
    Progress {
        done,
        stuck,
        since: None,
    }
}

/// The step that a reason blocks.
fn blocked_step(name: &str) -> Option<Step> {
    match reason::find(name)?.state {
        State::Blocks(step) => Some(step),
        State::Fine | State::Waits | State::Wrong => None,
    }
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

/// How far the start is by its pod and Events, too. A visible step proves all earlier ones, because some leave no trace: an image that is
/// on the node is not pulled, and attaching a disk may write no Event.
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
    let happened = |name: &str| {
        let of_name = of_application(pod, events).filter(|event| event.reason.as_deref() == Some(name));
        of_name.map(first_time).max()
    };
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let is = |type_: &str| {
        let condition = conditions
            .clone()
            .find(|it| it.type_ == type_ && it.status == "True");
        condition.map(|it| it.last_transition_time.as_ref().map(|time| time.0))
    };
    let runs = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten())
        .filter(|it| it.name == APPLICATION_CONTAINER)
        .find_map(|it| it.state.as_ref()?.running.as_ref())
        .map(|running| running.started_at.as_ref().map(|time| time.0));
    let pulled = happened("Pulled");
    // Each step's end, with its time where that is known.
    let steps = [
        is("PodScheduled"),
        happened("Pulling")
            .or_else(|| is("PodReadyToStartContainers"))
            .or(pulled)
            .or(runs),
        pulled.or(runs),
        runs,
        is("Ready"),
        is("Ready").filter(|_| endpoint.is_some()),
    ];
    let by_pod = steps.iter().rposition(Option::is_some).map_or(0, |at| at + 1);
    let done = known.done.max(by_pod).min(known.stuck.unwrap_or(STEPS.len()));
    let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    Progress {
        done,
        stuck: known.stuck,
        since: match done.checked_sub(1) {
            None => created,
            Some(before) => steps[before].flatten(),
        },
    }
}

/// Events of the application's container. Init containers and sidecars have images and states of their own.
fn of_application<'a>(pod: &'a Pod, events: &'a [Event]) -> impl Iterator<Item = &'a Event> {
    let container = format!("spec.containers{{{APPLICATION_CONTAINER}}}");
    events.iter().filter(move |event| {
        let object = &event.involved_object;
        object.uid == pod.metadata.uid && object.field_path.as_deref() == Some(&*container)
    })
}

/// Whether the pod's node had the application's image before; `None`: no Event tells yet.
pub(super) fn had_image(pod: &Pod, events: &[Event]) -> Option<bool> {
    let pulls = of_application(pod, events)
        .filter(|event| matches!(event.reason.as_deref(), Some("Pulling" | "Pulled")));
    let mut pulls = pulls.peekable();
    pulls.peek()?;
    Some(pulls.all(|event| {
        event.reason.as_deref() == Some("Pulled")
            && event
                .message
                .as_deref()
                .is_some_and(|text| text.contains("already present"))
    }))
}

/// Time of an Event's first occurrence.
fn first_time(event: &Event) -> Option<Timestamp> {
    let precise = event.event_time.as_ref().map(|time| time.0);
    event.first_timestamp.as_ref().map(|time| time.0).or(precise)
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
                {"name": "sidecar", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}},
                {"name": "workspace", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state}]},
        });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let event = |reason: &&str| {
            let event = json!({"metadata": {}, "involvedObject": {"uid": "p", "fieldPath": "spec.containers{workspace}"}, "reason": reason});
            serde_json::from_value::<Event>(event).unwrap()
        };
        let events: Vec<_> = events.iter().map(event).collect();
        let workspace = json!({"metadata": {"name": "w"}, "spec": {"displayName": "w"}, "status": status});
        let progress = by_pod(&serde_json::from_value(workspace).unwrap(), Some(&pod), &events);
        (progress.done, progress.stuck)
    }

    #[test]
    fn a_requested_stop_or_start_shows_before_the_operator_has_written() {
        let of = |wanted: &str, reported: Value, observed: i64| {
            let workspace = json!({
                "metadata": {"name": "w", "generation": 2}, "spec": {"displayName": "w", "desiredStatus": wanted},
                "status": {"phase": reported, "observedGeneration": observed},
            });
            phase(&serde_json::from_value(workspace).unwrap())
        };
        for reported in ["Running", "Starting", "Failed", "Invalid", "Stopping"] {
            let stopping = of("Stopped", json!(reported), 1);
            assert_eq!(stopping, Phase::Stopping, "{reported}");
            let stays = of("Running", json!(reported), 1);
            assert_eq!(json!(stays), json!(reported));
        }
        assert_eq!(of("Stopped", json!("Stopped"), 1), Phase::Stopped);
        assert_eq!(of("Running", json!("Stopped"), 1), Phase::Starting);
        assert_eq!(of("Running", json!("Stopped"), 2), Phase::Stopped);
        assert_eq!(of("Running", Value::Null, 1), Phase::Starting);
        assert_eq!(of("Stopped", Value::Null, 1), Phase::Stopping);
        let leaving = json!({
            "metadata": {"name": "w", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"displayName": "w"},
            "status": {"phase": "Running"},
        });
        let leaving = serde_json::from_value(leaving).unwrap();
        assert_eq!(phase(&leaving), Phase::Deleting);
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
    fn a_blocked_step_stays_incomplete_independent_of_the_pod() {
        let blocked = json!({"phase": "Failed", "reason": reason::IMAGE_PULL_FAILED});
        assert_eq!(
            done(&["PodScheduled"], false, &["Pulling"], blocked),
            (2, Some(2))
        );
        let unbound = json!({"phase": "Starting", "reason": reason::VOLUME_UNBOUND});
        assert_eq!(done(&[], false, &[], unbound), (0, Some(1)));
    }

    #[test]
    fn a_step_begins_when_the_step_before_it_ended() {
        let time = |second: i64| Timestamp::from_second(second).unwrap();
        let event = |reason: &str, container: &str, second| {
            let object = json!({"uid": "p", "fieldPath": format!("spec.{container}")});
            let event = json!({"metadata": {}, "involvedObject": object, "reason": reason, "firstTimestamp": time(second)});
            serde_json::from_value::<Event>(event).unwrap()
        };
        let (own, init) = ("containers{workspace}", "initContainers{seed}");
        let status = json!({"phase": "Starting", "reason": "Starting"});
        let workspace = json!({"metadata": {"name": "w"}, "spec": {"displayName": "w"}, "status": status});
        let workspace: Workspace = serde_json::from_value(workspace).unwrap();
        let since = |conditions: Value, events: &[Event]| {
            let metadata = json!({"uid": "p", "creationTimestamp": time(1)});
            let pod = json!({"metadata": metadata, "status": {"conditions": conditions}});
            by_pod(&workspace, Some(&serde_json::from_value(pod).unwrap()), events).since
        };
        let scheduled = json!([{"type": "PodScheduled", "status": "True", "lastTransitionTime": time(2)}]);
        assert_eq!(since(json!([]), &[]), Some(time(1)), "no node yet");
        assert_eq!(since(scheduled.clone(), &[]), Some(time(2)), "on a node");
        let mut events = vec![event("Pulling", init, 3), event("Pulled", init, 4)];
        assert_eq!(since(scheduled.clone(), &events), Some(time(2)), "another image");
        events.push(event("Pulling", own, 9));
        assert_eq!(since(scheduled.clone(), &events), Some(time(9)), "pulling");
        events.push(event("Pulling", own, 12));
        assert_eq!(since(scheduled.clone(), &events), Some(time(12)), "once more");
        events.push(event("Pulled", own, 15));
        assert_eq!(since(scheduled, &events), Some(time(15)), "pulled");
    }
}
