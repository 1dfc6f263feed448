//! starting workspace -> its progress, and the end of its start (pure).
//!
//! The page itself is in `workspace_page.rs`. The stream contains no more than the page: both are made from the status. Before the first
//! container starts, the status does not show which step is in progress unless one fails.

use api::workspace::Phase;
use serde_json::Value;

use super::html;
use super::start_steps::{self, PREPARED, REQUESTED, is_only_requested, percent};
use super::workspace_page;
use crate::index::{Domain, Target};
use rules::access::Audience;
use rules::progress::PERCENT;

/// Names of the steps for scripts.
const NAMES: [&str; 6] = [
    "scheduling",
    "attaching",
    "pulling",
    "starting",
    "answering",
    "routing",
];
/// Progress of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// 100 when the workspace can be opened.
    pub percent: u8,
    /// Stable name of the step.
    pub step: &'static str,
    /// The condition's reason for this state, or for the failure to proceed.
    pub reason: String,
    /// Sentence for users.
    pub message: String,
    /// How the start ended, if it did.
    pub end: Option<End>,
    /// Content for the page's own script; `None` for past steps.
    pub page: Option<Value>,
}

/// How a start ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The workspace can be opened.
    Ready,
    /// It cannot run until a problem is fixed.
    Failed,
    /// It is stopped, or stopping.
    Stopped,
}

/// Progress of this workspace's start for `audience`, at `now` (Unix seconds).
pub fn progress(domain: &Domain, target: &Target, audience: Audience, now: i64) -> Progress {
    let page = workspace_page::message(domain, target, audience, now);
    let (step, end) = at(target);
    let (reason, message) = reason_and_message(target, audience, step);
    Progress {
        percent: if end == Some(End::Ready) {
            100
        } else {
            percent(target)
        },
        step,
        reason,
        message,
        end,
        page: Some(html::shown(&page)),
    }
}

/// The completed steps of this start, in order. A client that connects later gets them as well.
pub fn before(target: &Target) -> Vec<Progress> {
    let over = |percent, step| Progress {
        percent,
        step,
        reason: api::condition::reason::STARTING.to_owned(),
        message: sentence(step).to_owned(),
        end: None,
        page: None,
    };
    match target.phase {
        Phase::Starting | Phase::Running | Phase::Failed => {}
        Phase::Stopping | Phase::Stopped | Phase::Invalid | Phase::Deleting => return vec![],
    }
    let mut all = vec![over(REQUESTED, "requested"), over(PERCENT[0], "preparing")];
    if target.may_run()
        || target
            .status_detail
            .as_deref()
            .is_some_and(|status_detail| status_detail.started)
    {
        all.push(over(PERCENT[PREPARED], "answering"));
    }
    let now = if target.may_run() { 100 } else { percent(target) };
    all.retain(|progress| progress.percent < now);
    all
}

fn at(target: &Target) -> (&'static str, Option<End>) {
    match target.phase {
        Phase::Deleting => return ("deleted", Some(End::Failed)),
        Phase::Invalid => return ("invalid", Some(End::Failed)),
        Phase::Stopping | Phase::Stopped => return ("stopped", Some(End::Stopped)),
        Phase::Running | Phase::Starting | Phase::Failed => {}
    }
    if target.may_run() {
        return ("ready", Some(End::Ready));
    }
    let step = match start_steps::steps_done(target) {
        (_, Some(stuck)) => NAMES[stuck],
        (PREPARED, None) => "answering",
        _ if target.phase == Phase::Starting && is_only_requested(target) => "requested",
        _ => "preparing",
    };
    (step, (target.phase == Phase::Failed).then_some(End::Failed))
}

fn reason_and_message(target: &Target, audience: Audience, step: &'static str) -> (String, String) {
    match (start_steps::blocker(target), audience) {
        (Some(word), Audience::OwnerOrAdmin) => (word.to_owned(), target.message.clone()),
        (Some(_), Audience::Starter | Audience::Viewer) => (
            "Hidden".to_owned(),
            "The start is blocked. The owner sees the reason.".to_owned(),
        ),
        (None, _) => {
            let word = match target.phase {
                Phase::Running => api::condition::reason::READY,
                Phase::Starting => api::condition::reason::STARTING,
                Phase::Stopping => api::condition::reason::STOPPING,
                Phase::Stopped => api::condition::reason::STOPPED,
                Phase::Deleting => api::condition::reason::DELETING,
                Phase::Failed => "Failed",
                Phase::Invalid => api::condition::reason::INVALID,
            };
            (word.to_owned(), sentence(step).to_owned())
        }
    }
}

fn sentence(step: &str) -> &'static str {
    match step {
        "requested" => "The start was requested.",
        "preparing" => "Scheduling the pod, attaching the disk, pulling the image.",
        "answering" => "Waiting for the application to answer.",
        "ready" => "The workspace is ready.",
        "stopped" => "The workspace is stopped or is stopping.",
        "deleted" => "The workspace is being deleted.",
        _ => "The workspace cannot run.",
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
