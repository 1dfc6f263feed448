//! Security contexts -> values that a level of the Pod Security Standards forbids (pure).
//!
//! Unset fields get the values of `restricted`, so only a field that is set can break a rule.

use api::template::PodSecurity;
use k8s_openapi::api::core::v1::{
    AppArmorProfile, Capabilities, PodSecurityContext, SELinuxOptions, SeccompProfile, SecurityContext,
    WindowsSecurityContextOptions,
};

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
    let mut check = Check::of_common(path, level, &context.into());
    for (index, sysctl) in context.sysctls.iter().flatten().enumerate() {
        if !SYSCTLS.contains(&sysctl.name.as_str()) {
            check.fault(
                &format!("sysctls[{index}].name"),
                &sysctl.name,
                "use only sysctls that concern the pod alone",
            );
        }
    }
    check.found
}

/// Checks the security context of a container at `path`.
pub(in crate::validate) fn container(
    path: &str,
    context: &SecurityContext,
    level: PodSecurity,
) -> Vec<Violation> {
    let mut check = Check::of_common(path, level, &context.into());
    check.capabilities(context.capabilities.as_ref());
    if context.privileged == Some(true) {
        check.fault("privileged", "true", "leave it out");
    }
    if context.allow_privilege_escalation == Some(true) && level == PodSecurity::Restricted {
        check.fault("allowPrivilegeEscalation", "true", "leave it out");
    }
    if let Some(mount) = context
        .proc_mount
        .as_deref()
        .filter(|mount| !["", "Default"].contains(mount))
    {
        check.fault("procMount", mount, "leave it out");
    }
    check.found
}

/// Fields that exist for a whole pod and for each container.
struct Common<'a> {
    non_root: Option<bool>,
    user: Option<i64>,
    seccomp: Option<&'a SeccompProfile>,
    app_armor: Option<&'a AppArmorProfile>,
    selinux: Option<&'a SELinuxOptions>,
    windows: Option<&'a WindowsSecurityContextOptions>,
}

impl<'a> From<&'a PodSecurityContext> for Common<'a> {
    fn from(context: &'a PodSecurityContext) -> Self {
        Self {
            non_root: context.run_as_non_root,
            user: context.run_as_user,
            seccomp: context.seccomp_profile.as_ref(),
            app_armor: context.app_armor_profile.as_ref(),
            selinux: context.se_linux_options.as_ref(),
            windows: context.windows_options.as_ref(),
        }
    }
}

impl<'a> From<&'a SecurityContext> for Common<'a> {
    fn from(context: &'a SecurityContext) -> Self {
        Self {
            non_root: context.run_as_non_root,
            user: context.run_as_user,
            seccomp: context.seccomp_profile.as_ref(),
            app_armor: context.app_armor_profile.as_ref(),
            selinux: context.se_linux_options.as_ref(),
            windows: context.windows_options.as_ref(),
        }
    }
}

struct Check<'a> {
    path: &'a str,
    level: PodSecurity,
    found: Vec<Violation>,
}

impl<'a> Check<'a> {
    fn of_common(path: &'a str, level: PodSecurity, common: &Common<'_>) -> Self {
        let mut check = Self {
            path,
            level,
            found: Vec::new(),
        };
        check.user(common.non_root, common.user);
        check.seccomp(common.seccomp);
        check.app_armor(common.app_armor);
        check.selinux(common.selinux);
        check.windows(common.windows);
        check
    }

    fn fault(&mut self, field: &str, value: &str, remedy: &str) {
        let level = match self.level {
            PodSecurity::Restricted => "restricted",
            PodSecurity::Baseline => "baseline",
        };
        let rule = format!("is not allowed by Pod Security {level}: {remedy}");
        self.found
            .push(Violation::new(format!("{}.{field}", self.path), value, rule));
    }

    fn user(&mut self, non_root: Option<bool>, user: Option<i64>) {
        if self.level == PodSecurity::Baseline {
            return;
        }
        if non_root == Some(false) {
            self.fault("runAsNonRoot", "false", "leave it out");
        }
        if user == Some(0) {
            self.fault("runAsUser", "0", "use a number above 0");
        }
    }

    fn seccomp(&mut self, profile: Option<&SeccompProfile>) {
        if let Some(profile) = profile
            && !["RuntimeDefault", "Localhost"].contains(&profile.type_.as_str())
        {
            self.fault("seccompProfile.type", &profile.type_, "use RuntimeDefault");
        }
    }

    fn app_armor(&mut self, profile: Option<&AppArmorProfile>) {
        if let Some(profile) = profile
            && !["RuntimeDefault", "Localhost"].contains(&profile.type_.as_str())
        {
            self.fault("appArmorProfile.type", &profile.type_, "use RuntimeDefault");
        }
    }

    fn selinux(&mut self, options: Option<&SELinuxOptions>) {
        let Some(options) = options else { return };
        if let Some(type_) = options
            .type_
            .as_deref()
            .filter(|type_| !SELINUX_TYPES.contains(type_))
        {
            self.fault("seLinuxOptions.type", type_, "use container_t");
        }
        for (name, value) in [("user", &options.user), ("role", &options.role)] {
            if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
                self.fault(&format!("seLinuxOptions.{name}"), value, "leave it out");
            }
        }
    }

    fn windows(&mut self, options: Option<&WindowsSecurityContextOptions>) {
        if options.is_some_and(|options| options.host_process == Some(true)) {
            self.fault("windowsOptions.hostProcess", "true", "leave it out");
        }
    }

    fn capabilities(&mut self, capabilities: Option<&Capabilities>) {
        let Some(capabilities) = capabilities else { return };
        let addable: &[&str] = match self.level {
            PodSecurity::Restricted => &RESTRICTED_CAPABILITIES,
            PodSecurity::Baseline => &BASELINE_CAPABILITIES,
        };
        for (index, name) in capabilities.add.iter().flatten().enumerate() {
            if !addable.contains(&name.as_str()) {
                let remedy = format!("only {} may be added", addable.join(", "));
                self.fault(&format!("capabilities.add[{index}]"), name, &remedy);
            }
        }
        if let Some(drop) = &capabilities.drop
            && self.level == PodSecurity::Restricted
            && !drop.iter().any(|name| name == "ALL")
        {
            self.fault("capabilities.drop", &drop.join(", "), "drop ALL, or leave it out");
        }
    }
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
                "c.capabilities.add[0]",
                "c.capabilities.drop",
                "c.allowPrivilegeEscalation"
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
                ["c.capabilities.add[0]", "c.privileged", "c.procMount"]
            );
        }
    }
}
