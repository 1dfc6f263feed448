//! Limits of workspace and template -> time limits (pure).

use std::time::Duration;

use api::WorkspaceTemplateSpec;
use api::template::LimitBounds;
use api::workspace::Limits;

/// The effective limits. A template's maximum also applies where neither workspace nor template sets a limit.
/// Otherwise a workspace could avoid the maximum by setting no limit. Not so the retention: nothing is deleted unless somebody wrote when.
pub(crate) fn effective(given: Option<&Limits>, template: Option<&WorkspaceTemplateSpec>) -> Limits {
    let of = |limit: &Limit| {
        let default = || (limit.of)(template?.default_limits.as_ref()?);
        let longest = || limit.bounds(template?)[1].filter(|_| limit.is_filled);
        given.and_then(limit.of).or_else(default).or_else(longest)
    };
    Limits {
        start_timeout_minutes: of(&START_TIMEOUT),
        max_age_minutes: of(&MAX_AGE),
        failed_timeout_minutes: of(&FAILED_TIMEOUT),
        stopped_retention_days: of(&STOPPED_RETENTION),
    }
}

/// One time limit.
pub(crate) struct Limit {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it counts, such as `minute`.
    pub(crate) unit: &'static str,
    /// Its number of these.
    pub(crate) of: fn(&Limits) -> Option<i32>,
    bounds: fn(&LimitBounds) -> Option<[Option<i32>; 2]>,
    /// Whether the template's maximum applies where nobody sets it.
    is_filled: bool,
}

impl Limit {
    /// A template's minimum and maximum.
    pub(crate) fn bounds(&self, template: &WorkspaceTemplateSpec) -> [Option<i32>; 2] {
        let bounds = template.limit_bounds.as_ref();
        bounds.and_then(self.bounds).unwrap_or_default()
    }
}

/// Every limit.
pub(crate) const ALL: [Limit; 4] = [START_TIMEOUT, MAX_AGE, FAILED_TIMEOUT, STOPPED_RETENTION];

const START_TIMEOUT: Limit = Limit {
    name: "startTimeoutMinutes",
    unit: "minute",
    of: |limits| limits.start_timeout_minutes,
    bounds: |bounds| bounds.start_timeout_minutes.map(|range| [range.min, range.max]),
    is_filled: true,
};

const MAX_AGE: Limit = Limit {
    name: "maxAgeMinutes",
    unit: "minute",
    of: |limits| limits.max_age_minutes,
    bounds: |bounds| bounds.max_age_minutes.map(|range| [range.min, range.max]),
    is_filled: true,
};

const FAILED_TIMEOUT: Limit = Limit {
    name: "failedTimeoutMinutes",
    unit: "minute",
    of: |limits| limits.failed_timeout_minutes,
    bounds: |bounds| bounds.failed_timeout_minutes.map(|range| [range.min, range.max]),
    is_filled: true,
};

const STOPPED_RETENTION: Limit = Limit {
    name: "stoppedRetentionDays",
    unit: "day",
    of: |limits| limits.stopped_retention_days,
    bounds: |bounds| bounds.stopped_retention_days.map(|range| [range.min, range.max]),
    is_filled: false,
};

/// Converts minutes to a duration.
pub(crate) fn span(minutes: i32) -> Duration {
    Duration::from_secs(u64::try_from(minutes).unwrap_or(1).max(1) * 60)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn limits(given: Value, default: Value, bounds: Value) -> Limits {
        let given: Option<Limits> = serde_json::from_value(given).unwrap();
        let template = WorkspaceTemplateSpec {
            default_limits: serde_json::from_value(default).unwrap(),
            limit_bounds: serde_json::from_value(bounds).unwrap(),
            ..Default::default()
        };
        effective(given.as_ref(), Some(&template))
    }

    #[test]
    fn no_limit_applies_by_default() {
        assert_eq!(effective(None, None), Limits::default());
        for limit in ALL {
            let least = json!({limit.name: {"min": 8}});
            for (given, bounds) in [
                (json!(null), json!(null)),
                (json!({}), json!({})),
                (json!(null), least),
            ] {
                assert_eq!(
                    limits(given.clone(), given, bounds),
                    Limits::default(),
                    "{}",
                    limit.name
                );
            }
        }
    }

    #[test]
    fn each_limit_comes_from_workspace_then_template_then_the_maximum() {
        for limit in ALL {
            let of = |minutes: i32| json!({limit.name: minutes});
            let bounds = json!({limit.name: {"min": 8, "max": 60}});
            let value = |given, default| (limit.of)(&limits(given, default, bounds.clone()));
            assert_eq!(value(of(9), of(20)), Some(9), "{}", limit.name);
            assert_eq!(value(json!({}), of(20)), Some(20), "{}", limit.name);
            let filled = (limit.name != "stoppedRetentionDays").then_some(60);
            assert_eq!(value(json!(null), json!(null)), filled, "{}", limit.name);
        }
    }
}
