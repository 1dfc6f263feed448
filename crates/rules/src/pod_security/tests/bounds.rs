//! Pods and parts of templates -> what is beyond our own bounds.

use api::template::PodSecurity;
use k8s_openapi::api::core::v1::Pod as StoredPod;
use serde_json::{Value, json};

use crate::ExecutionProfile;
use crate::pod_security::{Grants, Pod, Stage, violations};

/// The fields of a finished pod that break a rule. `change`: merged into a pod that breaks none.
fn finished_with(
    change: &Value,
    profile: Option<&ExecutionProfile>,
    policy_labels: &[(&'static str, Option<String>)],
) -> Vec<String> {
    let mut pod = json!({
        "metadata": {"labels": {"workspaces.jupyter.org/isolated": "true"}},
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "workspace",
                "ports": [{"name": "http", "containerPort": 8888}],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    });
    json_patch::merge(&mut pod, change);
    fields(
        "",
        pod,
        Stage::Finished(Grants {
            profile,
            policy_labels,
        }),
    )
}

fn finished(spec: Value) -> Vec<String> {
    finished_with(&json!({"spec": spec}), None, &[])
}

/// The fields of a template's part that break a rule.
fn template(pod: Value) -> Vec<String> {
    fields("spec.podTemplate.", pod, Stage::Template)
}

fn fields(prefix: &str, pod: Value, stage: Stage<'_>) -> Vec<String> {
    let pod: StoredPod = serde_json::from_value(pod).unwrap();
    let spec = pod.spec.unwrap_or_default();
    let pod = Pod {
        prefix,
        metadata: &pod.metadata,
        spec: &spec,
    };
    let found = violations(pod, PodSecurity::Restricted, stage).into_iter();
    found.map(|found| found.field).collect()
}

/// A container beside the application, as complete as it must be, with other fields.
fn sidecar(change: &Value) -> Value {
    let mut container = json!({
        "name": "proxy",
        "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    json_patch::merge(&mut container, change);
    container
}

/// A finished pod with the application and this container.
fn beside(change: &Value) -> Vec<String> {
    let application = json!({
        "name": "workspace",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    finished(json!({"containers": [application, sidecar(change)]}))
}

fn profile(spec: Value) -> ExecutionProfile {
    ExecutionProfile {
        name: "p".to_owned(),
        spec: serde_json::from_value(spec).unwrap(),
        service_account: Some("trainer".to_owned()),
    }
}

#[test]
fn a_finished_pod_breaks_nothing_and_an_unset_security_context_breaks_restricted() {
    assert_eq!(finished(json!({})), [""; 0]);
    assert_eq!(
        finished(json!({"securityContext": null, "containers": [{"name": "workspace"}]})),
        [
            "spec.containers[0].securityContext.runAsNonRoot",
            "spec.containers[0].securityContext.seccompProfile",
            "spec.containers[0].securityContext.allowPrivilegeEscalation",
            "spec.containers[0].securityContext.capabilities.drop",
        ]
    );
}

#[test]
fn one_container_is_the_application_s_and_has_its_port_alone() {
    assert_eq!(beside(&json!({})), [""; 0]);
    assert_eq!(beside(&json!({"name": "workspace"})), ["spec.containers"]);
    assert_eq!(
        finished(json!({"containers": [sidecar(&json!({}))]})),
        ["spec.containers"]
    );
    assert_eq!(
        finished(json!({"initContainers": [sidecar(&json!({"name": "workspace"}))]})),
        ["spec.initContainers[0].name"]
    );
    let port = |name: &str| json!({"ports": [{"name": name, "containerPort": 80, "hostIP": "10.0.0.1"}]});
    assert_eq!(
        beside(&port("http")),
        [
            "spec.containers[1].ports[0].hostIP",
            "spec.containers[1].ports[0].name"
        ]
    );
    assert_eq!(beside(&port("https")), ["spec.containers[1].ports[0].hostIP"]);
}

#[test]
fn containers_beside_the_application_say_what_they_need() {
    assert_eq!(
        beside(&json!({"resources": null})),
        [
            "spec.containers[1].resources.requests.cpu",
            "spec.containers[1].resources.requests.memory",
        ]
    );
    assert_eq!(
        beside(&json!({"resources": {"requests": null}})),
        ["spec.containers[1].resources.requests.cpu"]
    );
    assert_eq!(
        finished(json!({"resources": {"limits": {"cpu": "1"}}})),
        ["spec.resources"]
    );
}

#[test]
fn only_a_profile_gives_a_service_account_and_tokens() {
    let granted = profile(json!({
        "serviceAccount": {"name": "trainer"}, "automountToken": true,
        "projectedTokens": [{"audience": "a", "path": "/t/file"}],
    }));
    let pod = |audience: &str| {
        let token = json!({"serviceAccountToken": {"audience": audience, "path": "file"}});
        json!({"spec": {
            "serviceAccountName": "trainer",
            "automountServiceAccountToken": true,
            "volumes": [{"name": "tokens", "projected": {"sources": [token]}}],
        }})
    };
    let all = [
        "spec.serviceAccountName",
        "spec.automountServiceAccountToken",
        "spec.volumes[0].projected.sources[0].serviceAccountToken",
    ];
    assert_eq!(finished_with(&pod("a"), Some(&granted), &[]), [""; 0]);
    assert_eq!(finished_with(&pod("b"), Some(&granted), &[]), [all[2]]);
    assert_eq!(finished_with(&pod("a"), None, &[]), all);
    assert_eq!(
        finished(json!({"automountServiceAccountToken": null, "serviceAccount": "trainer"})),
        ["spec.serviceAccount", "spec.automountServiceAccountToken"]
    );
    assert_eq!(
        template(pod("a")),
        all.map(|field| format!("spec.podTemplate.{field}"))
    );
}

#[test]
fn a_finished_pod_is_selected_by_its_policies_alone() {
    let labels = [
        ("workspaces.jupyter.org/isolated", Some("true".to_owned())),
        ("workspaces.jupyter.org/manager", None),
    ];
    assert_eq!(finished_with(&json!({}), None, &labels), [""; 0]);
    let other = json!({"metadata": {"labels": {
        "workspaces.jupyter.org/isolated": null, "workspaces.jupyter.org/manager": "main",
    }}});
    assert_eq!(
        finished_with(&other, None, &labels),
        [
            "metadata.labels[workspaces.jupyter.org/isolated]",
            "metadata.labels[workspaces.jupyter.org/manager]",
        ]
    );
}

#[test]
fn a_path_is_the_same_in_any_spelling() {
    let mounts = |second: &str| json!({"volumeMounts": [{"name": "a", "mountPath": "/data/x"}, {"name": "b", "mountPath": second}]});
    assert_eq!(beside(&mounts("/data/y")), [""; 0]);
    for path in ["/data/x/", "//data/x", "/data/./x"] {
        assert_eq!(
            beside(&mounts(path)),
            ["spec.containers[1].volumeMounts[1].mountPath"],
            "{path}"
        );
    }
    for path in ["/dev/shm", "/dev//shm/"] {
        assert_eq!(beside(&mounts(path)), [""; 0], "{path}");
    }
    for path in ["/proc", "/usr/./bin", "/etc/", "/a/../etc"] {
        assert_eq!(
            beside(&mounts(path)),
            ["spec.containers[1].volumeMounts[1].mountPath"],
            "{path}"
        );
    }
    let ways = json!({"volumeMounts": [
        {"name": "a", "mountPath": "/a", "subPathExpr": "$(A)", "mountPropagation": "HostToContainer"},
    ]});
    assert_eq!(
        beside(&ways),
        [
            "spec.containers[1].volumeMounts[0].subPathExpr",
            "spec.containers[1].volumeMounts[0].mountPropagation",
        ]
    );
}

#[test]
fn a_pod_ends_in_time_runs_until_it_is_stopped_and_on_linux() {
    for seconds in [1, 30, 3600] {
        assert_eq!(
            finished(json!({"terminationGracePeriodSeconds": seconds})),
            [""; 0]
        );
    }
    for seconds in [-1, 0, 3601] {
        let found = finished(json!({"terminationGracePeriodSeconds": seconds}));
        assert_eq!(found, ["spec.terminationGracePeriodSeconds"], "{seconds}");
    }
    assert_eq!(
        finished(json!({"restartPolicy": "Always", "os": {"name": "linux"}})),
        [""; 0]
    );
    assert_eq!(
        finished(
            json!({"restartPolicy": "Never", "os": {"name": "windows"}, "ephemeralContainers": [{"name": "debug"}]})
        ),
        ["spec.restartPolicy", "spec.os.name", "spec.ephemeralContainers"]
    );
}

#[test]
fn a_template_breaks_a_rule_only_by_what_it_sets() {
    let container = |change: Value| json!({"spec": {"containers": [sidecar(&change)]}});
    assert_eq!(template(json!({})), [""; 0]);
    assert_eq!(template(container(json!({"securityContext": null}))), [""; 0]);
    assert_eq!(
        template(json!({"spec": {"containers": [{"name": "workspace"}]}})),
        [""; 0]
    );
    assert_eq!(
        template(container(json!({"securityContext": {"privileged": true}}))),
        ["spec.podTemplate.spec.containers[0].securityContext.privileged"]
    );
    assert_eq!(
        template(json!({"spec": {"initContainers": [{"name": "seed"}], "containers": []}})),
        [
            "spec.podTemplate.spec.initContainers[0].resources.requests.cpu",
            "spec.podTemplate.spec.initContainers[0].resources.requests.memory",
        ]
    );
    let http = json!({"name": "workspace", "ports": [{"name": "http", "containerPort": 80}]});
    assert_eq!(
        template(json!({"spec": {"containers": [http]}})),
        ["spec.podTemplate.spec.containers[0].ports[0].name"]
    );
    let labels = json!({"metadata": {"labels": {"team": "ml", "workspaces.jupyter.org/manager": "m"}}});
    assert_eq!(
        template(labels),
        ["spec.podTemplate.metadata.labels[workspaces.jupyter.org/manager]"]
    );
}
