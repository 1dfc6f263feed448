//! Earlier status, new status -> Events (pure): one Event per transition, none in between.

use api::{
    WorkspaceStatus,
    condition::{self, AVAILABLE, DEGRADED, STOPPED, VALID, reason},
    workspace::{IdleStatus, Phase, StopRule},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};
use rules::{
    expiry,
    files::{Disks, Moment},
    stops,
};

use super::memory::ADVICE;
use crate::support::text::brief;

/// Longest note that the API server accepts, in bytes.
const MAX_NOTE: usize = 1024;

/// Longest part of a problem's message in the note of a stop, in bytes.
const MAX_PROBLEM: usize = 500;

/// After what time a rule stopped a workspace.
fn rule_note(before: &WorkspaceStatus, after: &WorkspaceStatus, rule: StopRule) -> String {
    let mut values = [before, after]
        .into_iter()
        .filter_map(|status| status.resolved.as_ref());
    let values = values.find(|values| stops::minutes(rule, values).is_some());
    let when = stops::when(rule, values);
    let field = rule.field().map(|field| format!(" (spec.{field})"));
    format!("Stopped {when}{}.", field.unwrap_or_default())
}

/// What was known of a workspace that a rule stopped, after another sentence; empty if there is nothing.
fn evidence(before: &WorkspaceStatus, rule: StopRule) -> String {
    let known = match rule {
        StopRule::Idle => before.idle.as_ref().and_then(last_use),
        StopRule::MaxAge => before
            .running_since
            .as_ref()
            .map(|since| format!("It ran since {}", since.0)),
        StopRule::Failed => condition::find(&before.conditions, DEGRADED)
            .filter(|problem| problem.status == "True")
            .map(|problem| format!("{}: {}", problem.reason, brief(&problem.message, MAX_PROBLEM))),
        StopRule::Requested => None,
    };
    known.map_or_else(String::new, |known| format!(" {}.", known.trim_end_matches('.')))
}

/// The last use of an idle workspace, and what each signal told of it.
fn last_use(idle: &IdleStatus) -> Option<String> {
    let last = idle.last_activity.as_ref()?.0;
    let told = idle.signals.iter().map(|signal| {
        let time = signal.last_activity.as_ref().map(|time| time.0.to_string());
        format!("{} {}", signal.name, time.as_deref().unwrap_or("never"))
    });
    let told = told.collect::<Vec<_>>().join(", ");
    let told = if told.is_empty() {
        told
    } else {
        format!(" ({told})")
    };
    Some(format!("Last activity about {last}{told}"))
}

/// The Event if a pod no longer reports whether it is used.
fn idle_check_failure(before: &WorkspaceStatus, after: &WorkspaceStatus) -> Option<Event> {
    let error = |status: &WorkspaceStatus| {
        let (name, why) = status.idle.as_ref()?.error()?;
        Some((name.to_owned(), why.to_owned()))
    };
    let (name, why) = error(after).filter(|_| error(before).is_none())?;
    let note = format!(
        "Whether the workspace is used cannot be seen ({name}: {why}). It is not stopped for idleness until it can; see \
         spec.idleShutdown.detection."
    );
    Some(event(
        EventType::Warning,
        "CheckIdleness",
        reason::IDLE_CHECK_FAILED,
        &note,
    ))
}

/// The Event if memory ran out, unless a condition tells it.
fn out_of_memory(before: &WorkspaceStatus, after: &WorkspaceStatus) -> Option<Event> {
    let new = after
        .out_of_memory
        .as_ref()
        .filter(|_| before.out_of_memory != after.out_of_memory)?;
    let told = condition::find(&after.conditions, DEGRADED);
    if told.is_some_and(|told| told.reason == reason::OOM_KILLED) {
        return None;
    }
    let note = format!("{} {ADVICE}", new.message());
    Some(event(EventType::Warning, "Run", reason::OOM_KILLED, &note))
}

/// The Event when a disk begins to be nearly full. A new figure of it needs none.
fn disk_nearly_full(before: &WorkspaceStatus, after: &WorkspaceStatus) -> Option<Event> {
    let warning = |status: &WorkspaceStatus| status.disk.as_ref()?.warning("the disk");
    let note = warning(after).filter(|_| warning(before).is_none())?;
    Some(event(EventType::Warning, "Run", reason::DISK_NEARLY_FULL, &note))
}

/// The Event if a rule requires a stop and the API server refuses it.
pub(crate) fn not_stopped(rule: StopRule, why: &str) -> Event {
    let cause = match rule.field() {
        Some(field) => format!("The time of spec.{field} is over"),
        None => format!("The workspace is to stop {}", stops::when(rule, None)),
    };
    let note = format!("{cause} and the workspace cannot be stopped: the API server refuses it. {why}");
    event(EventType::Warning, "Stop", rule.refusal_reason(), &note)
}

/// The Event about the time of a deletion that is announced first. `name`: of the workspace.
pub(crate) fn deletion_announced(name: &str, status: &WorkspaceStatus) -> Event {
    let note = expiry::notice(name, status).unwrap_or_default();
    normal("AnnounceDeletion", reason::DELETION_ANNOUNCED, &note)
}

/// The Event about a deletion by the retention. `status`: the last one of the workspace of this name.
pub(crate) fn deleted(name: &str, status: &WorkspaceStatus) -> Event {
    let when = expiry::when(status.resolved.as_ref());
    let files = expiry::fate(name, status).text;
    normal(
        "Delete",
        reason::RETENTION_DELETED,
        &format!("Deleted {when}; {files}."),
    )
}

/// The Event if the retention requires a deletion and the API server refuses it.
pub(crate) fn not_deleted(why: &str) -> Event {
    let note = format!(
        "The time in status.deletesAt is over and the workspace cannot be deleted: the API server refuses it. {why}"
    );
    event(EventType::Warning, "Delete", reason::DELETION_REFUSED, &note)
}

/// The Events for the change from one status of the workspace of this name to the next.
pub(crate) fn events(name: &str, before: Option<&WorkspaceStatus>, after: &WorkspaceStatus) -> Vec<Event> {
    let nothing = WorkspaceStatus::default();
    let known = before.is_some();
    let before = before.unwrap_or(&nothing);
    let mut events = Vec::new();
    let begins = after.run_id.is_some() && after.run_id != before.run_id;
    let is_over = matches!(
        after.phase,
        Some(Phase::Stopping | Phase::Stopped | Phase::Deleting)
    );
    // If a start is already over when it can be reported, the Event of its result reports it.
    if condition::holds(&after.conditions, AVAILABLE) {
        if begins || becomes_true(before, after, AVAILABLE) {
            let note = match &after.url {
                Some(url) => format!("The workspace is ready: {url}"),
                None => "The workspace is ready.".to_owned(),
            };
            events.push(normal("Start", reason::READY, &note));
        }
    } else if begins && !is_over {
        events.push(normal(
            "Start",
            reason::STARTING,
            "The workspace is being started.",
        ));
    }
    let because = after.stopped_because.as_ref();
    let by_rule = because.filter(|_| before.stopped_because != after.stopped_because);
    let stops = after.phase == Some(Phase::Stopping) && before.phase != Some(Phase::Stopping);
    if known && (stops || by_rule.is_some()) {
        events.push(stopping(name, before, after, by_rule.map(|it| it.rule)));
    }
    if known && becomes_true(before, after, STOPPED) {
        events.push(normal("Stop", reason::STOPPED, "The workspace has stopped."));
    }
    if let (Some(former), Some(owner)) = (&before.owner, &after.owner)
        && former != owner
    {
        let note = format!("The workspace belongs to {owner:?} now; it belonged to {former:?}.");
        events.push(normal("HandOver", reason::HANDED_OVER, &note));
    }
    events.extend(problems(before, after).map(|(action, cause)| warning(action, cause)));
    events.extend(idle_check_failure(before, after));
    events.extend(out_of_memory(before, after));
    events.extend(disk_nearly_full(before, after));
    events
}

/// The Event of a stop. `rule`: it stops the workspace, not a user. What becomes of files comes before what may be long: the note is cut.
fn stopping(name: &str, before: &WorkspaceStatus, after: &WorkspaceStatus, rule: Option<StopRule>) -> Event {
    // What the pod had is in the earlier status, and what happened meanwhile in the new one.
    let [had, has] = [before, after].map(|status| Disks::from_status(name, status).fate(Moment::Stop));
    let files = if had.loses_files { had } else { has };
    let note = format!("The workspace is being stopped; {}.", files.text);
    match rule {
        None => normal("Stop", reason::STOPPING, &note),
        Some(rule) => {
            let note = format!(
                "{} {note}{}",
                rule_note(before, after, rule),
                evidence(before, rule)
            );
            normal("Stop", rule.reason(), &note)
        }
    }
}

/// New problems, and the action during which each occurred.
fn problems<'a>(
    before: &WorkspaceStatus,
    after: &'a WorkspaceStatus,
) -> impl Iterator<Item = (&'static str, &'a Condition)> {
    let degraded = worse_condition(before, after, DEGRADED, "True");
    let invalid = worse_condition(before, after, VALID, "False");
    // A reference that does not resolve is in both conditions. One Event is enough.
    let invalid = invalid.filter(|invalid| degraded.is_none_or(|degraded| degraded.reason != invalid.reason));
    let degraded = degraded.map(|cause| ("Reconcile", cause));
    degraded
        .into_iter()
        .chain(invalid.map(|cause| ("Validate", cause)))
}

/// Whether a condition has become true.
fn becomes_true(before: &WorkspaceStatus, after: &WorkspaceStatus, type_: &str) -> bool {
    let holds = |status: &WorkspaceStatus| condition::holds(&status.conditions, type_);
    holds(after) && !holds(before)
}

/// The condition, if it now has this bad status with a new reason.
fn worse_condition<'a>(
    before: &WorkspaceStatus,
    after: &'a WorkspaceStatus,
    type_: &str,
    bad: &str,
) -> Option<&'a Condition> {
    let after = condition::find(&after.conditions, type_).filter(|condition| condition.status == bad)?;
    let known = condition::find(&before.conditions, type_)
        .is_some_and(|it| it.status == bad && it.reason == after.reason);
    (!known).then_some(after)
}

fn normal(action: &str, reason: &str, note: &str) -> Event {
    event(EventType::Normal, action, reason, note)
}

fn warning(action: &str, condition: &Condition) -> Event {
    event(EventType::Warning, action, &condition.reason, &condition.message)
}

/// An Event with this text, which is cut to the length that the API allows.
pub(crate) fn event(type_: EventType, action: &str, reason: &str, text: &str) -> Event {
    Event {
        type_,
        reason: reason.to_owned(),
        note: Some(brief(text, MAX_NOTE)),
        action: action.to_owned(),
        secondary: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Condition {
        serde_json::from_value(serde_json::json!({
            "type": type_, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }))
        .unwrap()
    }

    fn status(conditions: &[Condition], run: Option<&str>) -> WorkspaceStatus {
        WorkspaceStatus {
            conditions: conditions.to_vec(),
            run_id: run.map(str::to_owned),
            ..WorkspaceStatus::default()
        }
    }

    fn reasons(before: Option<&WorkspaceStatus>, after: &WorkspaceStatus) -> Vec<String> {
        events("demo", before, after)
            .into_iter()
            .map(|event| event.reason)
            .collect()
    }

    #[test]
    fn a_start_that_is_over_when_it_is_reported_has_only_the_event_of_its_result() {
        let ready = condition(AVAILABLE, "True", reason::READY, "");
        let run = |id: &str| status(std::slice::from_ref(&ready), Some(id));
        let ends = |id: &str, phase: Phase| WorkspaceStatus {
            phase: Some(phase),
            ..status(&[condition(STOPPED, "False", reason::STOPPING, "")], Some(id))
        };
        assert_eq!(reasons(None, &run("a")), [reason::READY]);
        let restarted = reasons(Some(&run("a")), &run("b"));
        assert_eq!(restarted, [reason::READY]);
        let stopped = reasons(Some(&run("a")), &ends("b", Phase::Stopping));
        assert_eq!(stopped, [reason::STOPPING]);
        let deleted = reasons(Some(&ends("a", Phase::Stopped)), &ends("b", Phase::Deleting));
        assert_eq!(deleted, Vec::<String>::new());
    }

    #[test]
    fn a_problem_has_an_event_per_reason_and_not_per_message() {
        let fine = status(&[condition(DEGRADED, "False", reason::AS_EXPECTED, "")], None);
        let quota = status(&[condition(DEGRADED, "True", reason::QUOTA_EXCEEDED, "a")], None);
        let worded = status(&[condition(DEGRADED, "True", reason::QUOTA_EXCEEDED, "b")], None);
        let image = status(
            &[condition(DEGRADED, "True", reason::IMAGE_PULL_FAILED, "c")],
            None,
        );
        assert_eq!(reasons(Some(&fine), &quota), [reason::QUOTA_EXCEEDED]);
        assert_eq!(reasons(Some(&quota), &worded), Vec::<String>::new());
        assert_eq!(reasons(Some(&worded), &image), [reason::IMAGE_PULL_FAILED]);
    }

    #[test]
    fn a_disk_that_begins_to_be_nearly_full_has_one_event() {
        let with = |disk: serde_json::Value| WorkspaceStatus {
            disk: serde_json::from_value(disk).unwrap(),
            ..status(&[], Some("a"))
        };
        let used = |percent: i32| {
            with(
                serde_json::json!({"claimUID": "c", "size": "1Gi", "usedPercent": percent, "usedPercentOf": "Bytes"}),
            )
        };
        let changes = events("demo", Some(&used(85)), &used(90));
        assert_eq!(
            changes[0].note.as_deref(),
            Some("At least 90 % of the space on the disk (1Gi) is used.")
        );
        assert_eq!(reasons(Some(&used(85)), &used(90)), [reason::DISK_NEARLY_FULL]);
        let full = with(serde_json::json!({"claimUID": "c", "full": true}));
        assert_eq!(reasons(Some(&used(0)), &full), [reason::DISK_NEARLY_FULL]);
        for (before, after) in [(used(90), used(95)), (full, used(90)), (used(90), used(85))] {
            assert_eq!(reasons(Some(&before), &after), [""; 0]);
        }
    }

    #[test]
    fn the_event_of_a_stop_says_what_becomes_of_files() {
        let with = |terminating: &[&str], phase: Phase| WorkspaceStatus {
            disk: serde_json::from_value(serde_json::json!({"claimUID": "c", "size": "1Gi"})).unwrap(),
            terminating_claims: terminating.iter().map(|&claim| claim.to_owned()).collect(),
            phase: Some(phase),
            ..status(&[], Some("a"))
        };
        let note = |before: &WorkspaceStatus| {
            let changes = events("demo", Some(before), &with(&[], Phase::Stopping));
            changes
                .into_iter()
                .filter_map(|event| event.note)
                .collect::<Vec<_>>()
        };
        let kept = note(&with(&[], Phase::Running));
        assert_eq!(kept, ["The workspace is being stopped; the disk is kept."]);
        let lost = note(&with(&["workspace-demo"], Phase::Running));
        assert_eq!(
            lost,
            [
                "The workspace is being stopped; files are deleted with the PersistentVolumeClaim workspace-demo, which a user deleted, unless its volume is kept."
            ]
        );
    }

    #[test]
    fn a_stop_for_idleness_has_one_event_of_its_own() {
        let running: WorkspaceStatus = serde_json::from_value(serde_json::json!({
            "phase": "Running", "resolved": {"idleTimeoutInMinutes": 30},
            "idle": {"lastActivity": "2026-01-01T00:00:00Z", "signals": [
                {"name": "user", "lastActivity": "2026-01-01T00:00:00Z"}, {"name": "kernels"},
            ]},
            "disk": {"claimUID": "c", "size": "1Gi"},
        }))
        .unwrap();
        let because = serde_json::json!({"rule": "Idle", "time": "2026-01-01T00:30:00Z"});
        let stopping = WorkspaceStatus {
            phase: Some(Phase::Stopping),
            idle: None,
            stopped_because: serde_json::from_value(because).unwrap(),
            ..running.clone()
        };
        let changes = events("demo", Some(&running), &stopping);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].reason, reason::IDLE_STOPPED);
        assert_eq!(
            changes[0].note.as_deref(),
            Some(
                "Stopped after 30 min without use (spec.idleShutdown.idleTimeoutInMinutes). The workspace is being stopped; the disk is \
                 kept. Last activity about 2026-01-01T00:00:00Z (user 2026-01-01T00:00:00Z, kernels never)."
            )
        );
        let stopped = WorkspaceStatus {
            phase: Some(Phase::Stopped),
            ..stopping.clone()
        };
        assert_eq!(reasons(Some(&stopping), &stopped), Vec::<String>::new());
        assert_eq!(reasons(Some(&running), &stopped), [reason::IDLE_STOPPED]);
        let mut many = running.clone();
        for signal in &mut many.idle.as_mut().unwrap().signals {
            signal.name = signal.name.repeat(MAX_NOTE);
        }
        let changes = events("demo", Some(&many), &stopping);
        let note = changes[0].note.as_deref().unwrap();
        assert!(
            note.len() <= MAX_NOTE && note.contains("; the disk is kept."),
            "{note}"
        );
    }
}
