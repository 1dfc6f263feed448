//! State, problem -> Available, Degraded, Progressing, Stopped, Valid, and the phase (pure).

use api::{
    WorkspaceStatus,
    condition::{self, AVAILABLE, DEGRADED, PROGRESSING, STOPPED, VALID, reason},
    workspace::{ClaimStatus, DiskStatus, Phase, Retain},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use rules::files::{Disk, Disks, Moment};

use super::{Facts, State, condition_list::Conditions, remembered::files_lost};
use crate::{
    blockers::{Blocker, Problem},
    cache::observed::{Observed, held_by, holders},
    plan::record,
};

/// Said of a workspace without a pod.
const NO_POD: &str = "No pod is left";
/// Said of a ready pod in recovery.
const IN_RECOVERY: &str = " It is in recovery: the home is empty, and the disk is its folder `disk`. Without spec.recoveryMode the next start is a normal one.";

/// The conditions. `disk`, `claims` and `terminating` are of the new status.
pub(super) fn conditions(
    facts: &Facts<'_>,
    state: State,
    problem: Option<&Problem>,
    disk: Option<&DiskStatus>,
    claims: &[ClaimStatus],
    terminating: &[String],
    before: &WorkspaceStatus,
) -> Vec<Condition> {
    let is_free = facts.observed.is_free();
    let new_disk = disk.is_some_and(|disk| disk.replaces_deleted);
    let mut set = Conditions::new(&before.conditions, facts.workspace.metadata.generation, facts.now);
    match facts.validation {
        Ok(_) => set.set(VALID, true, reason::ALL_RULES_HOLD, "Every rule holds."),
        Err(rejected) => {
            let message = rejected.message(facts.workspace.spec.desired_status);
            set.set(VALID, false, rejected.reason(), &message);
        }
    }
    let not_ready = format!("The pod is not ready yet.{}", external_change(facts.observed));
    let (why, available, progressing) = match state {
        State::Running => (reason::RUNNING, "The pod is ready.", "Nothing is left to do."),
        State::Starting => (
            reason::STARTING,
            not_ready.as_str(),
            "Waiting for the pod to be ready.",
        ),
        State::Stopping => (
            reason::STOPPING,
            "The workspace is being stopped.",
            "Waiting for the pod to end.",
        ),
        State::Stopped => (
            reason::STOPPED,
            "The workspace is stopped.",
            "Nothing is left to do.",
        ),
        State::Invalid => (
            reason::INVALID,
            "The workspace is not valid.",
            "Waiting for the workspace to be valid.",
        ),
    };
    match (state, problem) {
        (State::Running, Some(problem)) if is_unrouted(facts) => {
            set.set(
                AVAILABLE,
                false,
                problem.reason,
                "The pod is ready, but no route leads to it.",
            );
        }
        (State::Running, _) if is_not_served(facts) => {
            let message = "The pod is ready, but no gateway serves its manager.";
            set.set(AVAILABLE, false, reason::NOT_SERVED, message);
        }
        (State::Running, _) => set.set(AVAILABLE, true, reason::READY, &ready(facts.observed, new_disk)),
        (State::Starting, Some(problem)) => set.set(AVAILABLE, false, problem.reason, available),
        _ => set.set(AVAILABLE, false, why, available),
    }
    let previous = previous(facts.observed);
    let under_way = matches!(state, State::Starting | State::Stopping);
    match (state, facts.blocker) {
        (State::Starting, Some(Blocker::Terminating { .. })) if is_free => {
            let message = facts.blocker.map(ToString::to_string).unwrap_or_default();
            set.set(PROGRESSING, true, reason::PREDECESSOR_TERMINATING, &message);
        }
        (State::Starting, _) if previous.is_some() => {
            let message = previous.unwrap_or_default();
            set.set(PROGRESSING, true, reason::PREDECESSOR_TERMINATING, &message);
        }
        (State::Starting, _) if problem.is_some_and(|problem| problem.failed) => {
            set.set(PROGRESSING, true, why, "Waiting for the cause to be removed.");
        }
        _ => set.set(PROGRESSING, under_way, why, progressing),
    }
    match problem {
        Some(problem) => set.set(DEGRADED, true, problem.reason, &problem.message),
        None => set.set(DEGRADED, false, reason::AS_EXPECTED, "Nothing is wrong."),
    }
    match (state, is_free) {
        (State::Stopped, _) => {
            let message = stopped(facts, new_disk, claims, terminating, before);
            // It was invalid, and a user wanted it to run until now: the days of the retention count from here.
            let was_wanted = condition::find(&before.conditions, STOPPED)
                .is_some_and(|earlier| earlier.reason == reason::INVALID);
            if was_wanted {
                set.set_anew(STOPPED, true, why, &message);
            } else {
                set.set(STOPPED, true, why, &message);
            }
        }
        (State::Invalid, true) => set.set(STOPPED, true, why, &format!("{NO_POD}.")),
        _ => set.set(STOPPED, false, why, "A pod is running or starting."),
    }
    set.finish()
}

/// Whether no user can connect to the pod.
fn is_unrouted(facts: &Facts<'_>) -> bool {
    matches!(
        facts.blocker,
        Some(Blocker::Object {
            is_unrouted: true,
            ..
        })
    )
}

fn is_not_served(facts: &Facts<'_>) -> bool {
    let valid = facts.validation.as_ref().ok();
    valid.is_some_and(|valid| valid.not_served.is_some())
}

pub(super) fn phase(state: State, problem: Option<&Problem>) -> Phase {
    match state {
        State::Starting if problem.is_some_and(|problem| problem.failed) => Phase::Failed,
        State::Starting => Phase::Starting,
        State::Running => Phase::Running,
        State::Stopping => Phase::Stopping,
        State::Stopped => Phase::Stopped,
        State::Invalid => Phase::Invalid,
    }
}

/// The condition whose reason and message are copied beside the phase.
pub(super) fn decisive(state: State, problem: Option<&Problem>, rejected: bool) -> &'static str {
    match state {
        State::Invalid => VALID,
        // An invalid workspace would not start again. That is more important than "ready", or than that it is stopped as requested.
        State::Running | State::Stopped if rejected => VALID,
        _ if problem.is_some() => DEGRADED,
        State::Starting | State::Stopping => PROGRESSING,
        State::Running => AVAILABLE,
        State::Stopped => STOPPED,
    }
}

/// What has become of the files, if that is known.
fn stopped(
    facts: &Facts<'_>,
    new_disk: bool,
    claims: &[ClaimStatus],
    terminating: &[String],
    before: &WorkspaceStatus,
) -> String {
    let home = if new_disk {
        Disk::Replaced(Retain::Delete)
    } else if has_disk(facts.observed) {
        Disk::Own
    } else if files_lost(before, &facts.observed.identity.name, None) {
        Disk::None
    } else {
        Disk::NeverMade
    };
    let disks = Disks::with_home(home, claims, terminating);
    if disks.home == Disk::NeverMade && disks.further.is_empty() && disks.terminating.is_empty() {
        return format!("{NO_POD}.");
    }
    let mut message = format!("{NO_POD}; {}.", disks.fate(Moment::Stopped).text);
    if facts.workspace.spec.recovery_mode {
        message.push_str(" It starts in recovery, as long as spec.recoveryMode is true.");
    }
    message
}

/// Whether the home is on a lasting claim.
fn has_disk(observed: &Observed) -> bool {
    let claim = observed.claim.as_ref();
    claim.is_some_and(|claim| claim.metadata.deletion_timestamp.is_none())
}

fn ready(observed: &Observed, new_disk: bool) -> String {
    let mut message = "The pod is ready.".to_owned();
    if new_disk {
        let files = Disk::Replaced(Retain::Delete).fate(Moment::Stopped).text;
        message = format!("The pod is ready; {files}.");
    }
    if observed.started_from().is_some_and(record::is_recovery) {
        message.push_str(IN_RECOVERY);
    }
    message.push_str(&external_change(observed));
    message
}

fn external_change(observed: &Observed) -> String {
    let who = observed.image_changed_by();
    who.map_or_else(String::new, |who| {
        format!(" Its image was changed by {who:?}, not by a change of the Workspace: the next start has the right one.")
    })
}

/// The pod that has to be gone before the next run starts.
fn previous(observed: &Observed) -> Option<String> {
    let pod = observed.pod().filter(|_| !observed.runs())?;
    let name = pod.name_any();
    let held = held_by(holders(&pod.metadata).as_deref());
    Some(format!(
        "Waiting for the previous pod to end: the pod {name} is not gone yet.{held}"
    ))
}
