//! Security contexts -> values that a level of the Pod Security Standards forbids (pure).
//!
//! Unset fields get the values of `restricted`, so only a field that is set can break a rule.

use api::template::PodSecurity;
use k8s_openapi::api::core::v1::{Capabilities, PodSecurityContext, SecurityContext};

use crate::violation::Violation;

/// Capabilities that a container may add at level `baseline`.
const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const RESTRICTED_CAPABILITIES: [&str; 1] = ["NET_BIND_SERVICE"];
const SELINUX_TYPES: [&str; 5] = [
    "",
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
];
/// Sysctls that affect only the pod.
const SYSCTLS: [&str; 10] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
];

/// Checks the security context of a pod at `path`.
pub(in crate::validate) fn pod(
    path: &str,
    context: &PodSecurityContext,
    level: PodSecurity,
) -> Vec<Violation> {
    // These fields exist for a whole pod and for each container.
    let common = SecurityContext {
        run_as_non_root: context.run_as_non_root,
        run_as_user: context.run_as_user,
        seccomp_profile: context.seccomp_profile.clone(),
        app_armor_profile: context.app_armor_profile.clone(),
        se_linux_options: context.se_linux_options.clone(),
        windows_options: context.windows_options.clone(),
        ..SecurityContext::default()
    };
    let mut found = container(path, &common, level);
    for (index, sysctl) in context.sysctls.iter().flatten().enumerate() {
        if !SYSCTLS.contains(&sysctl.name.as_str()) {
            let field = format!("{path}.sysctls[{index}].name");
            let remedy = "use only sysctls that concern the pod alone";
            found.push(violation(field, &sysctl.name, level, remedy));
        }
    }
    found
}

/// Checks the security context of a container at `path`.
pub(in crate::validate) fn container(
    path: &str,
    context: &SecurityContext,
    level: PodSecurity,
) -> Vec<Violation> {
    let is_restricted = level == PodSecurity::Restricted;
    let mut found = Vec::new();
    let mut fault = |field: &str, value: &str, remedy: &str| {
        found.push(violation(format!("{path}.{field}"), value, level, remedy));
    };
    if is_restricted && context.run_as_non_root == Some(false) {
        fault("runAsNonRoot", "false", "leave it out");
    }
    if is_restricted && context.run_as_user == Some(0) {
        fault("runAsUser", "0", "use a number above 0");
    }
    let seccomp = context.seccomp_profile.as_ref().map(|it| &it.type_);
    let app_armor = context.app_armor_profile.as_ref().map(|it| &it.type_);
    for (field, type_) in [
        ("seccompProfile.type", seccomp),
        ("appArmorProfile.type", app_armor),
    ] {
        if let Some(type_) = type_.filter(|it| !["RuntimeDefault", "Localhost"].contains(&it.as_str())) {
            fault(field, type_, "use RuntimeDefault");
        }
    }
    if let Some(options) = &context.se_linux_options {
        if let Some(type_) = options.type_.as_deref().filter(|it| !SELINUX_TYPES.contains(it)) {
            fault("seLinuxOptions.type", type_, "use container_t");
        }
        for (name, value) in [("user", &options.user), ("role", &options.role)] {
            if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
                fault(&format!("seLinuxOptions.{name}"), value, "leave it out");
            }
        }
    }
    let windows = context.windows_options.as_ref();
    if windows.is_some_and(|options| options.host_process == Some(true)) {
        fault("windowsOptions.hostProcess", "true", "leave it out");
    }
    if context.privileged == Some(true) {
        fault("privileged", "true", "leave it out");
    }
    if is_restricted && context.allow_privilege_escalation == Some(true) {
        fault("allowPrivilegeEscalation", "true", "leave it out");
    }
    let proc_mount = context.proc_mount.as_deref();
    if let Some(mount) = proc_mount.filter(|mount| !["", "Default"].contains(mount)) {
        fault("procMount", mount, "leave it out");
    }
    if let Some(capabilities) = &context.capabilities {
        found.extend(of_capabilities(path, capabilities, level));
    }
    found
}

fn of_capabilities(path: &str, capabilities: &Capabilities, level: PodSecurity) -> Vec<Violation> {
    let addable: &[&str] = match level {
        PodSecurity::Restricted => &RESTRICTED_CAPABILITIES,
        PodSecurity::Baseline => &BASELINE_CAPABILITIES,
    };
    let mut found = Vec::new();
    for (index, name) in capabilities.add.iter().flatten().enumerate() {
        if !addable.contains(&name.as_str()) {
            let remedy = format!("only {} may be added", addable.join(", "));
            let field = format!("{path}.capabilities.add[{index}]");
            found.push(violation(field, name, level, &remedy));
        }
    }
    if let Some(drop) = &capabilities.drop
        && level == PodSecurity::Restricted
        && !drop.iter().any(|name| name == "ALL")
    {
        let field = format!("{path}.capabilities.drop");
        found.push(violation(
            field,
            &drop.join(", "),
            level,
            "drop ALL, or leave it out",
        ));
    }
    found
}

fn violation(field: String, value: &str, level: PodSecurity, remedy: &str) -> Violation {
    let level = match level {
        PodSecurity::Restricted => "restricted",
        PodSecurity::Baseline => "baseline",
    };
    let rule = format!("is not allowed by Pod Security {level}: {remedy}");
    Violation::new(field, value, rule)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of_pod(value: Value, level: PodSecurity) -> Vec<String> {
        let context: PodSecurityContext = serde_json::from_value(value).unwrap();
        pod("p", &context, level).into_iter().map(|it| it.field).collect()
    }

    fn of_container(value: Value, level: PodSecurity) -> Vec<String> {
        let context: SecurityContext = serde_json::from_value(value).unwrap();
        container("c", &context, level)
            .into_iter()
            .map(|it| it.field)
            .collect()
    }

    #[test]
    fn a_restricted_pod_fits_both_levels() {
        for level in [PodSecurity::Restricted, PodSecurity::Baseline] {
            let fine = json!({
                "runAsNonRoot": true, "runAsUser": 1000, "runAsGroup": 0, "fsGroup": 100, "supplementalGroups": [1],
                "seccompProfile": {"type": "RuntimeDefault"}, "seLinuxOptions": {"level": "s0:c1,c2"},
                "sysctls": [{"name": "net.ipv4.ping_group_range", "value": "0 1"}],
            });
            assert_eq!(of_pod(fine, level), [""; 0]);
            let fine = json!({
                "allowPrivilegeEscalation": false, "privileged": false, "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, "procMount": "Default",
            });
            assert_eq!(of_container(fine, level), [""; 0]);
            assert_eq!(of_container(json!({}), level), [""; 0]);
        }
    }

    #[test]
    fn baseline_values_are_refused_by_restricted() {
        let pod = json!({"runAsNonRoot": false, "runAsUser": 0});
        assert_eq!(of_pod(pod.clone(), PodSecurity::Baseline), [""; 0]);
        assert_eq!(
            of_pod(pod, PodSecurity::Restricted),
            ["p.runAsNonRoot", "p.runAsUser"]
        );
        let container = json!({
            "runAsUser": 0, "allowPrivilegeEscalation": true, "capabilities": {"add": ["CHOWN"], "drop": ["KILL"]},
        });
        assert_eq!(
            of_container(json!({"capabilities": {"drop": []}}), PodSecurity::Restricted),
            ["c.capabilities.drop"]
        );
        assert_eq!(of_container(container.clone(), PodSecurity::Baseline), [""; 0]);
        assert_eq!(
            of_container(container, PodSecurity::Restricted),
            [
                "c.runAsUser",
                "c.allowPrivilegeEscalation",
                "c.capabilities.add[0]",
                "c.capabilities.drop",
            ]
        );
    }

    #[test]
    fn privileged_values_are_refused_by_both_levels() {
        for level in [PodSecurity::Restricted, PodSecurity::Baseline] {
            assert_eq!(
                of_pod(
                    json!({
                        "seccompProfile": {"type": "Unconfined"}, "appArmorProfile": {"type": "Unconfined"},
                        "seLinuxOptions": {"type": "spc_t", "user": "u", "role": "r"},
                        "windowsOptions": {"hostProcess": true}, "sysctls": [{"name": "kernel.msgmax", "value": "1"}],
                    }),
                    level
                ),
                [
                    "p.seccompProfile.type",
                    "p.appArmorProfile.type",
                    "p.seLinuxOptions.type",
                    "p.seLinuxOptions.user",
                    "p.seLinuxOptions.role",
                    "p.windowsOptions.hostProcess",
                    "p.sysctls[0].name",
                ]
            );
            assert_eq!(
                of_container(
                    json!({"privileged": true, "procMount": "Unmasked", "capabilities": {"add": ["SYS_ADMIN"]}}),
                    level
                ),
                ["c.privileged", "c.procMount", "c.capabilities.add[0]"]
            );
        }
    }
}
