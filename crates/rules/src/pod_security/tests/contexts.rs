//! Security contexts at both levels -> the fields that break them.

use api::template::PodSecurity;
use k8s_openapi::api::core::v1::{PodSecurityContext, SecurityContext};
use serde_json::{Value, json};

use crate::pod_security::standards::{container_context, pod_context};

fn of_pod(value: Value, level: PodSecurity) -> Vec<String> {
    let context: PodSecurityContext = serde_json::from_value(value).unwrap();
    pod_context("p", &context, level)
        .into_iter()
        .map(|it| it.field)
        .collect()
}

fn of_container(value: Value, level: PodSecurity) -> Vec<String> {
    let context: SecurityContext = serde_json::from_value(value).unwrap();
    container_context("c", &context, level)
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
