//! A workspace that is being deleted, or that cannot be parsed -> its status (pure).

use std::time::Duration;

use api::{
    Workspace, WorkspaceStatus,
    condition::{AVAILABLE, DEGRADED, PROGRESSING, STOPPED, VALID, reason},
    workspace::Phase,
};
use jiff::Timestamp;

use super::condition_list::Conditions;
use crate::status::disk_use;

/// A deletion that takes longer reports what it waits for.
const LONG_DELETION: Duration = Duration::from_secs(10);

/// The status of a workspace that is being deleted. `left` names what is left. It is reported only once the deletion takes long, so
/// that a short deletion writes one status.
pub(crate) fn deleting(workspace: &Workspace, left: &str, now: Timestamp) -> WorkspaceStatus {
    let before = workspace.status.clone().unwrap_or_default();
    let since = workspace.metadata.deletion_timestamp.as_ref();
    let age = since.and_then(|since| Duration::try_from(now.duration_since(since.0)).ok());
    let message = match age {
        Some(age) if age >= LONG_DELETION => format!("Waiting until these are gone: {left}."),
        _ => "Waiting until everything that belongs to the workspace is gone.".to_owned(),
    };
    let mut conditions = Conditions::new(&before.conditions, workspace.metadata.generation, now);
    conditions.keep(|type_| type_ == VALID);
    let is_deleted = "The workspace is being deleted.";
    conditions.set(AVAILABLE, false, reason::DELETING, is_deleted);
    conditions.set(PROGRESSING, true, reason::DELETING, &message);
    conditions.set(DEGRADED, false, reason::AS_EXPECTED, "Nothing is wrong.");
    conditions.set(STOPPED, false, reason::DELETING, is_deleted);
    WorkspaceStatus {
        observed_generation: workspace.metadata.generation,
        phase: Some(Phase::Deleting),
        reason: Some(reason::DELETING.to_owned()),
        message: Some(message),
        endpoint: None,
        run_id: None,
        idle: None,
        stops_at: None,
        stops_because: None,
        deletes_at: None,
        stop_requested_at: None,
        out_of_memory: None,
        disk: disk_use::without_use(before.disk),
        pending_update: Vec::new(),
        conditions: conditions.finish(),
        ..before
    }
}

/// The status of a workspace that cannot be parsed. Known values stay, because a running pod is left alone.
pub(crate) fn unreadable(
    before: WorkspaceStatus,
    generation: Option<i64>,
    error: &str,
    now: Timestamp,
) -> WorkspaceStatus {
    let message = format!(
        "The workspace cannot be read: {error}. Compare its spec with `kubectl explain workspace.spec`."
    );
    let mut conditions = Conditions::new(&before.conditions, generation, now);
    conditions.set(VALID, false, reason::UNREADABLE, &message);
    conditions.keep(|type_| type_ != VALID);
    let conditions = conditions.finish();
    WorkspaceStatus {
        observed_generation: generation,
        phase: before.phase.or(Some(Phase::Invalid)),
        reason: Some(reason::UNREADABLE.to_owned()),
        message: Some(message),
        // The idle controller does not ask it.
        idle: None,
        stops_at: None,
        stops_because: None,
        deletes_at: None,
        disk: disk_use::without_use(before.disk),
        conditions,
        ..before
    }
}
