//! YAML of a workspace's status -> the rule that stops it (pure).

use assertion::names::IDLE_RULE;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::reason;

/// A rule that stops workspaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StopRule {
    /// The workspace was not used for its timeout (`spec.idleShutdown`).
    Idle,
    /// It ran for `spec.limits.maxAgeMinutes`.
    MaxAge,
    /// It was not ready for `spec.limits.failedTimeoutMinutes`.
    Failed,
    /// Its user called `stop-workspace` in it.
    Requested,
}

impl StopRule {
    /// Every rule.
    pub const ALL: [Self; 4] = [Self::Idle, Self::MaxAge, Self::Failed, Self::Requested];

    /// Its name, as in YAML.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => IDLE_RULE,
            Self::MaxAge => "MaxAge",
            Self::Failed => "Failed",
            Self::Requested => "Requested",
        }
    }

    /// Reason of the Event about its stop.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Idle => reason::IDLE_STOPPED,
            Self::MaxAge => reason::MAX_AGE_STOPPED,
            Self::Failed => reason::FAILED_STOPPED,
            Self::Requested => reason::REQUESTED_STOPPED,
        }
    }

    /// Reason of the Event that says that the API server refuses its stop.
    #[must_use]
    pub const fn refusal_reason(self) -> &'static str {
        match self {
            Self::Idle => reason::IDLE_STOP_REFUSED,
            Self::MaxAge | Self::Failed | Self::Requested => reason::STOP_REFUSED,
        }
    }

    /// Its name in audit records.
    #[must_use]
    pub const fn audit_name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::MaxAge => "max-age",
            Self::Failed => "failed",
            Self::Requested => "stop-workspace",
        }
    }

    /// The field that sets its time, if it has one.
    #[must_use]
    pub const fn field(self) -> Option<&'static str> {
        match self {
            Self::Idle => Some("idleShutdown.idleTimeoutInMinutes"),
            Self::MaxAge => Some("limits.maxAgeMinutes"),
            Self::Failed => Some("limits.failedTimeoutMinutes"),
            Self::Requested => None,
        }
    }
}

/// Until when a workspace is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Kept {
    /// No idle rule stops it before: the annotation's time, or the longest that was allowed when it was first seen.
    pub until: Time,
    /// The annotation that gave this time. Another one is judged anew.
    pub annotation: String,
}

/// Which rule stopped a workspace, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StoppedBecause {
    /// The rule.
    pub rule: StopRule,
    /// When `spec.desiredStatus` was written.
    pub time: Time,
    /// Reason of the condition `Degraded` at that time, by the rule `Failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
