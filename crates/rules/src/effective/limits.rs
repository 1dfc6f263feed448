//! Limits of workspace and template -> time limits (pure).

use std::time::Duration;

use api::WorkspaceTemplateSpec;
use api::template::MinutesRange;
use api::workspace::Limits;

/// The effective limits. A template's maximum also applies where neither workspace nor template sets a limit.
/// Otherwise a workspace could avoid the maximum by setting no limit.
pub(crate) fn effective(given: Option<&Limits>, template: Option<&WorkspaceTemplateSpec>) -> Limits {
    let minutes = |limits: Option<&Limits>| limits?.start_timeout_minutes;
    let default = || minutes(template?.default_limits.as_ref());
    let longest = || bounds(template?).max;
    Limits {
        start_timeout_minutes: minutes(given).or_else(default).or_else(longest),
    }
}

/// A template's bounds on `startTimeoutMinutes`.
pub(crate) fn bounds(template: &WorkspaceTemplateSpec) -> MinutesRange {
    let bounds = template.limit_bounds.as_ref();
    bounds
        .and_then(|bounds| bounds.start_timeout_minutes)
        .unwrap_or_default()
}

/// Converts minutes to a duration.
pub(crate) fn span(minutes: i32) -> Duration {
    Duration::from_secs(u64::try_from(minutes).unwrap_or(1).max(1) * 60)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn minutes(given: Value, default: Value, bounds: Value) -> Option<i32> {
        let given: Option<Limits> = serde_json::from_value(given).unwrap();
        let template = WorkspaceTemplateSpec {
            default_limits: serde_json::from_value(default).unwrap(),
            limit_bounds: serde_json::from_value(bounds).unwrap(),
            ..Default::default()
        };
        effective(given.as_ref(), Some(&template)).start_timeout_minutes
    }

    #[test]
    fn a_start_has_no_time_limit_by_default() {
        assert_eq!(effective(None, None), Limits::default());
        assert_eq!(minutes(json!(null), json!(null), json!(null)), None);
        assert_eq!(minutes(json!({}), json!({}), json!({})), None);
        let least = json!({"startTimeoutMinutes": {"min": 5}});
        assert_eq!(minutes(json!(null), json!(null), least), None);
    }

    #[test]
    fn the_start_limit_comes_from_workspace_then_template_then_the_maximum() {
        let of = |minutes: i32| json!({"startTimeoutMinutes": minutes});
        let bounds = json!({"startTimeoutMinutes": {"min": 5, "max": 60}});
        assert_eq!(minutes(of(7), of(20), bounds.clone()), Some(7));
        assert_eq!(minutes(json!({}), of(20), bounds.clone()), Some(20));
        assert_eq!(minutes(json!(null), json!(null), bounds), Some(60));
    }
}
