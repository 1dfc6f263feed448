//! A workspace with everything that template, profile and user can give -> its pod in recovery.

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceTemplate};
use rules::{References, Settings};
use serde_json::{Value, json};

use crate::{plan, testing};

/// What only the ordinary pod may have: each word is in a value of workspace, template or profile.
const NEVER: [&str; 31] = [
    "ws-image",
    "ws-command",
    "ws-args",
    "ws-env",
    "ws-secret",
    "ws-map",
    "ws-init",
    "ws-hook",
    "ws-probe",
    "ws-claim",
    "ws.org/annotation",
    "t-command",
    "t-env",
    "t-secret",
    "t-sidecar",
    "t-hook",
    "t-claim",
    "wsc-tdisk-demo",
    "p-account",
    "p-env",
    "p-secret",
    "p-pull",
    "p-class",
    "p-runtime",
    "p-audience",
    "pod-sidecar",
    "pod-init",
    "pod-secret",
    "pod-pull",
    "nvidia.com/gpu",
    "7777Mi",
];

fn workspace() -> Workspace {
    let mut workspace = json!(testkit::objects::workspace("demo"));
    workspace["spec"] = json!({
        "displayName": "d",
        "templateRef": "t",
        "executionProfileRef": "p",
        "image": "ws-image:1",
        "storage": {"size": "1Gi", "mountPath": "/home/else", "subPath": "work"},
        "resources": {"limits": {"cpu": "7", "memory": "7777Mi", "nvidia.com/gpu": 1}},
        "shmSize": "7777Mi",
        "port": 9999,
        "containerConfig": {"command": ["ws-command"], "args": ["ws-args"]},
        "env": [
            {"name": "A", "value": "ws-env"},
            {"name": "HOME", "value": "/ws-env"},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "ws-secret", "key": "k"}}},
            {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "ws-map", "key": "k"}}},
        ],
        "initContainers": [{"name": "ws-init", "image": "ws-init:1"}],
        "lifecycle": {"postStart": {"exec": {"command": ["ws-hook"]}}},
        "readinessProbe": {"exec": {"command": ["ws-probe"]}},
        "volumes": [{"name": "more", "persistentVolumeClaimName": "ws-claim", "mountPath": "/more"}],
        "podAnnotations": {"ws.org/annotation": "x"},
        "nodeSelector": {"zone": "a"},
        "podSecurityContext": {"runAsUser": 4711, "fsGroup": 4712},
    });
    serde_json::from_value(workspace).unwrap()
}

fn template() -> WorkspaceTemplate {
    let mut template = json!(testkit::objects::template("t"));
    let amounts = json!({"cpu": "10m", "memory": "16Mi"});
    template["spec"] = json!({
        "displayName": "t",
        "defaultImage": "t-image:1",
        "allowCustomImages": true,
        "allowCustomInitContainers": true,
        "allowCustomScheduling": true,
        "allowCustomSecurityContext": true,
        "allowedPodAnnotations": ["ws.org/"],
        "defaultResources": {"requests": {"cpu": "3", "memory": "512Mi", "nvidia.com/gpu": 1}, "limits": {"cpu": "4", "memory": "7777Mi", "nvidia.com/gpu": 1}},
        "resourceBounds": {"cpu": {"max": "8"}, "memory": {"max": "64Gi"}, "resources": {"nvidia.com/gpu": {"max": 2}}},
        "environmentVariables": [
            {"name": "T", "value": "t-env"},
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "t-secret", "key": "k"}}},
        ],
        "baseLabels": [{"name": "team", "value": "ml"}],
        "baseAnnotations": [{"name": "mesh.org/inject", "value": "yes"}],
        "defaultContainerConfig": {"command": ["t-command"]},
        "defaultInitContainers": [{"name": "t-sidecar", "image": "t-sidecar:1", "restartPolicy": "Always"}],
        "defaultLifecycle": {"preStop": {"exec": {"command": ["t-hook"]}}},
        "defaultVolumes": [{"name": "data", "persistentVolumeClaimName": "t-claim", "mountPath": "/data"}],
        "volumeClaims": [{"name": "tdisk", "mountPath": "/tdisk", "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        }}],
        "defaultTolerations": [{"key": "dedicated", "operator": "Exists"}],
        "defaultContainerSecurityContext": {"readOnlyRootFilesystem": false},
        "podTemplate": {
            "metadata": {"labels": {"pod-label": "x"}, "annotations": {"example.org/pod-annotation": "x"}},
            "spec": {
                "containers": [
                    {"name": "pod-sidecar", "image": "x:1", "resources": {"requests": amounts, "limits": amounts}},
                    {"name": "workspace", "envFrom": [{"secretRef": {"name": "pod-secret"}}]},
                ],
                "initContainers": [{"name": "pod-init", "image": "x:1", "resources": {"requests": amounts, "limits": amounts}}],
                "imagePullSecrets": [{"name": "pod-pull"}],
                "schedulerName": "pod-init",
            },
        },
        "hostUsers": false,
        "primaryStorage": {"defaultSize": "1Gi"},
    });
    serde_json::from_value(template).unwrap()
}

fn profile() -> WorkspaceExecutionProfile {
    testkit::objects::execution_profile(
        "p",
        &json!({
            "serviceAccount": {"name": "p-account"},
            "automountToken": true,
            "env": [{"name": "P", "value": "p-env"}],
            "imagePullSecrets": [{"name": "p-pull"}],
            "priorityClassName": "p-class",
            "runtimeClassName": "p-runtime",
            "secretMounts": [{"secretName": "p-secret", "mountPath": "/s"}],
            "projectedTokens": [{"audience": "p-audience", "path": "/t/token"}],
        }),
    )
}

fn pod(in_recovery: bool) -> Value {
    let (manager, template, profile) = (testkit::objects::manager("main"), template(), profile());
    let references = References::managed_by([&manager])
        .with_template(Some(&template))
        .with_profile(Some(&profile));
    let mut workspace = workspace();
    workspace.spec.recovery_mode = in_recovery;
    let settings = Settings {
        // So a workspace may name Secrets, which the webhook has attested.
        admission: true,
        // Credentials of the installation are for its own images.
        image_pull_secrets: vec!["shared".to_owned()],
        ..testing::settings()
    };
    let valid = rules::admit(&workspace, &references, &settings).unwrap();
    json!(plan::run(&valid, &testing::installation(), "run1"))
}

#[test]
fn nothing_of_template_profile_and_user_is_in_it_that_an_ordinary_pod_has() {
    let (ordinary, recovery) = (pod(false).to_string(), pod(true).to_string());
    // Image, command and hooks are those of the workspace, in place of the template's.
    for word in NEVER {
        let of_template = ["t-command", "t-sidecar", "t-claim", "t-hook"];
        assert!(
            ordinary.contains(word) || of_template.contains(&word),
            "the ordinary pod has {word}"
        );
        assert!(!recovery.contains(word), "{word} in {recovery}");
    }
}

#[test]
fn the_whole_pod_is_the_recovery_image_with_an_empty_home_and_the_disk_in_it() {
    let pod = pod(true);
    let spec = &pod["spec"];
    let names: Vec<_> = spec.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "automountServiceAccountToken",
            "containers",
            "enableServiceLinks",
            "hostUsers",
            "imagePullSecrets",
            "nodeSelector",
            "restartPolicy",
            "securityContext",
            "tolerations",
            "volumes"
        ]
    );
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec["imagePullSecrets"], json!([{"name": "shared"}]));
    assert_eq!(spec["nodeSelector"], json!({"zone": "a"}));
    assert_eq!(spec["hostUsers"], false);
    assert_eq!(spec["securityContext"]["runAsUser"], 4711);
    assert_eq!(spec["securityContext"]["fsGroup"], 4712);
    let volumes: Vec<_> = spec["volumes"].as_array().unwrap().iter().collect();
    assert_eq!(
        volumes,
        [
            &json!({"name": "recovery-home", "emptyDir": {"sizeLimit": "5Gi"}}),
            &json!({"name": "workspace-storage", "persistentVolumeClaim": {"claimName": "workspace-demo"}}),
            &json!({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1024Mi"}}),
            &json!({"name": "jupyter-k8s-keys", "configMap": {"name": "jupyter-k8s-assertion-keys", "optional": true}}),
            &json!({"name": "jupyter-k8s-run", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}),
            &json!({"name": "tmp", "emptyDir": {"sizeLimit": "5Gi"}}),
        ]
    );
    let field = "metadata.annotations['workspaces.jupyter.org/workspace-uid']";
    assert_eq!(
        spec["containers"],
        json!([{
            "name": "workspace",
            "image": "localhost/recovery:1",
            "imagePullPolicy": "IfNotPresent",
            "env": [
                {"name": "WORKSPACE_UID", "valueFrom": {"fieldRef": {"fieldPath": field}}},
                {"name": "WORKSPACE_ASSERTION_KEYS", "value": "/var/run/jupyter-k8s/keys"},
                {"name": "HOME", "value": "/home/jovyan"},
                {"name": "JUPYTER_PORT", "value": "9999"},
                {"name": "WORKSPACE_RUN_ID", "value": "run1"},
                {"name": "WORKSPACE_RECOVERY_DISK", "value": "/home/jovyan/disk"},
            ],
            "ports": [{"name": "http", "containerPort": 9999, "protocol": "TCP"}],
            "readinessProbe": {"periodSeconds": 1, "tcpSocket": {"port": "http"}},
            "resources": {"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [
                {"name": "recovery-home", "mountPath": "/home/jovyan"},
                {"name": "workspace-storage", "mountPath": "/home/jovyan/disk", "subPath": "work"},
                {"name": "shm", "mountPath": "/dev/shm"},
                {"name": "jupyter-k8s-keys", "mountPath": "/var/run/jupyter-k8s/keys", "readOnly": true},
                {"name": "jupyter-k8s-run", "mountPath": "/run/workspace"},
                {"name": "tmp", "mountPath": "/tmp"},
            ],
        }])
    );
    assert_eq!(
        pod["metadata"]["labels"]["team"], "ml",
        "policies select it by the template's labels"
    );
    assert_eq!(pod["metadata"]["annotations"]["mesh.org/inject"], "yes");
}

#[test]
fn labels_that_isolate_and_select_the_pod_are_those_of_the_ordinary_one() {
    assert_eq!(pod(true)["metadata"]["labels"], pod(false)["metadata"]["labels"]);
}
