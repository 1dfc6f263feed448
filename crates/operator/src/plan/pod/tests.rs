//! Valid workspaces -> their pods, and what Pod Security requires of them.

use k8s_openapi::api::core::v1::Probe;
use serde_json::{Value, json};

use super::*;
use crate::testing;

/// What Pod Security `restricted` forbids in this pod: the checks of the Kubernetes standard, one by one.
fn restricted_violations(pod: &PodSpec) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut check = |holds: bool, rule: &'static str| {
        if !holds {
            found.push(rule);
        }
    };
    let context = pod.security_context.clone().unwrap_or_default();
    check(pod.host_network != Some(true), "hostNetwork");
    check(pod.host_pid != Some(true), "hostPID");
    check(pod.host_ipc != Some(true), "hostIPC");
    check(context.sysctls.is_none(), "sysctls");
    check(context.se_linux_options.is_none(), "seLinuxOptions");
    check(context.windows_options.is_none(), "windowsOptions");
    check(context.app_armor_profile.is_none(), "appArmorProfile");
    check(context.run_as_non_root == Some(true), "runAsNonRoot");
    check(context.run_as_user.is_some_and(|user| user != 0), "runAsUser");
    check(
        context
            .seccomp_profile
            .is_some_and(|profile| profile.type_ == "RuntimeDefault"),
        "seccompProfile",
    );
    for volume in pod.volumes.iter().flatten() {
        let allowed = volume.config_map.is_some()
            || volume.csi.is_some()
            || volume.downward_api.is_some()
            || volume.empty_dir.is_some()
            || volume.ephemeral.is_some()
            || volume.persistent_volume_claim.is_some()
            || volume.projected.is_some()
            || volume.secret.is_some();
        check(allowed, "volume types");
    }
    check(pod.ephemeral_containers.is_none(), "ephemeral containers");
    for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
        let context = container.security_context.clone().unwrap_or_default();
        let capabilities = context.capabilities.unwrap_or_default();
        check(context.privileged != Some(true), "privileged");
        check(
            context.allow_privilege_escalation == Some(false),
            "allowPrivilegeEscalation",
        );
        check(context.run_as_non_root != Some(false), "container runAsNonRoot");
        check(context.run_as_user != Some(0), "container runAsUser");
        check(context.proc_mount.is_none(), "procMount");
        check(context.se_linux_options.is_none(), "container seLinuxOptions");
        check(context.app_armor_profile.is_none(), "container appArmorProfile");
        check(context.seccomp_profile.is_none(), "container seccompProfile");
        check(
            capabilities
                .drop
                .is_some_and(|drop| drop.iter().any(|name| name == "ALL")),
            "capabilities drop",
        );
        check(capabilities.add.is_none(), "capabilities add");
        check(
            container
                .ports
                .iter()
                .flatten()
                .all(|port| port.host_port.is_none()),
            "hostPort",
        );
        let probes = [
            &container.readiness_probe,
            &container.liveness_probe,
            &container.startup_probe,
        ];
        let host_free = |probe: &&Option<Probe>| {
            probe
                .as_ref()
                .and_then(|probe| probe.tcp_socket.as_ref())
                .is_none_or(|tcp| tcp.host.is_none())
        };
        check(probes.iter().all(host_free), "probe host");
    }
    found
}

fn pod_of(workspace: &api::Workspace) -> PodSpec {
    plan(&testing::admit(workspace), &testing::installation(), "run1")
}

fn pod_with(change: impl FnOnce(&mut ValidWorkspace)) -> PodSpec {
    let mut workspace = testing::valid();
    change(&mut workspace);
    plan(&workspace, &testing::installation(), "run1")
}

fn profile(spec: Value, service_account: Option<&str>) -> rules::ExecutionProfile {
    rules::ExecutionProfile {
        name: "p".to_owned(),
        spec: serde_json::from_value(spec).unwrap(),
        service_account: service_account.map(str::to_owned),
    }
}

#[test]
fn every_pod_fits_pod_security_restricted() {
    let plain = testkit::objects::workspace("demo");
    let mut ephemeral = plain.clone();
    ephemeral.spec.storage = None;
    let mut custom = plain.clone();
    custom.spec.image = Some("example.com/custom:1".to_owned());
    for workspace in [plain, ephemeral, custom] {
        assert_eq!(restricted_violations(&pod_of(&workspace)), Vec::<&str>::new());
    }
    let full = pod_with(|workspace| {
        let init = json!([{"name": "a", "image": "b:1"}, {"name": "c", "image": "uv"}]);
        workspace.pod.init_containers = serde_json::from_value(init).unwrap();
        workspace.shm_size = serde_json::from_value(json!("64Mi")).unwrap();
        let spec = json!({
            "serviceAccount": {"name": "sa"}, "automountToken": true,
            "projectedTokens": [{"audience": "a", "path": "/t/a"}],
            "secretMounts": [{"secretName": "s", "mountPath": "/s"}],
        });
        workspace.profile = Some(profile(spec, Some("sa")));
    });
    assert_eq!(restricted_violations(&full), Vec::<&str>::new());
}

#[test]
fn without_a_profile_no_token_no_identity_and_no_service_variables_are_in_the_pod() {
    let pod = pod_of(&testkit::objects::workspace("demo"));
    assert_eq!(pod.automount_service_account_token, Some(false));
    assert_eq!(pod.service_account_name, None);
    assert_eq!(pod.enable_service_links, Some(false));
    assert!(
        pod.volumes
            .iter()
            .flatten()
            .all(|volume| volume.projected.is_none())
    );
}

#[test]
fn every_pod_has_the_pull_secrets_of_the_installation_beside_those_of_its_profile_once() {
    let shared = || vec!["shared".to_owned(), "both".to_owned()];
    let names = |pod: PodSpec| json!(pod.image_pull_secrets);
    assert_eq!(names(pod_with(|_| ())), json!(null));
    assert_eq!(
        names(pod_with(|workspace| workspace.image_pull_secrets = shared())),
        json!([{"name": "shared"}, {"name": "both"}])
    );
    let spec = json!({"imagePullSecrets": [{"name": "both"}, {"name": "own"}]});
    let pod = pod_with(|workspace| {
        workspace.image_pull_secrets = shared();
        workspace.profile = Some(profile(spec, None));
    });
    assert_eq!(
        names(pod),
        json!([{"name": "both"}, {"name": "own"}, {"name": "shared"}])
    );
}

#[test]
fn a_profile_sets_account_secrets_priority_runtime_and_a_token_only_on_request() {
    let spec = json!({
        "serviceAccount": {"name": "trainer"},
        "imagePullSecrets": [{"name": "registry"}],
        "runtimeClassName": "gvisor",
        "priorityClassName": "high",
    });
    let pod = pod_with(|workspace| workspace.profile = Some(profile(spec.clone(), Some("trainer"))));
    assert_eq!(pod.service_account_name.as_deref(), Some("trainer"));
    assert_eq!(pod.automount_service_account_token, Some(false));
    assert_eq!(json!(pod.image_pull_secrets), json!([{"name": "registry"}]));
    assert_eq!(pod.runtime_class_name.as_deref(), Some("gvisor"));
    assert_eq!(pod.priority_class_name.as_deref(), Some("high"));
    let mut with_token = spec;
    with_token["automountToken"] = json!(true);
    let token = |account: Option<&str>| {
        let profile = profile(with_token.clone(), account);
        pod_with(|workspace| workspace.profile = Some(profile)).automount_service_account_token
    };
    assert_eq!(token(Some("trainer")), Some(true));
    assert_eq!(
        token(None),
        Some(false),
        "no pod uses the namespace's default account"
    );
}

#[test]
fn a_pod_has_a_user_namespace_of_its_own_if_its_template_says_so() {
    let host_users = |asked: bool| pod_with(|workspace| workspace.pod.user_namespace = asked).host_users;
    assert_eq!([host_users(true), host_users(false)], [Some(false), None]);
}

#[test]
fn an_ephemeral_home_is_bounded() {
    let mut workspace = testkit::objects::workspace("demo");
    workspace.spec.storage = None;
    let volumes = json!(pod_of(&workspace).volumes);
    assert_eq!(volumes[0]["emptyDir"], json!({"sizeLimit": "5Gi"}));
}

#[test]
fn every_part_of_the_shape_is_in_the_pod_unchanged() {
    let affinity = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "preference": {"matchExpressions": [{"key": "k", "operator": "Exists"}]}}]}});
    let pod = json!(pod_with(|workspace| {
        let shape = &mut workspace.pod;
        shape.lifecycle = from(json!({"preStop": {"exec": {"command": ["save"]}}}));
        shape.readiness_probe =
            from(json!({"httpGet": {"path": "/api", "port": "http"}, "failureThreshold": 9}));
        shape.node_selector = from(json!({"disk": "ssd"}));
        shape.affinity = from(affinity.clone());
        shape.tolerations = from(json!([{"key": "gpu", "operator": "Exists"}]));
        shape.pod_security_context = from(json!({"fsGroup": 7, "supplementalGroups": [9]}));
        shape.container_security_context = from(json!({"runAsUser": 9}));
    }));
    let container = &pod["containers"][0];
    assert_eq!(
        container["lifecycle"]["preStop"]["exec"]["command"],
        json!(["save"])
    );
    assert_eq!(container["readinessProbe"]["failureThreshold"], 9);
    assert_eq!(container["securityContext"]["runAsUser"], 9);
    assert_eq!(pod["nodeSelector"], json!({"disk": "ssd"}));
    assert_eq!(pod["affinity"], affinity);
    assert_eq!(pod["tolerations"], json!([{"key": "gpu", "operator": "Exists"}]));
    assert_eq!(pod["securityContext"]["supplementalGroups"], json!([9]));
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}
