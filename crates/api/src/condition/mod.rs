//! Status -> its condition of one type (pure).
//!
//! - `reason`: every reason, and its remedy
//!
//! Reasons are part of the contract: scripts and alerts match on them, so a constant is never renamed.

pub mod reason;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// The effective workspace satisfies its template and every reference resolves.
pub const VALID: &str = "Valid";
/// The pod is ready and the URL serves it.
pub const AVAILABLE: &str = "Available";
/// The operator is working towards the desired status.
pub const PROGRESSING: &str = "Progressing";
/// Something is wrong; reason names the cause and message says what to do.
pub const DEGRADED: &str = "Degraded";
/// No pod of the workspace is left.
pub const STOPPED: &str = "Stopped";
/// Of a manager: workspaces can be routed by it.
pub const READY: &str = "Ready";
/// Of a template, manager or profile that is being deleted: it is in use and stays until it is not.
pub const TERMINATING: &str = "Terminating";
/// Of a template with a label for it: its images are on the nodes before workspaces start there.
pub const PREPARED: &str = "Prepared";
/// Of a share: its subjects may connect.
pub const ACTIVE: &str = "Active";

/// The condition of this type.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition of this type is `True`.
pub fn holds(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == "True")
}
