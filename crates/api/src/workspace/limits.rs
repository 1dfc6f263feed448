//! YAML of a workspace's fields -> its time limits (pure).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Time limits after which the workspace counts as failed. Each that is unset is the template's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Minutes from the start of a run to a ready pod. Then the workspace is `Failed` with the reason `StartTimeout`; its pod continues
    /// to wait. Unset here and in the template: the maximum of the template's bounds, else no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 525_600))]
    pub start_timeout_minutes: Option<i32>,
}
