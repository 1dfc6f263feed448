//! Running workspaces -> those that are idle are stopped (IO; docs/using.md).
//!
//! Each reconcile registers here what to ask of its workspace, and reads from here what its status says about activity (`activity`):
//!
//! | file | input -> output |
//! |---|---|
//! | `reconcile.rs` | tracker -> requests, a few at a time, by one task (IO) |
//! | `status.rs` | known activity -> status (pure) |
//! | `stop.rs` | an idle workspace -> `spec.desiredStatus: Stopped`, unless it has changed since (IO) |
//!
//! A workspace is stopped only because of its pod's own answers: two in a row, the last one just now. Silence, errors and state of an earlier
//! leader never stop it. So only the leader asks, and a change of leaders at most delays a stop.

mod reconcile;
mod status;
mod stop;

use api::{
    Workspace, WorkspaceStatus,
    condition::STOPPED,
    workspace::{Phase, StopRule},
};
use rules::ValidWorkspace;

pub use self::{
    reconcile::run,
    stop::{Because, stopped_because},
};
use crate::{activity::subject, cache::observed::Observed, context::Context, status::memory};

/// Registers what to ask of the workspace, and completes a new status with its known activity. `status`: as it follows from
/// everything else. IO: none; in memory.
pub fn attend(
    context: &Context,
    workspace: &Workspace,
    valid: Option<&ValidWorkspace>,
    observed: &Observed,
    status: &mut WorkspaceStatus,
) {
    let before = workspace.status.as_ref();
    let subject = valid.and_then(|valid| subject::for_run(workspace, valid, observed, status));
    let key = observed.identity.key();
    let usage = context.idle.follow(&key, subject, (context.now)());
    status::complete(status, before, usage.as_ref());
    let earlier = before.map(|before| (before.idle.clone(), before.stops_at.clone()));
    if earlier.unwrap_or_default() != (status.idle.clone(), status.stops_at.clone()) {
        context.idle.status_written(&key);
    }
    let ended = usage.and_then(|usage| usage.out_of_memory).map(status::to_second);
    memory::complete(status, before, observed, ended);
    status.stopped_because = stopped_because(workspace, observed);
    add_stop_reason(status);
}

/// Adds to the message beside the phase which rule stopped the workspace.
fn add_stop_reason(status: &mut WorkspaceStatus) {
    let because = status.stopped_because.as_ref();
    let Some(because) = because.filter(|_| status.phase == Some(Phase::Stopped)) else {
        return;
    };
    let why = match because.rule {
        StopRule::Idle => format!("Stopped at {} because it was idle. ", because.time.0),
    };
    let stopped = status.conditions.iter_mut().find(|it| it.type_ == STOPPED);
    let texts = stopped
        .map(|it| &mut it.message)
        .into_iter()
        .chain(&mut status.message);
    for text in texts {
        text.insert_str(0, &why);
    }
}
