//! Running workspaces -> those that a rule stops are stopped (IO; docs/using.md).
//!
//! Each reconcile registers here what to ask of its workspace, and reads from here what its status says about activity (`activity`):
//!
//! | file | input -> output |
//! |---|---|
//! | `reconcile.rs` | tracker -> requests, up to 32 to silent pods and 32 to others at a time, by one task (IO) |
//! | `status.rs` | known activity and use of the disk, limits -> status (pure) |
//! | `enforce.rs` | a run whose limit is over -> its stop, in the workspace's reconcile (IO) |
//! | `stop.rs` | a workspace that a rule stops -> `spec.desiredStatus: Stopped`, unless it has changed since (IO) |
//!
//! `rules::stops` decides which rule comes first. The status announces it, and no other rule stops the run, unless a limit is
//! overdue.
//!
//! A workspace is stopped as idle only because of its pod's own answers: two in a row, the last one just now. Silence, errors and state of an earlier
//! leader never stop it. So only the leader asks, and a change of leaders at most delays a stop.

mod enforce;
mod reconcile;
mod status;
mod stop;

use std::time::Duration;

use api::{Workspace, WorkspaceStatus, condition::STOPPED, workspace::Phase};
use rules::{ValidWorkspace, keep, stops};

pub use self::{
    enforce::{NextStop, enforce},
    reconcile::run,
    stop::{is_refusal, stopped_because},
};
use crate::{
    activity::subject,
    cache::observed::Observed,
    context::Context,
    status::{disk_use, memory},
};

/// Registers what to ask of the workspace, and completes a new status with what its pod told and the stop that comes first. `status`: as
/// it follows from everything else. Returns when a limit is over. IO: none; in memory.
pub fn attend(
    context: &Context,
    workspace: &Workspace,
    valid: Option<&ValidWorkspace>,
    observed: &Observed,
    status: &mut WorkspaceStatus,
) -> Option<Duration> {
    let now = (context.now)();
    let before = workspace.status.as_ref();
    let subject = valid.and_then(|valid| subject::for_run(workspace, valid, observed, status));
    let key = observed.identity.key();
    let report = context.idle.follow(&key, subject, now);
    let longest = valid.map(|valid| valid.longest_keep);
    let known = before.and_then(|before| before.kept.as_ref());
    status.kept = keep::granted(workspace, longest, known, now);
    status::complete(status, before, report.as_ref(), now);
    // A stop would delete the files of a disk that was deleted. The condition `Degraded` says so.
    let is_held_up = observed.used_deleted_claim().is_some();
    if is_held_up {
        (status.stops_at, status.stops_because) = (None, None);
    }
    let told = |status: &WorkspaceStatus| {
        (
            status.idle.clone(),
            status.stops_at.clone(),
            disk_use::figures(status),
        )
    };
    if before.map(told).unwrap_or_default() != told(status) {
        context.idle.status_written(&key);
    }
    let ended = report
        .and_then(|report| report.out_of_memory)
        .map(status::to_second);
    memory::complete(status, before, observed, ended);
    status.stopped_because = stopped_because(workspace, observed);
    add_stop_reason(status);
    status::next_limit(status, now).filter(|_| !is_held_up)
}

/// Adds to the message beside the phase which rule stopped the workspace.
fn add_stop_reason(status: &mut WorkspaceStatus) {
    let because = status.stopped_because.as_ref();
    let Some(because) = because.filter(|_| status.phase == Some(Phase::Stopped)) else {
        return;
    };
    let when = stops::stopped(because, status.resolved.as_ref());
    let why = format!("Stopped at {} {when}. ", because.time.0);
    let stopped = status.conditions.iter_mut().find(|it| it.type_ == STOPPED);
    let texts = stopped
        .map(|it| &mut it.message)
        .into_iter()
        .chain(&mut status.message);
    for text in texts {
        text.insert_str(0, &why);
    }
}
