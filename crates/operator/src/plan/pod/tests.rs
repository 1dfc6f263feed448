//! Valid workspaces -> their pods.

use serde_json::{Value, json};

use super::*;
use crate::testing;

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
