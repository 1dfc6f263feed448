//! Condition types and reasons, and their look-up in a status (pure).
//!
//! Reasons are part of the contract: scripts and alerts match on them, so a constant is never renamed.

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

/// The condition of this type.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition of this type is `True`.
pub fn holds(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == "True")
}

/// Reasons, grouped by the condition on which they appear.
pub mod reason {
    /// `Valid=True`: every rule holds.
    pub const ALL_RULES_HOLD: &str = "AllRulesHold";
    /// `Valid=False`: one or more values are out of bounds; the message lists all of them.
    pub const RULES_VIOLATED: &str = "RulesViolated";
    /// `Valid=False`, `Degraded=True`: the WorkspaceTemplate does not exist (yet).
    pub const TEMPLATE_NOT_FOUND: &str = "TemplateNotFound";
    /// `Valid=False`, `Degraded=True`: the WorkspaceManager does not exist (yet), or none is the default.
    pub const MANAGER_NOT_FOUND: &str = "ManagerNotFound";
    /// `Valid=False`, `Degraded=True`: more than one WorkspaceManager is annotated as default.
    pub const MANAGER_AMBIGUOUS: &str = "ManagerAmbiguous";
    /// `Valid=False`: the stored object does not parse as a Workspace.
    pub const UNREADABLE: &str = "Unreadable";

    /// `Available=True`: the pod is ready.
    pub const READY: &str = "Ready";
    /// The pod is being started.
    pub const STARTING: &str = "Starting";
    /// The pod is being stopped.
    pub const STOPPING: &str = "Stopping";
    /// The workspace runs as desired.
    pub const RUNNING: &str = "Running";
    /// `Stopped=True`: as desired, no pod is left.
    pub const STOPPED: &str = "Stopped";
    /// The workspace is not valid, so nothing runs.
    pub const INVALID: &str = "Invalid";
    /// The workspace is being deleted.
    pub const DELETING: &str = "Deleting";
    /// A child of an earlier workspace of the same name is still being deleted.
    pub const PREDECESSOR_TERMINATING: &str = "PredecessorTerminating";

    /// `Degraded=False`: nothing is wrong.
    pub const AS_EXPECTED: &str = "AsExpected";
    /// The image cannot be pulled, or is absent where nothing is pulled.
    pub const IMAGE_PULL_FAILED: &str = "ImagePullFailed";
    /// The container keeps exiting.
    pub const CRASH_LOOPING: &str = "CrashLooping";
    /// The container exited once with an error.
    pub const CONTAINER_EXITED: &str = "ContainerExited";
    /// The container cannot be made or its command cannot be run.
    pub const CONTAINER_START_FAILED: &str = "ContainerStartFailed";
    /// The container went over its memory limit.
    pub const OOM_KILLED: &str = "OOMKilled";
    /// No node can take the pod.
    pub const UNSCHEDULABLE: &str = "Unschedulable";
    /// The storage class of the disk does not exist.
    pub const STORAGE_CLASS_NOT_FOUND: &str = "StorageClassNotFound";
    /// The disk is not bound to a volume.
    pub const VOLUME_UNBOUND: &str = "VolumeUnbound";
    /// The disk could not be grown.
    pub const VOLUME_RESIZE_FAILED: &str = "VolumeResizeFailed";
    /// A child's name is taken by an object that is not ours.
    pub const NAME_CONFLICT: &str = "NameConflict";
    /// A resource quota refuses the pod or the disk.
    pub const QUOTA_EXCEEDED: &str = "QuotaExceeded";
    /// Pod Security admission refuses the pod.
    pub const POD_SECURITY_VIOLATION: &str = "PodSecurityViolation";
    /// Another admission rule refuses the pod or the disk.
    pub const ADMISSION_DENIED: &str = "AdmissionDenied";
    /// The container runs but is not ready for longer than 60 s.
    pub const READINESS_FAILED: &str = "ReadinessFailed";
}
