//! YAML of a template's fields -> bounds on idle shutdown (pure).

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What workspaces may say in `idleShutdown`. Both ends belong to the range. An end left unset is open, or the default with
/// `allow: false`.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.minIdleTimeoutInMinutes) || !has(self.maxIdleTimeoutInMinutes) || self.minIdleTimeoutInMinutes <= self.maxIdleTimeoutInMinutes")
        .message("minIdleTimeoutInMinutes must not be greater than maxIdleTimeoutInMinutes")
)]
pub struct IdleShutdownOverrides {
    /// False: workspaces may not differ from `defaultIdleShutdown`, which is then required, but in minutes from `min…` to `max…`.
    #[serde(default = "super::yes")]
    pub allow: bool,
    /// Shortest timeout of workspaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 525_600))]
    pub min_idle_timeout_in_minutes: Option<i32>,
    /// Longest timeout of workspaces. With it, a workspace cannot disable what `defaultIdleShutdown` enables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 525_600))]
    pub max_idle_timeout_in_minutes: Option<i32>,
    /// Longest `openTabMinutes` of workspaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 525_600))]
    pub max_open_tab_minutes: Option<i32>,
}

impl Default for IdleShutdownOverrides {
    fn default() -> Self {
        Self {
            allow: true,
            min_idle_timeout_in_minutes: None,
            max_idle_timeout_in_minutes: None,
            max_open_tab_minutes: None,
        }
    }
}
