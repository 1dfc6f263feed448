//! Fields of workspaces and templates -> values that every rule takes, and others (pure).

use serde_json::{Value, json};

/// A field, values that every rule accepts, and values that a rule may refuse.
pub(super) type Field = (&'static str, Vec<Value>, Vec<Value>);

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn workspace_fields() -> Vec<Field> {
    vec![
        (
            "image",
            vec![json!("uv"), json!("r/jupyter:1")],
            vec![json!("evil:1"), json!("a b")],
        ),
        (
            "resources",
            vec![
                json!({"requests": {"cpu": "200m"}}),
                json!({"limits": {"cpu": "0.5", "memory": "512Mi"}}),
            ],
            vec![
                json!({"limits": {"cpu": "9"}}),
                json!({"requests": {"nvidia.com/gpu": 1}}),
                json!({"limits": {"memory": "x"}}),
            ],
        ),
        (
            "storage",
            vec![
                json!({"size": "2Gi", "retain": "Retain"}),
                json!({"claimName": "mine", "subPath": "a"}),
                json!({"mountPath": "/home/else"}),
            ],
            vec![
                json!({"size": "1Ti"}),
                json!({"claimName": "c", "size": "1Gi"}),
                json!({"mountPath": "/tmp"}),
            ],
        ),
        ("shmSize", vec![json!("64Mi")], vec![json!("1Ti"), json!("0")]),
        (
            "volumes",
            vec![json!([{"name": "own", "persistentVolumeClaimName": "own", "mountPath": "/own"}])],
            vec![
                json!([{"name": "shm", "persistentVolumeClaimName": "x", "mountPath": "/x"}]),
                json!([{"name": "x", "persistentVolumeClaimName": "workspace-demo", "mountPath": "/dev/shm"}]),
            ],
        ),
        ("port", vec![json!(9999)], vec![json!(80)]),
        (
            "containerConfig",
            vec![json!({"command": ["a"]}), json!({"args": ["b", "$(HOME)"]})],
            vec![],
        ),
        (
            "env",
            vec![json!([{"name": "TEAM", "value": "ml"}, {"name": "X", "value": "{workspace.name}"}])],
            vec![
                json!([{"name": "TEAM", "value": "ML"}]),
                json!([{"name": "WORKSPACE_RUN_ID", "value": "x"}]),
                json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "S_", "key": "k"}}}]),
            ],
        ),
        (
            "initContainers",
            vec![
                json!([{"name": "a", "image": "uv", "volumeMounts": [{"name": "workspace-storage", "mountPath": "/h"}]}]),
                json!([{"name": "b", "image": "r/jupyter:1", "resources": {"limits": {"cpu": "1"}}}]),
            ],
            vec![
                json!([{"name": "a", "image": "evil:1", "securityContext": {"privileged": true}}]),
                json!([{"name": "a", "image": "uv", "restartPolicy": "Always", "resources": {"limits": {"cpu": "4"}}}]),
                json!([{"name": "workspace"}]),
            ],
        ),
        (
            "lifecycle",
            vec![json!({"preStop": {"exec": {"command": ["x"]}}})],
            vec![json!({"preStop": {"httpGet": {"port": 1, "host": "h"}}})],
        ),
        (
            "readinessProbe",
            vec![json!({"httpGet": {"port": "http", "path": "/api"}})],
            vec![json!({"tcpSocket": {"port": 1, "host": "h"}})],
        ),
        ("nodeSelector", vec![json!({"pool": "a"})], vec![]),
        (
            "affinity",
            vec![json!({"nodeAffinity": {}})],
            vec![
                json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "a", "namespaceSelector": {}}]}}),
            ],
        ),
        ("tolerations", vec![json!([{"operator": "Exists"}])], vec![]),
        (
            "podSecurityContext",
            vec![json!({"runAsUser": 5})],
            vec![
                json!({"runAsUser": 0}),
                json!({"sysctls": [{"name": "x", "value": "y"}]}),
            ],
        ),
        (
            "containerSecurityContext",
            vec![json!({"readOnlyRootFilesystem": false})],
            vec![json!({"privileged": true})],
        ),
        (
            "podAnnotations",
            // Without a template, no rule allows them.
            vec![],
            vec![
                json!({"x.org/team": "ml"}),
                json!({"y.org/team": "ml", "node.k8s.io/x": "y", "a b": "c"}),
            ],
        ),
        (
            "options",
            // Without a template, there is none.
            vec![],
            vec![
                json!({"gpu": "a100"}),
                json!({"gpu": "none"}),
                json!({"gpu": "k80", "none": "x"}),
            ],
        ),
        (
            "variables",
            vec![json!({"course": "ml", "a.b": "{x}"})],
            vec![json!({"workspace.name": "x"}), json!({"course": "a b"})],
        ),
        (
            "idleShutdown",
            vec![
                json!({"idleTimeoutInMinutes": 30}),
                json!({"openTabMinutes": 30}),
                json!({"detection": {"httpGet": {"port": 9000}}}),
            ],
            vec![
                json!({"enabled": false}),
                json!({"idleTimeoutInMinutes": 600}),
                json!({"detection": {"httpGet": {"path": "/x"}}}),
            ],
        ),
        (
            "limits",
            vec![
                json!({"startTimeoutMinutes": 20}),
                json!({"maxAgeMinutes": 600}),
                json!({}),
            ],
            vec![
                json!({"startTimeoutMinutes": 0}),
                json!({"startTimeoutMinutes": 90}),
                json!({"maxAgeMinutes": 1500, "failedTimeoutMinutes": 0}),
            ],
        ),
        ("ownershipType", vec![json!("Public")], vec![]),
        ("accessType", vec![json!("Public"), json!("OwnerOnly")], vec![]),
        ("managerRef", vec![json!("main")], vec![json!("none")]),
        ("executionProfileRef", vec![json!("id")], vec![]),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn template_fields() -> Vec<Field> {
    vec![
        (
            "allowedImages",
            vec![json!(["r/jupyter:1", "other:1"])],
            vec![json!(["evil:1"])],
        ),
        ("allowCustomImages", vec![json!(true)], vec![]),
        (
            "defaultResources",
            vec![json!({"requests": {"cpu": "250m"}, "limits": {"cpu": "1"}})],
            vec![json!({"limits": {"cpu": "100"}})],
        ),
        (
            "resourceBounds",
            vec![
                json!({"cpu": {"min": "50m", "max": "2"}, "memory": {"max": "4Gi"}, "resources": {"example.org/fpga": {"max": 2}}}),
            ],
            vec![
                json!({"cpu": {"min": 3, "max": 2}}),
                json!({"resources": {"memory": {"max": "100Mi"}, "ephemeral-storage": {"max": "1Gi"}}}),
            ],
        ),
        (
            "primaryStorage",
            vec![
                json!({"defaultSize": "1Gi", "maxSize": "5Gi", "defaultMountPath": "/home/{workspace.name}"}),
            ],
            vec![json!({"minSize": "2Gi", "maxSize": "1Gi"})],
        ),
        ("maxShmSize", vec![json!("1Gi")], vec![json!("1Mi")]),
        (
            "environmentVariables",
            vec![json!([{"name": "TEAM", "value": "ops"}, {"name": "URL", "value": "{workspace.host}"}])],
            vec![json!([{"name": "A", "value": "{no.such}"}])],
        ),
        (
            "envRequirements",
            vec![json!([{"name": "TEAM", "regex": "[a-z]+"}])],
            vec![
                json!([{"name": "COST", "required": true}]),
                json!([{"name": "A", "regex": "("}]),
            ],
        ),
        (
            "labelRequirements",
            vec![json!([{"name": "tier", "regex": "gold"}])],
            vec![json!([{"name": "cost", "required": true}])],
        ),
        (
            "defaultVolumes",
            vec![
                json!([{"name": "data", "persistentVolumeClaimName": "data-{workspace.namespace}", "mountPath": "/data"}]),
            ],
            vec![json!([{"name": "data", "persistentVolumeClaimName": "{course}", "mountPath": "/own"}])],
        ),
        ("allowSecondaryStorages", vec![], vec![json!(false)]),
        (
            "baseLabels",
            vec![json!([{"name": "of", "value": "{workspace.name}"}])],
            vec![json!([{"name": "course", "value": "{course}"}])],
        ),
        (
            "baseAnnotations",
            vec![json!([{"name": "x.org/of", "value": "{workspace.name} {owner.name}"}])],
            vec![json!([{"name": "{course}", "value": "\u{0}"}])],
        ),
        (
            "allowedPodAnnotations",
            vec![json!(["x.org/"])],
            vec![json!(["kubernetes.io/"])],
        ),
        ("appType", vec![json!("jupyterlab")], vec![]),
        ("defaultPort", vec![json!(8080)], vec![json!(1)]),
        ("defaultShmSize", vec![json!("128Mi")], vec![json!("1Ti")]),
        (
            "defaultContainerConfig",
            vec![json!({"args": ["--base", "{workspace.name}"]})],
            vec![],
        ),
        (
            "defaultNodeSelector",
            vec![json!({"ns": "{workspace.namespace}"})],
            vec![],
        ),
        (
            "defaultTolerations",
            vec![json!([{"key": "a", "operator": "Exists"}])],
            vec![],
        ),
        (
            "defaultInitContainers",
            vec![
                json!([{"name": "t", "image": "tools:1", "restartPolicy": "Always", "resources": {"limits": {"cpu": "10m", "memory": "10Mi", "ephemeral-storage": "1Mi"}}}]),
            ],
            vec![json!([{"name": "t"}])],
        ),
        (
            "defaultPodSecurityContext",
            vec![json!({"fsGroup": 7})],
            vec![json!({"runAsUser": 0})],
        ),
        ("podSecurity", vec![json!("Baseline")], vec![]),
        (
            "defaultIdleShutdown",
            vec![json!({"idleTimeoutInMinutes": 45}), json!({"enabled": false})],
            vec![json!({"idleTimeoutInMinutes": 0})],
        ),
        (
            "idleShutdownOverrides",
            vec![
                json!({"maxIdleTimeoutInMinutes": 120}),
                json!({"maxOpenTabMinutes": 60}),
            ],
            vec![json!({"allow": false}), json!({"minIdleTimeoutInMinutes": 50})],
        ),
        (
            "defaultLimits",
            vec![json!({"startTimeoutMinutes": 30, "maxAgeMinutes": 720})],
            vec![json!({"startTimeoutMinutes": 70})],
        ),
        (
            "limitBounds",
            vec![
                json!({"startTimeoutMinutes": {"min": 10, "max": 60}, "maxAgeMinutes": {"max": 1440}, "keepMinutes": {"max": 60}}),
            ],
            vec![json!({"startTimeoutMinutes": {"min": 3, "max": 2}})],
        ),
        (
            "options",
            vec![json!([{"name": "gpu", "choices": [
                {"name": "none", "default": true, "set": {
                    "variables": {"kind": "cpu"}, "env": [{"name": "KIND", "value": "{kind}"}], "podLabels": {"kind": "{kind}"},
                    "nodeSelector": {"kind": "{kind}"}, "resources": {"limits": {"memory": "2Gi"}},
                }},
                {"name": "a100", "set": {"image": "r/gpu:1", "args": ["{course}"]}},
            ]}])],
            vec![
                json!([{"name": "gpu", "when": {"none": ["x"]}, "choices": [{"name": "a100", "set": {"image": "{course}", "shmSize": "1Ti"}}]}]),
            ],
        ),
        (
            "volumeClaims",
            vec![json!([{"name": "db", "mountPath": "/db", "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
                "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "golden"},
            }}])],
            vec![
                json!([{"name": "db", "mountPath": "/dev/shm", "when": {"gpu": ["a100"]}, "spec": {
                    "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}},
                    "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "{course}"},
                }}]),
            ],
        ),
        (
            "podTemplate",
            vec![json!({
                "metadata": {"labels": {"team": "ml"}, "annotations": {"x.org/sidecar": "{print}"}},
                "spec": {
                    "containers": [
                        {"name": "workspace", "volumeMounts": [{"name": "files", "mountPath": "/files"}]},
                        {
                            "name": "sidecar", "image": "r/db:1", "envFrom": [{"secretRef": {"name": "creds"}}],
                            "resources": {"limits": {"cpu": "10m", "memory": "16Mi"}},
                            "volumeMounts": [{"name": "workspace-storage", "mountPath": "/home"}],
                        },
                    ],
                    "volumes": [{"name": "files", "secret": {"secretName": "files"}}],
                    "terminationGracePeriodSeconds": 5,
                },
            })],
            vec![
                json!({"spec": {"hostNetwork": true, "containers": [{"name": "workspace", "image": "x"}, {"name": "workspace"}]}}),
                json!({
                    "metadata": {"labels": {"team": "ml", "of": "x"}},
                    "spec": {"volumes": [
                        {"name": "own", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "{course}"}}},
                        {"name": "db", "persistentVolumeClaim": {"claimName": "{pvcs.db}"}},
                    ]},
                }),
            ],
        ),
        (
            "objects",
            vec![json!([{"name": "monitor", "manifest": {
                "apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor",
                "spec": {"selector": {"matchLabels": {"workspace": "{workspace.name}"}}},
            }}])],
            vec![
                json!([{"name": "monitor", "when": {"gpu": ["a100"]}, "manifest": {"apiVersion": "v1", "kind": "Secret"}}]),
            ],
        ),
        ("defaultAccessType", vec![json!("Public")], vec![]),
        ("managerRef", vec![json!("main")], vec![]),
        ("executionProfileRef", vec![json!("id")], vec![]),
    ]
}
