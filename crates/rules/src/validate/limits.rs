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

const RETENTION: &str = "spec.limits.stoppedRetentionDays";

/// Whoever has a stopped workspace deleted says what becomes of each of its disks: nobody loses files by a default.
pub(super) fn unsaid_fates(
    workspace: &Workspace,
    effective: &Effective,
    template: Option<&WorkspaceTemplateSpec>,
) -> Vec<Violation> {
    let Some(days) = effective.limits.stopped_retention_days else {
        return Vec::new();
    };
    let given = workspace
        .spec
        .limits
        .and_then(|limits| limits.stopped_retention_days);
    let filled = minutes::filled(given.is_some());
    let mut found: Vec<_> = of_home(workspace, effective, template, (days, filled))
        .into_iter()
        .collect();
    // Also of those that are not chosen: they may be, or were.
    let disks = template.iter().flat_map(|template| &template.volume_claims);
    found.extend(disks.filter(|disk| disk.retain.is_none()).map(|disk| {
        let rule = format!(
            "{filled}may not be set where the disk {:?} of the template's volumeClaims has no retain: use a template in which it has, \
             Retain to keep the disk or Delete to delete its files with the workspace",
            disk.name
        );
        Violation::new(RETENTION, days.to_string(), rule)
    }));
    found
}

fn of_home(
    workspace: &Workspace,
    effective: &Effective,
    template: Option<&WorkspaceTemplateSpec>,
    (days, filled): (i32, &str),
) -> Option<Violation> {
    let spec = &workspace.spec;
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
    let rule = format!(
        "{filled}may not be set where neither spec.storage.retain nor primaryStorage.retain of the template is: write spec.storage.retain, \
         Retain to keep the disk or Delete to delete its files with the workspace"
    );
    Some(Violation::new(RETENTION, days.to_string(), rule))
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
                volume_claims: serde_json::from_value(template["volumeClaims"].clone()).unwrap_or_default(),
                ..Default::default()
            };
            let settings = crate::Settings::parse("defaultImage: d:1").unwrap();
            let effective = crate::effective(&workspace.spec, Some(&template), &settings);
            let found = unsaid_fates(&workspace, &effective, Some(&template));
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            (!found.is_empty()).then(|| found.join("; "))
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
        // Each further disk as well, chosen or not.
        let with_disk = |retain: Value| {
            let size =
                json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
            let disk = json!({"name": "db", "mountPath": "/db", "when": {"a": ["b"]}, "retain": retain, "spec": size});
            json!({"volumeClaims": [disk]})
        };
        let said = || spec(json!({"retain": "Retain"}));
        assert_eq!(
            refused(said(), none(), with_disk(none())).unwrap(),
            "spec.limits.stoppedRetentionDays: \"30\" may not be set where the disk \"db\" of the template's volumeClaims has no retain: \
             use a template in which it has, Retain to keep the disk or Delete to delete its files with the workspace"
        );
        for retain in ["Retain", "Delete"] {
            assert_eq!(refused(said(), none(), with_disk(json!(retain))), None);
        }
    }
}
