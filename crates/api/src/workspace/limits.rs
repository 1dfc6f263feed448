//! YAML of a workspace's fields -> its time limits (pure).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Time limits. Each that is unset is the template's, else the maximum of the template's bounds (but for `stoppedRetentionDays`), else there
/// is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Minutes from the start of a run to a ready pod. Then the workspace is `Failed` with the reason `StartTimeout`; its pod continues
    /// to wait. Unset here and in the template: the maximum of the template's bounds, else no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 525_600))]
    pub start_timeout_minutes: Option<i32>,
    /// Minutes from the first container's start to the stop, also of a workspace in use. A pod that replaces a lost one does not start
    /// anew; a start or restart by a user does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 525_600))]
    pub max_age_minutes: Option<i32>,
    /// Minutes to the stop of a workspace that is not ready, and was not for five minutes together meanwhile. A start that takes longer is
    /// stopped, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 525_600))]
    pub failed_timeout_minutes: Option<i32>,
    /// Days from the stop to the deletion, with a day's notice in `status.deletesAt`, if the installation deletes. A start begins them anew.
    /// Each disk of its own needs `retain`, in workspace or template. Unset here and in the template: never, whatever the template's bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 7, max = 3650))]
    pub stopped_retention_days: Option<i32>,
}
