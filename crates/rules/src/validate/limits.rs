//! Limits of a workspace and the template's bounds -> violations (pure).

use api::workspace::Limits;
use api::{WorkspaceSpec, WorkspaceTemplateSpec};

use super::minutes;
use crate::effective::limits::bounds;
use crate::violation::Violation;

const FIELD: &str = "spec.limits.startTimeoutMinutes";

/// Checks the effective values against the template.
pub(super) fn within(
    spec: &WorkspaceSpec,
    effective: Limits,
    template: &WorkspaceTemplateSpec,
) -> Option<Violation> {
    let given = spec.limits.and_then(|limits| limits.start_timeout_minutes);
    let value = effective.start_timeout_minutes?;
    minutes::within(FIELD.to_owned(), value, given.is_some(), bounds(template))
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
        let all = within(&spec, effective, template).into_iter();
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
}
