//! Running workspaces -> those that nobody uses are stopped (docs/idle.md).
//!
//! Each pass says here what there is to ask of its workspace, and takes from here what its status says about it:
//!
//! | file | in -> out |
//! |---|---|
//! | `subject.rs` | valid workspace, its ready pod -> whom to ask what, and when to stop it |
//! | `book.rs` | subjects, answers -> who is asked next, what is known, who is to be stopped |
//! | `reconcile.rs` | book -> questions, a few at a time, by one task |
//! | `ask.rs`, `tls.rs` | subject -> answer of its pod |
//! | `read.rs` | bodies of answers -> times of last activity |
//! | `tell.rs` | what is known -> status |
//! | `stop.rs` | whom nobody uses -> `spec.desiredStatus: Stopped` |
//!
//! Nothing stops a workspace but its pod's own answer, read just now and once before: neither silence, nor an error, nor what an
//! earlier leader knew. So only the leader asks, and a change of leaders at most delays a stop.

mod ask;
mod book;
mod read;
mod reconcile;
mod stop;
mod subject;
mod tell;
mod tls;

use api::{
    Workspace, WorkspaceStatus,
    condition::STOPPED,
    workspace::{Phase, StopRule},
};
use rules::ValidWorkspace;

pub use self::{
    ask::{Answered, Asker, Unanswered},
    book::Book,
    read::{Reading, Signal},
    reconcile::run,
    stop::{Because, stopped_because},
    subject::Subject,
};
use crate::{cache::observed::Observed, context::Context};

/// Says whom to ask from now on, and completes a new status by what is known of the workspace's use. `status`: as it follows from
/// everything else. IO: none; in memory.
pub fn attend(
    context: &Context,
    workspace: &Workspace,
    valid: Option<&ValidWorkspace>,
    observed: &Observed,
    status: &mut WorkspaceStatus,
) {
    let before = workspace.status.as_ref();
    let subject = valid.and_then(|valid| subject::of(workspace, valid, observed, status));
    let key = observed.identity.key();
    let usage = context.idle.follow(&key, subject, (context.now)());
    tell::complete(status, before, usage.as_ref());
    let earlier = before.map(|before| (before.idle.clone(), before.stops_at.clone()));
    if earlier.unwrap_or_default() != (status.idle.clone(), status.stops_at.clone()) {
        context.idle.told(&key);
    }
    status.stopped_because = stopped_because(workspace, observed);
    say_why(status);
}

/// Lets the words beside the phase say which rule stopped the workspace.
fn say_why(status: &mut WorkspaceStatus) {
    let Some(because) = status
        .stopped_because
        .as_ref()
        .filter(|_| status.phase == Some(Phase::Stopped))
    else {
        return;
    };
    let why = match because.rule {
        StopRule::Idle => format!("Stopped at {} because nobody used it. ", because.time.0),
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
