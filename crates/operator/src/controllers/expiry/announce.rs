//! New status -> the time of the deletion in it, and the Event about that (IO).

use std::time::Duration;

use api::{Workspace, WorkspaceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{ResourceExt as _, runtime::events::Event};
use rules::expiry;

use super::clock;
use crate::{
    context::Context,
    controllers::attempt::{Attempt, attempt},
    status::transitions,
};

/// An answer that takes longer does not come.
const LIMIT: Duration = Duration::from_secs(5);

/// Completes a new status with the time of the deletion, and returns the Event about one that is the first for the present spec and owner. A
/// time is announced only while our clock is right: one of a slow clock would come too soon. `is_applied`: the spec is applied; until then a
/// time stays that is announced to its present spec and owner.
pub async fn announce(
    context: &Context,
    workspace: &Workspace,
    status: &mut WorkspaceStatus,
    is_applied: bool,
) -> Option<Event> {
    let before = expiry::announced(workspace).map(Time);
    let next = expiry::deletes_at(workspace, status, (context.now)()).map(Time);
    status.deletes_at = if is_applied {
        next
    } else {
        before.clone().filter(|_| next.is_some())
    };
    if status.deletes_at.is_none() || status.deletes_at == before {
        return None;
    }
    let what = Attempt {
        step: "expiry",
        key: "clock".to_owned(),
        limit: LIMIT,
        complaint: "the API server's date cannot be read, so no deletion is announced",
    };
    if !attempt(context, &what, clock::is_right(context))
        .await
        .unwrap_or(false)
    {
        status.deletes_at = None;
        return None;
    }
    let is_first = before.is_none();
    is_first.then(|| transitions::deletion_announced(&workspace.name_any(), status))
}
