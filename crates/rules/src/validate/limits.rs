//! Limits of a workspace and the template's bounds -> violations (pure).

use api::workspace::Limits;
use api::{WorkspaceSpec, WorkspaceTemplateSpec};

use super::minutes;
use crate::effective::limits::ALL;
use crate::violation::Violation;

/// Checks the effective values against the template.
pub(super) fn within(
    spec: &WorkspaceSpec,
    effective: Limits,
    template: &WorkspaceTemplateSpec,
) -> impl Iterator<Item = Violation> {
    ALL.into_iter().filter_map(move |limit| {
        let given = spec.limits.as_ref().and_then(limit.of);
        let path = format!("spec.limits.{}", limit.name);
        minutes::within(
            path,
            (limit.of)(&effective)?,
            given.is_some(),
            limit.bounds(template),
        )
    })
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
        let all = within(&spec, effective, template);
        all.map(|violation| violation.to_string()).collect()
    }

    #[test]
    fn each_limit_is_within_the_template_s_bounds_both_ends_included() {
        for name in ALL.map(|limit| limit.name) {
            let of = |minutes: i32| json!({name: minutes});
            let template = bounded(json!(null), json!({name: {"min": 5, "max": 60}}));
            for minutes in [5, 30, 60] {
                assert_eq!(found(of(minutes), &template), [""; 0], "{name} {minutes}");
            }
            assert_eq!(found(json!(null), &template), [""; 0], "the longest is filled in");
            assert_eq!(
                found(of(4), &template),
                [format!(
                    r#"spec.limits.{name}: "4" is less than the template's minimum 5: choose at least 5 minutes"#
                )]
            );
            assert_eq!(
                found(of(61), &template),
                [format!(
                    r#"spec.limits.{name}: "61" is more than the template's maximum 60: choose at most 60 minutes"#
                )]
            );
        }
    }
}
