//! Limits of workspace and template -> time limits (pure).

use std::time::Duration;

use api::WorkspaceTemplateSpec;
use api::template::{LimitBounds, MinutesRange};
use api::workspace::Limits;

/// The effective limits. A template's maximum also applies where neither workspace nor template sets a limit.
/// Otherwise a workspace could avoid the maximum by setting no limit.
pub(crate) fn effective(given: Option<&Limits>, template: Option<&WorkspaceTemplateSpec>) -> Limits {
    let of = |limit: &Limit| {
        let default = || (limit.of)(template?.default_limits.as_ref()?);
        let longest = || limit.bounds(template?).max;
        given.and_then(limit.of).or_else(default).or_else(longest)
    };
    Limits {
        start_timeout_minutes: of(&START_TIMEOUT),
        max_age_minutes: of(&MAX_AGE),
        failed_timeout_minutes: of(&FAILED_TIMEOUT),
    }
}

/// One time limit.
pub(crate) struct Limit {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its minutes.
    pub(crate) of: fn(&Limits) -> Option<i32>,
    bounds: fn(&LimitBounds) -> Option<MinutesRange>,
}

impl Limit {
    /// A template's bounds on it.
    pub(crate) fn bounds(&self, template: &WorkspaceTemplateSpec) -> MinutesRange {
        let bounds = template.limit_bounds.as_ref();
        bounds.and_then(self.bounds).unwrap_or_default()
    }
}

/// Every limit.
pub(crate) const ALL: [Limit; 3] = [START_TIMEOUT, MAX_AGE, FAILED_TIMEOUT];

const START_TIMEOUT: Limit = Limit {
    name: "startTimeoutMinutes",
    of: |limits| limits.start_timeout_minutes,
    bounds: |bounds| bounds.start_timeout_minutes,
};

const MAX_AGE: Limit = Limit {
    name: "maxAgeMinutes",
    of: |limits| limits.max_age_minutes,
    bounds: |bounds| bounds.max_age_minutes,
};

const FAILED_TIMEOUT: Limit = Limit {
    name: "failedTimeoutMinutes",
    of: |limits| limits.failed_timeout_minutes,
    bounds: |bounds| bounds.failed_timeout_minutes,
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
            let least = json!({limit.name: {"min": 5}});
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
            let bounds = json!({limit.name: {"min": 5, "max": 60}});
            let minutes = |given, default| (limit.of)(&limits(given, default, bounds.clone()));
            assert_eq!(minutes(of(7), of(20)), Some(7), "{}", limit.name);
            assert_eq!(minutes(json!({}), of(20)), Some(20), "{}", limit.name);
            assert_eq!(minutes(json!(null), json!(null)), Some(60), "{}", limit.name);
        }
    }
}
