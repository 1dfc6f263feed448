//! A status -> what led to it, and since when that is so (pure), as far as the status itself tells.

use api::{
    WorkspaceStatus,
    condition::{self, AVAILABLE, PROGRESSING, STOPPED},
    workspace::Phase,
};
use jiff::Timestamp;
use kube::runtime::events::Event;

use super::{causes, ready, starting, stopped, stopping, warning};
use crate::status::{events::Mark, outbox::Stamped};

/// The Events that whoever wrote this status had to tell, each since when it is so at the latest known. Of a hand-over, a disk in the
/// place of another, a pod template changed by hand and a pod that does not say whether it is used, a status tells no time.
pub fn standing(status: &WorkspaceStatus) -> Vec<Stamped> {
    let ready_since = since(status, AVAILABLE, "True");
    let run = status.run_id.clone().unwrap_or_default();
    let of_end = |at: Timestamp, event| {
        let step = at.to_string();
        marked(at, event, &step, &step)
    };
    let steps = [
        start(status).map(|at| marked(at, starting(), &run, &run)),
        ready_since.map(|at| marked(at, ready(status), &run, &format!("{run} {at}"))),
        stop(status).map(|(at, by_rule)| of_end(at, stopping(status, status, by_rule))),
        end(status).map(|at| of_end(at, stopped())),
    ];
    let nothing = WorkspaceStatus::default();
    let causes = causes(&nothing, status).map(|(action, cause)| {
        let at = cause.last_transition_time.0;
        marked(at, warning(action, cause), "", &format!("{at} {}", cause.message))
    });
    steps.into_iter().flatten().chain(causes).collect()
}

/// `step`: within what the same is counted. `which`: of several that have this reason.
fn marked(at: Timestamp, event: Event, step: &str, which: &str) -> Stamped {
    let mark = Mark {
        step: step.to_owned(),
        name: format!("{} {which}", event.reason),
    };
    Stamped {
        event,
        at,
        mark: Some(mark),
    }
}

/// Since when a condition has this status, if it has it.
fn since(status: &WorkspaceStatus, type_: &str, is: &str) -> Option<Timestamp> {
    let condition = condition::find(&status.conditions, type_)?;
    (condition.status == is).then_some(condition.last_transition_time.0)
}

/// When the run began that has not got ready yet.
fn start(status: &WorkspaceStatus) -> Option<Timestamp> {
    status.run_id.as_ref()?;
    status.starting_since.as_ref().map(|time| time.0)
}

/// When it was stopped, and whether by a rule. A start that was stopped is under way since its beginning.
fn stop(status: &WorkspaceStatus) -> Option<(Timestamp, bool)> {
    if let Some(because) = &status.stopped_because {
        return Some((because.time.0, true));
    }
    let is_stopping = status.phase == Some(Phase::Stopping);
    let begun = since(status, PROGRESSING, "True").filter(|_| is_stopping)?;
    Some((begun, false))
}

/// When it came to a stop: not of a workspace that has never been anything else.
fn end(status: &WorkspaceStatus) -> Option<Timestamp> {
    let ended = since(status, STOPPED, "True")?;
    let mut times = status.conditions.iter().map(|it| it.last_transition_time.0);
    times.any(|time| time < ended).then_some(ended)
}

#[cfg(test)]
mod tests {
    use api::condition::reason;
    use serde_json::{Value, json};

    use super::*;

    fn at(second: u8) -> String {
        format!("2026-01-01T00:00:{second:02}Z")
    }

    fn status(conditions: &[(&str, &str, &str, u8)], rest: Value) -> WorkspaceStatus {
        let conditions: Vec<_> = conditions
            .iter()
            .map(|(type_, status, reason, second)| {
                json!({
                    "type": type_, "status": status, "reason": reason, "message": "m", "lastTransitionTime": at(*second),
                })
            })
            .collect();
        let mut status = rest;
        status["conditions"] = json!(conditions);
        serde_json::from_value(status).unwrap()
    }

    fn told(status: &WorkspaceStatus) -> Vec<(String, String)> {
        let told = standing(status).into_iter();
        told.map(|it| (it.event.reason, it.at.to_string())).collect()
    }

    fn line(reason: &str, second: u8) -> (String, String) {
        (reason.to_owned(), at(second))
    }

    #[test]
    fn a_start_is_told_since_its_beginning_and_by_its_end_once_it_is_ready() {
        let conditions = [
            ("Available", "False", "Starting", 3),
            ("Stopped", "False", "Starting", 3),
        ];
        let rest = json!({"phase": "Starting", "runID": "r", "startingSince": at(2)});
        let on_its_way = status(&conditions, rest);
        assert_eq!(told(&on_its_way), [line(reason::STARTING, 2)]);
        let conditions = [
            ("Available", "True", "Ready", 9),
            ("Stopped", "False", "Running", 3),
        ];
        let running = status(&conditions, json!({"phase": "Running", "runID": "r"}));
        assert_eq!(told(&running), [line(reason::READY, 9)]);
    }

    #[test]
    fn a_stop_is_told_with_who_stopped_it_and_a_workspace_that_never_ran_did_not_stop() {
        let conditions = [
            ("Valid", "True", "AllRulesHold", 1),
            ("Progressing", "True", "Stopping", 7),
        ];
        let stopping = status(&conditions, json!({"phase": "Stopping", "runID": "r"}));
        assert_eq!(told(&stopping), [line(reason::STOPPING, 7)]);
        let conditions = [
            ("Valid", "True", "AllRulesHold", 1),
            ("Stopped", "True", "Stopped", 8),
        ];
        let because = json!({"phase": "Stopped", "stoppedBecause": {"rule": "Idle", "time": at(6)}});
        let idle = status(&conditions, because);
        assert_eq!(
            told(&idle),
            [line(reason::IDLE_STOPPED, 6), line(reason::STOPPED, 8)]
        );
        let conditions = [
            ("Valid", "True", "AllRulesHold", 1),
            ("Stopped", "True", "Stopped", 1),
        ];
        let never = status(&conditions, json!({"phase": "Stopped"}));
        assert_eq!(told(&never), []);
    }

    #[test]
    fn a_step_has_one_mark_in_all_statuses_that_tell_it_and_another_one_in_the_next_run() {
        let mark = |status: &WorkspaceStatus, reason: &str| {
            let found = standing(status).into_iter().find(|it| it.event.reason == reason);
            found.and_then(|it| it.mark)
        };
        let begun = [
            ("Available", "False", "Starting", 3),
            ("Stopped", "False", "Starting", 3),
        ];
        let on_its_way = |run: &str| {
            let rest = json!({"phase": "Starting", "runID": run, "startingSince": at(2)});
            status(&begun, rest)
        };
        let conditions = [
            ("Available", "True", "Ready", 9),
            ("Stopped", "False", "Running", 3),
        ];
        let running = status(
            &conditions,
            json!({"phase": "Running", "runID": "r", "url": "https://a"}),
        );
        let start = mark(&on_its_way("r"), reason::STARTING);
        assert!(start.is_some());
        assert_eq!(mark(&running, reason::STARTING), None, "it is over");
        assert_ne!(start, mark(&on_its_way("s"), reason::STARTING));
        assert_ne!(start, mark(&running, reason::READY));
        let moved = WorkspaceStatus {
            url: Some("https://b".to_owned()),
            ..running.clone()
        };
        assert_eq!(mark(&running, reason::READY), mark(&moved, reason::READY));
    }

    #[test]
    fn a_cause_is_told_since_it_is_one_and_once() {
        let missing = reason::TEMPLATE_NOT_FOUND;
        let conditions = [
            ("Valid", "False", missing, 1),
            ("Degraded", "True", missing, 2),
            ("Stopped", "True", missing, 1),
        ];
        let invalid = status(&conditions, json!({"phase": "Invalid"}));
        assert_eq!(told(&invalid), [line(missing, 2)]);
    }
}
