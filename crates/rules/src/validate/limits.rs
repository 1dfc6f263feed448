//! Limits of a workspace and the template's bounds -> violations (pure).

use api::workspace::Limits;
use api::{Workspace, WorkspaceSpec, WorkspaceTemplateSpec};

use super::minutes;
use crate::effective::limits::ALL;
use crate::effective::{Effective, Home};
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
        let amount = (limit.of)(&effective)?;
        minutes::amount_within(
            path,
            (amount, limit.unit),
            given.is_some(),
            limit.bounds(template),
        )
    })
}

/// Whoever has a stopped workspace deleted says what becomes of its disk: nobody loses files by a default.
pub(super) fn unsaid_fate(
    workspace: &Workspace,
    effective: &Effective,
    template: Option<&WorkspaceTemplateSpec>,
) -> Option<Violation> {
    let spec = &workspace.spec;
    let days = effective.limits.stopped_retention_days?;
    let keeps_one = || {
        workspace
            .status
            .as_ref()
            .is_some_and(|status| status.disk.is_some())
    };
    let has_disk = match &effective.home {
        Home::Disk { .. } => true,
        Home::Claim { .. } => false,
        Home::Ephemeral { .. } => keeps_one(),
    };
    let own = spec.storage.as_ref().and_then(|storage| storage.retain);
    let default = || template?.primary_storage.as_ref()?.retain;
    if !has_disk || own.or_else(default).is_some() {
        return None;
    }
    let given = spec.limits.and_then(|limits| limits.stopped_retention_days);
    let rule = format!(
        "{}may not be set where neither spec.storage.retain nor primaryStorage.retain of the template is: write spec.storage.retain, \
         Retain to keep the disk or Delete to delete its files with the workspace",
        minutes::filled(given.is_some())
    );
    let field = "spec.limits.stoppedRetentionDays";
    Some(Violation::new(field, days.to_string(), rule))
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
        for limit in ALL {
            let (name, unit) = (limit.name, limit.unit);
            let of = |amount: i32| json!({name: amount});
            let template = bounded(json!(null), json!({name: {"min": 8, "max": 60}}));
            for amount in [8, 30, 60] {
                assert_eq!(found(of(amount), &template), [""; 0], "{name} {amount}");
            }
            assert_eq!(
                found(json!(null), &template),
                [""; 0],
                "the longest is filled in, or none"
            );
            assert_eq!(
                found(of(7), &template),
                [format!(
                    r#"spec.limits.{name}: "7" is less than the template's minimum 8: choose at least 8 {unit}s"#
                )]
            );
            assert_eq!(
                found(of(61), &template),
                [format!(
                    r#"spec.limits.{name}: "61" is more than the template's maximum 60: choose at most 60 {unit}s"#
                )]
            );
        }
    }

    #[test]
    fn a_retention_is_refused_unless_somebody_says_what_becomes_of_the_disk() {
        let refused = |spec: Value, status: Value, template: Value| {
            let mut object = json!({"metadata": {"name": "demo"}, "spec": spec, "status": status});
            object["spec"]["displayName"] = json!("d");
            let workspace: Workspace = serde_json::from_value(object).unwrap();
            let template = WorkspaceTemplateSpec {
                primary_storage: serde_json::from_value(template["primaryStorage"].clone()).unwrap(),
                default_limits: serde_json::from_value(template["defaultLimits"].clone()).unwrap(),
                ..Default::default()
            };
            let settings = crate::Settings::parse("defaultImage: d:1").unwrap();
            let effective = crate::effective(&workspace.spec, Some(&template), &settings);
            unsaid_fate(&workspace, &effective, Some(&template)).map(|violation| violation.to_string())
        };
        let days = || json!({"stoppedRetentionDays": 30});
        let spec = |storage: Value| json!({"limits": days(), "storage": storage});
        let none = || json!(null);
        let said = refused(spec(json!({"size": "1Gi"})), none(), none()).unwrap();
        assert_eq!(
            said,
            "spec.limits.stoppedRetentionDays: \"30\" may not be set where neither spec.storage.retain nor primaryStorage.retain of the \
             template is: write spec.storage.retain, Retain to keep the disk or Delete to delete its files with the workspace"
        );
        let by_template = || json!({"primaryStorage": {"defaultSize": "1Gi"}, "defaultLimits": days()});
        let filled = refused(json!({}), none(), by_template()).unwrap();
        assert!(filled.contains("(filled in, since unset)"), "{filled}");
        for retain in ["Retain", "Delete"] {
            assert_eq!(refused(spec(json!({"retain": retain})), none(), none()), None);
            let template = json!({"primaryStorage": {"retain": retain}});
            assert_eq!(refused(spec(json!({"size": "1Gi"})), none(), template), None);
        }
        // The claim is never deleted with the workspace, and an emptyDir is gone with the pod.
        assert_eq!(refused(spec(json!({"claimName": "home"})), none(), none()), None);
        assert_eq!(refused(spec(none()), none(), none()), None);
        let had = json!({"disk": {"claimUID": "c", "size": "1Gi"}});
        assert!(refused(spec(none()), had, none()).is_some());
        let without = json!({"limits": {"maxAgeMinutes": 30}, "storage": {"size": "1Gi"}});
        assert_eq!(refused(without, none(), none()), None);
    }
}
