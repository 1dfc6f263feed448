//! Security contexts -> values that Kubernetes never accepts (pure).
//!
//! These are users, groups, profiles and policies that are invalid at every Pod Security level.

use k8s_openapi::api::core::v1::{AppArmorProfile, PodSecurityContext, SeccompProfile, SecurityContext};

use crate::checks::id;
use crate::violation::Violation;

/// Checks the security context of a pod at `path`.
pub(in crate::validate) fn pod(path: &str, context: &PodSecurityContext) -> Vec<Violation> {
    let mut found = Vec::new();
    found.extend(id(path, "runAsUser", context.run_as_user));
    found.extend(id(path, "runAsGroup", context.run_as_group));
    found.extend(id(path, "fsGroup", context.fs_group));
    for (index, group) in context.supplemental_groups.iter().flatten().enumerate() {
        found.extend(id(path, &format!("supplementalGroups[{index}]"), Some(*group)));
    }
    found.extend(profiles(
        path,
        context.seccomp_profile.as_ref(),
        context.app_armor_profile.as_ref(),
    ));
    found.extend(one_of(
        path,
        "fsGroupChangePolicy",
        context.fs_group_change_policy.as_ref(),
        ["OnRootMismatch", "Always"],
    ));
    found.extend(one_of(
        path,
        "supplementalGroupsPolicy",
        context.supplemental_groups_policy.as_ref(),
        ["Merge", "Strict"],
    ));
    found.extend(one_of(
        path,
        "seLinuxChangePolicy",
        context.se_linux_change_policy.as_ref(),
        ["MountOption", "Recursive"],
    ));
    let sysctls = context.sysctls.as_deref().unwrap_or_default();
    for (index, sysctl) in sysctls.iter().enumerate() {
        if sysctls[..index].iter().any(|other| other.name == sysctl.name) {
            let rule = "is set twice: leave one out";
            let field = format!("{path}.sysctls[{index}].name");
            found.push(Violation::new(field, &sysctl.name, rule));
        }
    }
    found
}

/// Checks the security context of a container at `path`.
pub(in crate::validate) fn container(path: &str, context: &SecurityContext) -> Vec<Violation> {
    let mut found = Vec::new();
    found.extend(id(path, "runAsUser", context.run_as_user));
    found.extend(id(path, "runAsGroup", context.run_as_group));
    found.extend(profiles(
        path,
        context.seccomp_profile.as_ref(),
        context.app_armor_profile.as_ref(),
    ));
    found
}

fn profiles(
    path: &str,
    seccomp: Option<&SeccompProfile>,
    app_armor: Option<&AppArmorProfile>,
) -> Vec<Violation> {
    let seccomp = seccomp.map(|it| (&it.type_, &it.localhost_profile));
    let app_armor = app_armor.map(|it| (&it.type_, &it.localhost_profile));
    let both = [("seccompProfile", seccomp), ("appArmorProfile", app_armor)];
    let faults = both.into_iter().filter_map(|(name, profile)| {
        let (kind, file) = profile?;
        let field = format!("{path}.{name}.localhostProfile");
        let file = file.as_deref().unwrap_or_default();
        let rule = match (kind == "Localhost", file) {
            (true, "") => "is missing: the type Localhost names a profile of the node",
            (true, file) if file.starts_with('/') || file.split('/').any(|part| part == "..") => {
                "is no file below the node's profiles: use a relative path, without '..'"
            }
            (false, file) if !file.is_empty() => "belongs to the type Localhost: leave it out",
            _ => return None,
        };
        Some(Violation::new(field, file, rule))
    });
    faults.collect()
}

fn one_of(path: &str, field: &str, given: Option<&String>, known: [&str; 2]) -> Option<Violation> {
    let given = given.filter(|given| !known.contains(&given.as_str()))?;
    let rule = format!("is no policy: use {}", known.join(" or "));
    Some(Violation::new(format!("{path}.{field}"), given, rule))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of_pod(given: Value) -> Vec<String> {
        let found = pod("p", &serde_json::from_value(given).unwrap());
        found.into_iter().map(|it| it.field).collect()
    }

    #[test]
    fn values_that_kubernetes_accepts_pass() {
        let fine = json!({
            "runAsUser": 0, "runAsGroup": 2_147_483_647, "fsGroup": 100, "supplementalGroups": [1, 2],
            "seccompProfile": {"type": "Localhost", "localhostProfile": "profiles/a.json"},
            "fsGroupChangePolicy": "OnRootMismatch", "supplementalGroupsPolicy": "Strict",
        });
        assert_eq!(of_pod(fine), [""; 0]);
        let fine = json!({"runAsUser": 1, "appArmorProfile": {"type": "RuntimeDefault"}});
        assert_eq!(container("c", &serde_json::from_value(fine).unwrap()), []);
    }

    #[test]
    fn every_invalid_identity_is_reported() {
        let faulty = json!({
            "runAsUser": -1, "runAsGroup": 2_147_483_648_i64, "fsGroup": -5, "supplementalGroups": [1, -2],
            "seccompProfile": {"type": "Localhost"}, "appArmorProfile": {"type": "RuntimeDefault", "localhostProfile": "x"},
            "fsGroupChangePolicy": "Sometimes", "supplementalGroupsPolicy": "", "seLinuxChangePolicy": "x",
            "sysctls": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}],
        });
        assert_eq!(
            of_pod(faulty),
            [
                "p.runAsUser",
                "p.runAsGroup",
                "p.fsGroup",
                "p.supplementalGroups[1]",
                "p.seccompProfile.localhostProfile",
                "p.appArmorProfile.localhostProfile",
                "p.fsGroupChangePolicy",
                "p.supplementalGroupsPolicy",
                "p.seLinuxChangePolicy",
                "p.sysctls[1].name",
            ]
        );
        let faulty =
            json!({"runAsUser": -1, "seccompProfile": {"type": "Localhost", "localhostProfile": "../x"}});
        assert_eq!(container("c", &serde_json::from_value(faulty).unwrap()).len(), 2);
    }
}
