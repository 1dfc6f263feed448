//! Explanation, pod and Events -> what happened, in words (pure).

use std::collections::BTreeMap;

use api::Workspace;
use api::condition::reason::{self, State};
use api::workspace::Phase;
use explain::Who;
use explain::progress::{self, STEPS, phase};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};

use super::remedies::Remedies;
use super::words::{moment, parse_moment, short};
use crate::views::{
    Cause, Event as EventView, Events, Explanation, Finding, Progress, Step, StepState, Tone,
};

/// Most events that are shown.
const MAX: usize = 50;

/// Events of the workspace, its pod and its own disk.
pub(super) fn about(events: Vec<Event>, name: &str) -> Vec<Event> {
    let child = rules::names::child(name);
    let is_about = |event: &Event| {
        let object = &event.involved_object;
        let of = object.name.as_deref().unwrap_or_default();
        match object.kind.as_deref() {
            Some("Workspace") => of == name,
            Some("Pod" | "PersistentVolumeClaim") => of == child,
            _ => false,
        }
    };
    events.into_iter().filter(is_about).collect()
}

/// Why the workspace is not as wanted, in the words of `kubectl workspace explain`. Empty where nothing is wrong: state, stop and
/// pending changes have parts of their own. `is_usual`: what is under way has not taken long, so only problems are shown.
pub(super) fn explanation(
    explained: &explain::Explanation,
    is_usual: bool,
    can: &Remedies<'_>,
) -> Explanation {
    let is_problem = |finding: &explain::Finding| {
        let name = finding.reason.as_deref();
        name.is_some_and(|name| reason::find(name).is_none_or(|reason| reason.state != State::Fine))
    };
    let is_first = |at: usize| at == 0 && !explained.as_wanted && !is_usual;
    let findings = explained.findings.iter().enumerate();
    let findings: Vec<_> = findings
        .filter(|(at, finding)| is_first(*at) || is_problem(finding))
        .map(|(_, finding)| finding)
        .collect();
    let finding = |finding: &&explain::Finding| {
        let needs_help = finding
            .remedies
            .iter()
            .any(|remedy| remedy.who == Who::Administrator);
        Finding {
            tone: match (is_problem(finding), explained.as_wanted, needs_help) {
                (true, true, _) | (false, _, true) => Tone::Warn,
                (true, false, _) => Tone::Bad,
                (false, _, false) => Tone::Wait,
            },
            what: finding.what.clone(),
            reason: finding.reason.clone().unwrap_or_default(),
            since: finding
                .because
                .first()
                .and_then(|cause| parse_moment(cause.time.as_deref()?)),
            causes: finding.because.iter().map(cause).collect(),
            remedies: finding
                .remedies
                .iter()
                .map(|remedy| can.remedy(finding, remedy))
                .collect(),
        }
    };
    let unread = explained.unread.iter().filter(|_| !findings.is_empty());
    Explanation {
        unread: unread
            .map(|unread| format!("{}: {}", unread.what, unread.why))
            .collect(),
        findings: findings.iter().map(finding).collect(),
    }
}

fn cause(cause: &explain::Cause) -> Cause {
    Cause {
        object: cause.object.clone(),
        field: cause.field.clone(),
        value: cause.value.clone(),
        time: cause.time.as_deref().and_then(parse_moment),
    }
}

/// Steps of a start, from its own pod. Empty while it does not start.
pub(super) fn progress(workspace: &Workspace, pods: &[Pod], events: &[Event]) -> Progress {
    let phase = phase(workspace);
    let is_blocked = super::summary::blocked_by(workspace).is_some();
    if phase != Phase::Starting && !(phase == Phase::Failed && is_blocked) {
        return Progress::default();
    }
    let known = progress::by_pod(workspace, progress::current_pod(workspace, pods), events);
    let step = |(at, what): (usize, &&str)| Step {
        what: (*what).to_owned(),
        state: match at {
            _ if Some(at) == known.stuck => StepState::Stuck,
            _ if at < known.done => StepState::Done,
            _ if at == known.done && known.stuck.is_none() => StepState::Now,
            _ => StepState::Next,
        },
        since: known
            .since
            .filter(|_| at == known.done && known.stuck.is_none_or(|stuck| stuck == at))
            .map(moment),
    };
    let since = workspace
        .status
        .as_ref()
        .and_then(|status| status.starting_since.as_ref());
    Progress {
        steps: STEPS.iter().enumerate().map(step).collect(),
        percent: known.percent(),
        since: since.map(|time| moment(time.0)),
    }
}

/// Events, grouped, the newest first.
pub(super) fn events(read: Result<Vec<Event>, String>) -> Events {
    let events = match read {
        Ok(events) => events,
        Err(why) => {
            return Events {
                absent: format!("Events cannot be read: {why}"),
                ..Events::default()
            };
        }
    };
    let mut groups: BTreeMap<(String, String, String), (Timestamp, u32, bool)> = BTreeMap::new();
    for event in events {
        let object = &event.involved_object;
        let of = format!(
            "{} {}",
            object.kind.as_deref().unwrap_or_default(),
            object.name.as_deref().unwrap_or_default()
        );
        let key = (
            of,
            event.reason.clone().unwrap_or_default(),
            event.message.clone().unwrap_or_default(),
        );
        let count = event
            .series
            .as_ref()
            .and_then(|series| series.count)
            .or(event.count)
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(1);
        let is_warning = event.type_.as_deref() == Some("Warning");
        let group = groups
            .entry(key)
            .or_insert((Timestamp::UNIX_EPOCH, 0, is_warning));
        group.0 = group.0.max(time_of(&event));
        group.1 = group.1.saturating_add(count);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, (last, ..))| std::cmp::Reverse(*last));
    let groups = groups.into_iter().take(MAX);
    Events {
        events: groups
            .map(
                |((object, reason, message), (last, count, is_warning))| EventView {
                    tone: if is_warning { Tone::Warn } else { Tone::Calm },
                    sentence: sentence(&reason).to_owned(),
                    reason,
                    message,
                    object,
                    last: short(last),
                    count,
                },
            )
            .collect(),
        absent: String::new(),
    }
}

/// The last time of an event.
fn time_of(event: &Event) -> Timestamp {
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref());
    let last = series.or(event.event_time.as_ref()).map(|time| time.0);
    let older = event.last_timestamp.as_ref().or(event.first_timestamp.as_ref());
    last.or_else(|| older.map(|time| time.0))
        .or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0))
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A sentence for a known reason of the kubelet and the scheduler.
fn sentence(reason: &str) -> &'static str {
    match reason {
        "Scheduled" => "A node with room was found.",
        "FailedScheduling" => "No node has room for it.",
        "Pulling" => "The image is being pulled.",
        "Pulled" => "The image is on the node.",
        "Created" => "The container was created.",
        "Started" => "The container was started.",
        "Killing" => "The container is being stopped.",
        "BackOff" => "It failed again, and waits before the next try.",
        "Unhealthy" => "A probe failed.",
        "FailedMount" | "FailedAttachVolume" => "A disk cannot be attached.",
        "SuccessfulAttachVolume" => "The disk is attached.",
        "ProvisioningSucceeded" => "The disk was made.",
        "ProvisioningFailed" => "The disk cannot be made.",
        "WaitForFirstConsumer" => "The disk is made when its pod has a node.",
        "Evicted" => "The node needed its resources for others.",
        other => reason::find(other).map_or("", |reason| reason.meaning),
    }
}
