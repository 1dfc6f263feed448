//! Pod -> what it breaks of the Pod Security Standards of Kubernetes (pure).
//!
//! The checks are those of Kubernetes 1.34, the strictest of the versions that we support: it is the first that refuses hosts in probes,
//! and the last that relaxes nothing for pods with `hostUsers: false`, a field that older API servers drop.

use api::template::PodSecurity;
use k8s_openapi::api::core::v1::{Container, PodSecurityContext, SecurityContext};

use super::contexts::{self, Required};
use super::faults::Faults;
use super::{Judged, Pod, Stage, hooks, host};
use crate::violation::Violation;

/// A check. Its function is named as in the Go module `k8s.io/pod-security-admission`.
struct Check {
    levels: &'static [PodSecurity],
    judge: Judge,
}

/// What a check looks at.
enum Judge {
    /// Annotations, and the spec apart from its containers.
    Pod(fn(Pod<'_>, &mut Faults)),
    /// The security context of the pod.
    PodContext(fn(&PodSecurityContext, &mut Faults)),
    /// Each container, without its security context.
    Container(fn(&Container, &mut Faults)),
    /// Each security context: the pod's, and those of its containers.
    Context(fn(&SecurityContext, &mut Faults)),
    /// What each container must have, of its own or of the pod.
    Required(Required),
}

const BASELINE: &[PodSecurity] = &[PodSecurity::Baseline];
const RESTRICTED: &[PodSecurity] = &[PodSecurity::Restricted];
const BOTH: &[PodSecurity] = &[PodSecurity::Baseline, PodSecurity::Restricted];

#[rustfmt::skip]
static CHECKS: [Check; 22] = [
    Check { levels: BOTH, judge: Judge::Pod(host::namespaces) },
    Check { levels: BASELINE, judge: Judge::Pod(host::path_volumes) },
    Check { levels: RESTRICTED, judge: Judge::Pod(host::volumes) },
    Check { levels: BOTH, judge: Judge::Pod(host::app_armor_annotations) },
    Check { levels: BOTH, judge: Judge::PodContext(contexts::sysctls) },
    Check { levels: BOTH, judge: Judge::Container(host::ports) },
    Check { levels: BOTH, judge: Judge::Container(hooks::of_container) },
    Check { levels: RESTRICTED, judge: Judge::Context(contexts::run_as_non_root) },
    Check { levels: RESTRICTED, judge: Judge::Context(contexts::run_as_user) },
    Check { levels: BOTH, judge: Judge::Context(contexts::seccomp_profile) },
    Check { levels: BOTH, judge: Judge::Context(contexts::app_armor_profile) },
    Check { levels: BOTH, judge: Judge::Context(contexts::se_linux_options) },
    Check { levels: BOTH, judge: Judge::Context(contexts::windows_host_process) },
    Check { levels: BOTH, judge: Judge::Context(contexts::privileged) },
    Check { levels: RESTRICTED, judge: Judge::Context(contexts::allow_privilege_escalation) },
    Check { levels: BOTH, judge: Judge::Context(contexts::proc_mount) },
    Check { levels: BASELINE, judge: Judge::Context(contexts::baseline_capabilities) },
    Check { levels: RESTRICTED, judge: Judge::Context(contexts::restricted_capabilities) },
    Check { levels: RESTRICTED, judge: Judge::Required(contexts::RUN_AS_NON_ROOT) },
    Check { levels: RESTRICTED, judge: Judge::Required(contexts::SECCOMP_PROFILE) },
    Check { levels: RESTRICTED, judge: Judge::Required(contexts::ALLOW_PRIVILEGE_ESCALATION) },
    Check { levels: RESTRICTED, judge: Judge::Required(contexts::CAPABILITIES) },
];

/// What a pod breaks.
pub(super) fn violations(judged: &Judged<'_>, level: PodSecurity) -> Vec<Violation> {
    let spec = judged.pod.spec;
    let unset = PodSecurityContext::default();
    let of_pod = spec.security_context.as_ref().unwrap_or(&unset);
    let mut faults = Faults::new(level);
    for check in checks(level) {
        if let Judge::Pod(judge) = check.judge {
            faults.begin(judged.pod.prefix);
            judge(judged.pod, &mut faults);
        }
    }
    judge_pod_context(&judged.field("securityContext"), of_pod, &mut faults);
    for placed in judged.all_containers() {
        judge_container(&placed.path, placed.container, &mut faults);
        if matches!(judged.stage, Stage::Finished(_)) {
            let is_windows = spec.os.as_ref().is_some_and(|os| os.name == "windows");
            require(&placed.path, placed.container, of_pod, is_windows, &mut faults);
        }
    }
    faults.into_violations()
}

/// What the security context of a pod at `path` breaks.
pub(crate) fn pod_context(path: &str, context: &PodSecurityContext, level: PodSecurity) -> Vec<Violation> {
    let mut faults = Faults::new(level);
    judge_pod_context(path, context, &mut faults);
    faults.into_violations()
}

/// What the security context of a container at `path` breaks.
pub(crate) fn container_context(path: &str, context: &SecurityContext, level: PodSecurity) -> Vec<Violation> {
    let mut faults = Faults::new(level);
    judge_context(path, context, &mut faults);
    faults.into_violations()
}

/// What the fields that are set in a container at `path` break.
pub(crate) fn container(path: &str, container: &Container, level: PodSecurity) -> Vec<Violation> {
    let mut faults = Faults::new(level);
    judge_container(path, container, &mut faults);
    faults.into_violations()
}

fn judge_pod_context(path: &str, context: &PodSecurityContext, faults: &mut Faults) {
    judge_context(path, &contexts::in_common(context), faults);
    for check in checks(faults.level) {
        if let Judge::PodContext(judge) = check.judge {
            faults.begin(format!("{path}."));
            judge(context, faults);
        }
    }
}

fn judge_container(path: &str, container: &Container, faults: &mut Faults) {
    for check in checks(faults.level) {
        if let Judge::Container(judge) = check.judge {
            faults.begin(format!("{path}."));
            judge(container, faults);
        }
    }
    if let Some(context) = &container.security_context {
        judge_context(&format!("{path}.securityContext"), context, faults);
    }
}

fn judge_context(path: &str, context: &SecurityContext, faults: &mut Faults) {
    for check in checks(faults.level) {
        if let Judge::Context(judge) = check.judge {
            faults.begin(format!("{path}."));
            judge(context, faults);
        }
    }
}

fn require(
    path: &str,
    container: &Container,
    of_pod: &PodSecurityContext,
    is_windows: bool,
    faults: &mut Faults,
) {
    let unset = SecurityContext::default();
    let context = container.security_context.as_ref().unwrap_or(&unset);
    for check in checks(faults.level) {
        if let Judge::Required(required) = &check.judge
            && !(is_windows && required.is_of_linux)
            && !(required.is_set)(of_pod, context)
        {
            faults.begin(format!("{path}.securityContext."));
            faults.require(required.field, required.remedy);
        }
    }
}

/// The checks of a level.
fn checks(level: PodSecurity) -> impl Iterator<Item = &'static Check> {
    CHECKS.iter().filter(move |check| check.levels.contains(&level))
}
