//! Limits of a workspace or template, and the template's bounds -> violations (pure).

use api::workspace::Limits;
use api::{WorkspaceSpec, WorkspaceTemplateSpec};

use super::minutes;
use crate::effective::limits::bounds;
use crate::violation::Violation;

fn start_timeout(field: &str) -> String {
    format!("{field}.startTimeoutMinutes")
}

fn shape(field: &str, limits: Option<&Limits>) -> Option<Violation> {
    minutes::range(start_timeout(field), limits?.start_timeout_minutes?)
}

/// Checks the workspace's own values.
pub(super) fn given(spec: &WorkspaceSpec) -> Option<Violation> {
    shape("spec.limits", spec.limits.as_ref())
}

/// Checks the effective values against the template.
pub(super) fn within(
    spec: &WorkspaceSpec,
    effective: Limits,
    template: &WorkspaceTemplateSpec,
) -> Option<Violation> {
    let given = spec.limits.and_then(|limits| limits.start_timeout_minutes);
    let value = effective.start_timeout_minutes?;
    minutes::within(
        start_timeout("spec.limits"),
        value,
        given.is_some(),
        bounds(template),
    )
}

/// Reports contradictions in a template.
pub(super) fn template(spec: &WorkspaceTemplateSpec) -> Vec<Violation> {
    const DEFAULT: &str = "spec.defaultLimits";
    let default = spec.default_limits.as_ref();
    let value = default.and_then(|default| default.start_timeout_minutes);
    let ends = ["min", "max"].map(|end| format!("spec.limitBounds.startTimeoutMinutes.{end}"));
    let mut found: Vec<_> = shape(DEFAULT, default).into_iter().collect();
    let value = value.map(|value| (start_timeout(DEFAULT), value));
    found.extend(minutes::template(ends, bounds(spec), value));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::effective::limits::effective;

    fn bounded(default: Value, bounds: Value) -> WorkspaceTemplateSpec {
        WorkspaceTemplateSpec {
            default_limits: serde_json::from_value(default).unwrap(),
            limit_bounds: serde_json::from_value(bounds).unwrap(),
            ..Default::default()
        }
    }

    fn found(limits: Value, template: &WorkspaceTemplateSpec) -> Vec<String> {
        let spec = WorkspaceSpec {
            limits: serde_json::from_value(limits).unwrap(),
            ..Default::default()
        };
        let effective = effective(spec.limits.as_ref(), Some(template));
        let all = given(&spec).into_iter().chain(within(&spec, effective, template));
        all.map(|violation| violation.to_string()).collect()
    }

    #[test]
    fn a_start_timeout_is_within_the_template_s_bounds_both_ends_included() {
        let template = bounded(json!(null), json!({"startTimeoutMinutes": {"min": 5, "max": 60}}));
        for minutes in [5, 30, 60] {
            let limits = json!({"startTimeoutMinutes": minutes});
            assert_eq!(found(limits, &template), [""; 0], "{minutes}");
        }
        assert_eq!(found(json!(null), &template), [""; 0], "the longest is filled in");
        assert_eq!(
            found(json!({"startTimeoutMinutes": 4}), &template),
            [
                r#"spec.limits.startTimeoutMinutes: "4" is less than the template's minimum 5: choose at least 5 minutes"#
            ]
        );
        assert_eq!(
            found(json!({"startTimeoutMinutes": 61}), &template),
            [
                r#"spec.limits.startTimeoutMinutes: "61" is more than the template's maximum 60: choose at most 60 minutes"#
            ]
        );
    }

    #[test]
    fn an_invalid_start_timeout_is_refused_with_and_without_bounds() {
        let free = bounded(json!(null), json!(null));
        for minutes in [0, -1, 525_601] {
            let message = found(json!({"startTimeoutMinutes": minutes}), &free);
            let text = format!("\"{minutes}\" is no timeout: choose 1 to 525600 minutes");
            assert_eq!(message, [format!("spec.limits.startTimeoutMinutes: {text}")]);
        }
    }

    #[test]
    fn contradictory_limits_of_a_template_are_reported() {
        let fields = |default: Value, bounds: Value| -> Vec<String> {
            let found = template(&bounded(default, bounds));
            found.into_iter().map(|violation| violation.field).collect()
        };
        let range = |min: i32, max: i32| json!({"startTimeoutMinutes": {"min": min, "max": max}});
        let default = |minutes: i32| json!({"startTimeoutMinutes": minutes});
        assert_eq!(fields(default(10), range(10, 10)), [""; 0]);
        assert_eq!(
            fields(json!(null), range(20, 10)),
            ["spec.limitBounds.startTimeoutMinutes.min"]
        );
        assert_eq!(
            fields(json!(null), range(0, 10)),
            ["spec.limitBounds.startTimeoutMinutes.min"]
        );
        for minutes in [4, 61] {
            let found = fields(default(minutes), range(5, 60));
            assert_eq!(found, ["spec.defaultLimits.startTimeoutMinutes"], "{minutes}");
        }
        assert_eq!(
            fields(default(0), json!(null)),
            ["spec.defaultLimits.startTimeoutMinutes"]
        );
    }
}
