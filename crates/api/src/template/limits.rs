//! YAML of a template's fields -> bounds on the time limits of a workspace (pure).

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bounds on what workspaces may say in `limits`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitBounds {
    /// Of `limits.startTimeoutMinutes`. `max` is also the limit of workspaces without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_timeout_minutes: Option<MinutesRange>,
    /// Of `limits.maxAgeMinutes`. `max` is also the limit of workspaces without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_minutes: Option<MinutesRange>,
    /// Of `limits.failedTimeoutMinutes`. `max` is also the limit of workspaces without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_timeout_minutes: Option<MinutesRange>,
    /// Of `limits.stoppedRetentionDays`. Workspaces without one are never deleted, whatever `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_retention_days: Option<DaysRange>,
    /// Of the annotation `workspaces.jupyter.org/keep-until`, from the time at which it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_minutes: Option<KeepRange>,
}

/// How long a workspace may be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeepRange {
    /// Most minutes. Unset: 1440. 0: nobody keeps a workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 525_600))]
    pub max: Option<i32>,
}

/// Minutes from `min` to `max`. Both ends belong to the range; an end left unset is open.
#[derive(KubeSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(self.min) || !has(self.max) || self.min <= self.max")
        .message("min must not be greater than max")
)]
pub struct MinutesRange {
    /// Fewest minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 525_600))]
    pub min: Option<i32>,
    /// Most minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 525_600))]
    pub max: Option<i32>,
}

/// Days from `min` to `max`. Both ends belong to the range; an end left unset is open.
#[derive(KubeSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(self.min) || !has(self.max) || self.min <= self.max")
        .message("min must not be greater than max")
)]
pub struct DaysRange {
    /// Fewest days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 7, max = 3650))]
    pub min: Option<i32>,
    /// Most days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 7, max = 3650))]
    pub max: Option<i32>,
}
