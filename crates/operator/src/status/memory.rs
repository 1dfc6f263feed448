//! Pod, what its door says -> when memory last ran out in this run (pure).

use api::{
    WorkspaceStatus,
    condition::AVAILABLE,
    names::APPLICATION_CONTAINER,
    workspace::{EndedForMemory, OutOfMemory, Phase},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::Time};

use crate::cache::{observed::Observed, partial::Pod};

/// What helps.
pub(super) const ADVICE: &str = "Raise spec.resources.limits.memory, stop and start.";

/// Shortest time between two that are told.
const BETWEEN: SignedDuration = SignedDuration::from_mins(1);

/// Sets in a status when memory last ran out in this run, and says it beside that the pod is ready. `ended`: when a process was ended, as
/// the door of the pod says. Its answer lives as long as the container, so what is in the status `before` stays.
pub(crate) fn complete(
    status: &mut WorkspaceStatus,
    before: Option<&WorkspaceStatus>,
    observed: &Observed,
    ended: Option<Timestamp>,
) {
    let Some(pod) = observed.current_pod().filter(|_| status.run_id.is_some()) else {
        return;
    };
    let event = |time, ended| OutOfMemory {
        time: Time(time),
        ended,
        limit: limit(pod),
    };
    let process = ended.map(|time| event(time, EndedForMemory::Process));
    let container = container_ended(pod).map(|time| event(time, EndedForMemory::Container));
    let earlier = before.filter(|before| before.run_id == status.run_id);
    let earlier = earlier.and_then(|before| before.out_of_memory.clone());
    let all = earlier.into_iter().chain(process).chain(container);
    status.out_of_memory = all.reduce(|last, next| {
        if is_news(next.time.0, Some(last.time.0)) {
            next
        } else {
            last
        }
    });
    if let Some(last) = status
        .out_of_memory
        .as_ref()
        .filter(|_| status.phase == Some(Phase::Running))
    {
        let addition = format!(" {} {ADVICE}", last.message());
        let available = status.conditions.iter_mut().find(|it| it.type_ == AVAILABLE);
        let text = available.map(|it| &mut it.message);
        for text in text.into_iter().chain(&mut status.message) {
            text.push_str(&addition);
        }
    }
}

/// Whether memory ran out anew. Readings of one time differ by a second, and what happens each few seconds is written once a minute.
pub(crate) fn is_news(time: Timestamp, known: Option<Timestamp>) -> bool {
    known.is_none_or(|known| time.duration_since(known) >= BETWEEN)
}

/// When the container was last ended for memory.
fn container_ended(pod: &Pod) -> Option<Timestamp> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    let container = containers.iter().find(|it| it.name == APPLICATION_CONTAINER)?;
    let states = [&container.last_state, &container.state].into_iter().flatten();
    states
        .filter_map(|state| state.terminated.as_ref())
        .filter(|ended| ended.reason.as_deref() == Some("OOMKilled"))
        .filter_map(|ended| Some(ended.finished_at.as_ref()?.0))
        .max()
}

fn limit(pod: &Pod) -> Option<Quantity> {
    let containers = &pod.spec.as_ref()?.containers;
    let container = containers.iter().find(|it| it.name == APPLICATION_CONTAINER)?;
    container.resources.as_ref()?.limits.as_ref()?.memory.clone()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::condition::DEGRADED;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
    use serde_json::{Value, json};

    use super::*;
    use crate::{status::transitions, testing};

    fn at(minute: u8) -> Timestamp {
        format!("2026-01-01T10:{minute:02}:00Z").parse().unwrap()
    }

    fn pod_with(state: &Value, last_state: &Value) -> Observed {
        let mut observed = testing::running();
        let mut pod = observed.pods[0].as_ref().clone();
        let container = json!({
            "name": APPLICATION_CONTAINER, "ready": true, "restartCount": 1, "image": "", "imageID": "", "state": state,
            "lastState": last_state,
        });
        pod.status.as_mut().unwrap().container_statuses = serde_json::from_value(json!([container])).unwrap();
        observed.pods = vec![Arc::new(pod)];
        observed
    }

    fn running() -> WorkspaceStatus {
        let condition = |type_: &str, status: &str| Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: "Any".to_owned(),
            message: "The pod is ready.".to_owned(),
            observed_generation: None,
            last_transition_time: Time(at(0)),
        };
        WorkspaceStatus {
            run_id: Some("run1".to_owned()),
            phase: Some(Phase::Running),
            message: Some("The pod is ready.".to_owned()),
            conditions: vec![condition(AVAILABLE, "True"), condition(DEGRADED, "False")],
            ..WorkspaceStatus::default()
        }
    }

    fn next(before: &WorkspaceStatus, observed: &Observed, ended: Option<Timestamp>) -> WorkspaceStatus {
        let mut status = running();
        complete(&mut status, Some(before), observed, ended);
        status
    }

    fn notes(before: &WorkspaceStatus, after: &WorkspaceStatus) -> Vec<String> {
        let events = transitions::events("demo", Some(before), after);
        events.into_iter().filter_map(|event| event.note).collect()
    }

    #[test]
    fn a_process_that_was_ended_is_told_once_and_stays_in_the_status_of_its_run() {
        let (plain, pod) = (running(), testing::running());
        let told = next(&plain, &pod, Some(at(3)));
        let text = told.message.as_deref().unwrap();
        assert!(
            text.starts_with("The pod is ready. A process was ended at 2026-01-01T10:03:00Z, "),
            "{text}"
        );
        assert!(text.ends_with(ADVICE), "{text}");
        assert_eq!(told.conditions[0].message, text);
        assert_eq!(
            told.conditions[1].message, "The pod is ready.",
            "of other conditions nothing"
        );
        assert_eq!(notes(&plain, &told).len(), 1);
        // A new leader has asked nobody yet.
        let kept = next(&told, &pod, None);
        assert_eq!(kept, told);
        let by_another_reading = at(3) + SignedDuration::from_secs(1);
        assert_eq!(next(&kept, &pod, Some(by_another_reading)), kept);
        let again = next(&kept, &pod, Some(at(4)));
        assert_eq!(again.out_of_memory.as_ref().unwrap().time.0, at(4));
        assert_eq!(notes(&kept, &again).len(), 1);
        let mut of_last_run = told;
        of_last_run.run_id = Some("run0".to_owned());
        assert_eq!(next(&of_last_run, &pod, None).out_of_memory, None);
    }

    #[test]
    fn a_container_that_was_ended_is_told_when_it_runs_again() {
        let since = json!({"running": {"startedAt": "2026-01-01T10:05:01Z"}});
        let ended = |reason| json!({"terminated": {"reason": reason, "exitCode": 137, "finishedAt": "2026-01-01T10:05:00Z"}});
        let told = next(&running(), &pod_with(&since, &ended("OOMKilled")), Some(at(3)));
        let found = told.out_of_memory.clone().unwrap();
        assert_eq!((found.time.0, found.ended), (at(5), EndedForMemory::Container));
        assert!(
            told.message
                .unwrap()
                .contains("The container was ended and started again at")
        );
        let other = next(&running(), &pod_with(&since, &ended("Error")), None);
        assert_eq!(other.out_of_memory, None);
    }

    #[test]
    fn a_condition_that_tells_it_needs_no_second_event() {
        let ended = json!({"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-01-01T10:05:00Z"}});
        let observed = pod_with(&ended, &json!({}));
        let mut failed = next(&running(), &observed, None);
        assert_eq!(notes(&running(), &failed).len(), 1, "the control");
        let degraded = &mut failed.conditions[1];
        "True".clone_into(&mut degraded.status);
        "OOMKilled".clone_into(&mut degraded.reason);
        assert_eq!(
            notes(&running(), &failed),
            ["The pod is ready."],
            "the condition's own"
        );
    }
}
