//! Security contexts -> values that Pod Security forbids or requires (pure).
//!
//! Of a workspace or template only what is set can break a rule: what is unset gets the values of `restricted`.

use k8s_openapi::api::core::v1::{Capabilities, PodSecurityContext, SecurityContext};

use super::faults::Faults;

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
const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// Profiles of seccomp and `AppArmor` that confine.
const PROFILES: [&str; 2] = ["RuntimeDefault", "Localhost"];

/// A field that no container may lack.
pub(super) struct Required {
    pub(super) field: &'static str,
    pub(super) remedy: &'static str,
    /// Whether Windows has no such field.
    pub(super) is_of_linux: bool,
    /// Whether the security context of the pod or of the container sets it.
    pub(super) is_set: fn(&PodSecurityContext, &SecurityContext) -> bool,
}

pub(super) const RUN_AS_NON_ROOT: Required = Required {
    field: "runAsNonRoot",
    remedy: "set it to true, here or for the pod",
    is_of_linux: false,
    is_set: |pod, container| pod.run_as_non_root.or(container.run_as_non_root).is_some(),
};
pub(super) const SECCOMP_PROFILE: Required = Required {
    field: "seccompProfile",
    remedy: "set its type to RuntimeDefault, here or for the pod",
    is_of_linux: true,
    is_set: |pod, container| pod.seccomp_profile.is_some() || container.seccomp_profile.is_some(),
};
pub(super) const ALLOW_PRIVILEGE_ESCALATION: Required = Required {
    field: "allowPrivilegeEscalation",
    remedy: "set it to false",
    is_of_linux: true,
    is_set: |_, container| container.allow_privilege_escalation.is_some(),
};
pub(super) const CAPABILITIES: Required = Required {
    field: "capabilities.drop",
    remedy: "drop ALL",
    is_of_linux: true,
    is_set: |_, container| {
        container
            .capabilities
            .as_ref()
            .is_some_and(|it| it.drop.is_some())
    },
};

/// The fields that exist for a whole pod and for each container.
pub(super) fn in_common(context: &PodSecurityContext) -> SecurityContext {
    SecurityContext {
        run_as_non_root: context.run_as_non_root,
        run_as_user: context.run_as_user,
        seccomp_profile: context.seccomp_profile.clone(),
        app_armor_profile: context.app_armor_profile.clone(),
        se_linux_options: context.se_linux_options.clone(),
        windows_options: context.windows_options.clone(),
        ..SecurityContext::default()
    }
}

pub(super) fn sysctls(context: &PodSecurityContext, faults: &mut Faults) {
    for (index, sysctl) in context.sysctls.iter().flatten().enumerate() {
        if !SYSCTLS.contains(&sysctl.name.as_str()) {
            let remedy = "use only sysctls that concern the pod alone";
            faults.forbid(&format!("sysctls[{index}].name"), &sysctl.name, remedy);
        }
    }
}

pub(super) fn run_as_non_root(context: &SecurityContext, faults: &mut Faults) {
    if context.run_as_non_root == Some(false) {
        faults.forbid("runAsNonRoot", "false", "leave it out");
    }
}

pub(super) fn run_as_user(context: &SecurityContext, faults: &mut Faults) {
    if context.run_as_user == Some(0) {
        faults.forbid("runAsUser", "0", "use a number above 0");
    }
}

pub(super) fn seccomp_profile(context: &SecurityContext, faults: &mut Faults) {
    let type_ = context.seccomp_profile.as_ref().map(|profile| &profile.type_);
    if let Some(type_) = type_.filter(|it| !PROFILES.contains(&it.as_str())) {
        faults.forbid("seccompProfile.type", type_, "use RuntimeDefault");
    }
}

pub(super) fn app_armor_profile(context: &SecurityContext, faults: &mut Faults) {
    let type_ = context.app_armor_profile.as_ref().map(|profile| &profile.type_);
    if let Some(type_) = type_.filter(|it| !PROFILES.contains(&it.as_str())) {
        faults.forbid("appArmorProfile.type", type_, "use RuntimeDefault");
    }
}

pub(super) fn se_linux_options(context: &SecurityContext, faults: &mut Faults) {
    let Some(options) = &context.se_linux_options else {
        return;
    };
    if let Some(type_) = options.type_.as_deref().filter(|it| !SELINUX_TYPES.contains(it)) {
        faults.forbid("seLinuxOptions.type", type_, "use container_t");
    }
    for (name, value) in [("user", &options.user), ("role", &options.role)] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            faults.forbid(&format!("seLinuxOptions.{name}"), value, "leave it out");
        }
    }
}

pub(super) fn windows_host_process(context: &SecurityContext, faults: &mut Faults) {
    let windows = context.windows_options.as_ref();
    if windows.is_some_and(|options| options.host_process == Some(true)) {
        faults.forbid("windowsOptions.hostProcess", "true", "leave it out");
    }
}

pub(super) fn privileged(context: &SecurityContext, faults: &mut Faults) {
    if context.privileged == Some(true) {
        faults.forbid("privileged", "true", "leave it out");
    }
}

pub(super) fn allow_privilege_escalation(context: &SecurityContext, faults: &mut Faults) {
    if context.allow_privilege_escalation == Some(true) {
        faults.forbid("allowPrivilegeEscalation", "true", "leave it out");
    }
}

pub(super) fn proc_mount(context: &SecurityContext, faults: &mut Faults) {
    if let Some(mount) = context.proc_mount.as_deref().filter(|mount| *mount != "Default") {
        faults.forbid("procMount", mount, "leave it out");
    }
}

pub(super) fn baseline_capabilities(context: &SecurityContext, faults: &mut Faults) {
    added_beyond(&BASELINE_CAPABILITIES, context.capabilities.as_ref(), faults);
}

pub(super) fn restricted_capabilities(context: &SecurityContext, faults: &mut Faults) {
    added_beyond(&RESTRICTED_CAPABILITIES, context.capabilities.as_ref(), faults);
    let drop = context.capabilities.as_ref().and_then(|it| it.drop.as_ref());
    if let Some(drop) = drop.filter(|drop| !drop.iter().any(|name| name == "ALL")) {
        faults.forbid("capabilities.drop", &drop.join(", "), "drop ALL, or leave it out");
    }
}

/// Reports capabilities that are added and not in `allowed`.
fn added_beyond(allowed: &[&str], capabilities: Option<&Capabilities>, faults: &mut Faults) {
    let added = capabilities.and_then(|it| it.add.as_ref());
    for (index, name) in added.into_iter().flatten().enumerate() {
        if !allowed.contains(&name.as_str()) {
            let remedy = format!("only {} may be added", allowed.join(", "));
            faults.forbid(&format!("capabilities.add[{index}]"), name, &remedy);
        }
    }
}
