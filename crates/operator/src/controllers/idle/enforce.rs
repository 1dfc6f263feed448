//! A run whose time is over by a limit -> it is stopped (IO).
//!
//! Limits wait for no answer of the pod, so the workspace's own reconcile acts, at the announced time.

use std::time::Duration;

use api::{
    Workspace, WorkspaceStatus,
    condition::{self, DEGRADED},
    workspace::StopRule,
};
use rules::stops::{self, Stop};

use super::{
    status::{announced, to_second},
    stop,
};
use crate::{
    cache::observed::{Identity, Observed},
    context::Context,
    controllers::attempt::{Attempt, Failed, attempt},
    status::{publish, stop_record::Because, transitions},
    support::failure::message_of,
};

/// A write that takes longer is stuck. It is cancelled and retried.
const LIMIT: Duration = Duration::from_secs(15);
/// The wait before another reconcile if the stop was sent, or the workspace changed. A watch event usually triggers one before.
const AGAIN: Duration = Duration::from_secs(5);

/// The stop that comes first by a new status, and the run that it would end.
#[derive(Debug)]
pub struct NextStop {
    stop: Stop,
    run_id: String,
    /// Why the run is not ready.
    reason: Option<String>,
}

impl NextStop {
    /// The stop that a status announces; `None` without a pod, or if the pod ends anyway.
    pub fn of(status: &WorkspaceStatus, observed: &Observed) -> Option<Self> {
        if observed.pod()?.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let stop = announced(status)?;
        let degraded = condition::find(&status.conditions, DEGRADED);
        let degraded = degraded.filter(|it| stop.rule == StopRule::Failed && it.status == "True");
        Some(Self {
            stop,
            run_id: status.run_id.clone()?,
            reason: degraded.map(|it| it.reason.clone()),
        })
    }
}

/// Stops the run if its limit is over and the stored status says so, or if it is overdue. `outdated`: the earlier status, if the new one
/// could not be stored. Returns when to reconcile again, if the run was to be stopped.
pub async fn enforce(
    context: &Context,
    workspace: &Workspace,
    next: Option<NextStop>,
    outdated: Option<&WorkspaceStatus>,
) -> Option<Duration> {
    let (next, now) = (next?, (context.now)());
    let stored = match outdated {
        None => Some(next.stop),
        Some(stored) => announced(stored).filter(|_| stored.run_id.as_ref() == Some(&next.run_id)),
    };
    let rule = stops::decide(Some(next.stop), stored, now).filter(|rule| *rule != StopRule::Idle)?;
    // The API server may know an earlier run alone, or none.
    let stored_run = outdated.map_or_else(|| Some(next.run_id.clone()), |stored| stored.run_id.clone());
    let identity = Identity::from_meta(&workspace.metadata);
    let because = Because {
        rule,
        time: to_second(now),
        run_id: next.run_id,
        reason: next.reason,
    };
    let what = Attempt {
        step: "idle",
        key: format!("stop of {}", identity.key()),
        limit: LIMIT,
        complaint: "a limit of the workspace is over and it cannot be stopped",
    };
    let sent = stop::stop_run(context, &identity, stored_run.as_deref(), &because);
    match attempt(context, &what, sent).await {
        Ok(_) => Some(AGAIN),
        Err(Failed { error, again }) => {
            if stop::is_refusal(&error) {
                let event = transitions::not_stopped(rule, &message_of(&error));
                publish::event(context, &identity, event).await;
            }
            Some(again)
        }
    }
}
