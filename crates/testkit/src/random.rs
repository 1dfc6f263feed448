//! Random seed -> workspaces, templates and the objects that they refer to (pure).

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate, names};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::objects::object;

/// A field, values that every rule accepts, and values that a rule may refuse.
type Field = (&'static str, Vec<Value>, Vec<Value>);

#[expect(clippy::too_many_lines, reason = "a table")]
fn workspace_fields() -> Vec<Field> {
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
fn template_fields() -> Vec<Field> {
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
        ("defaultAccessType", vec![json!("Public")], vec![]),
        ("managerRef", vec![json!("main")], vec![]),
        ("executionProfileRef", vec![json!("id")], vec![]),
    ]
}

/// Template fields that let a workspace set everything.
const OPEN: [&str; 3] = [
    "allowCustomInitContainers",
    "allowCustomScheduling",
    "allowCustomSecurityContext",
];

/// A spec of some of these fields, with accepted values only, or with any values.
fn spec_of(fields: Vec<Field>, base: Value, wild: bool) -> impl Strategy<Value = Value> {
    prop::collection::vec(any::<(Index, Index)>(), fields.len()).prop_map(move |picks| {
        let mut spec = base.clone();
        for ((name, fine, wrong), (whether, which)) in fields.iter().zip(picks) {
            let mut values = fine.clone();
            // Only some values are refused ones. With all of them, hardly any workspace would be valid.
            if wild && whether.index(5) == 0 {
                values.clone_from(wrong);
            }
            if !values.is_empty() && whether.index(2) == 0 {
                spec[*name] = which.get(&values).clone();
            }
        }
        spec
    })
}

/// Specs of workspaces. `wild`: also with values that a rule may refuse.
pub fn workspace_spec(wild: bool) -> impl Strategy<Value = Value> {
    spec_of(workspace_fields(), json!({"displayName": "d"}), wild)
}

/// Specs of templates that let workspaces set everything. `wild`: also others, and with values that a rule may refuse.
pub fn template_spec(wild: bool) -> impl Strategy<Value = Value> {
    let mut base = json!({"displayName": "t", "defaultImage": "uv"});
    for name in OPEN {
        base[name] = json!(true);
    }
    (spec_of(template_fields(), base, wild), any::<bool>()).prop_map(move |(mut spec, open)| {
        if wild && !open {
            for name in OPEN {
                spec[name] = json!(false);
            }
        }
        spec
    })
}

/// The settings for all of them.
pub const SETTINGS: &str =
    "{defaultImage: uv, imageAliases: {uv: r/jupyter:1}, recoveryImage: r/recovery:1, admission: true}";

/// A workspace of this spec. `refers`: to [`template`].
pub fn workspace(spec: Value, refers: bool) -> Workspace {
    let mut spec = spec;
    if refers {
        spec["templateRef"] = json!("t");
    }
    object(json!({
        "metadata": {
            "name": "demo", "namespace": "team", "uid": "u-1", "labels": {"tier": "gold"},
            "annotations": {names::CREATED_BY: "alice"},
        },
        "spec": spec,
    }))
}

/// The template of this spec.
pub fn template(spec: &Value) -> WorkspaceTemplate {
    object(json!({"metadata": {"name": "t", "uid": "t-1"}, "spec": spec}))
}

/// The default manager.
pub fn manager() -> WorkspaceManager {
    object(json!({
        "metadata": {"name": "main", "annotations": {names::IS_DEFAULT: "true"}},
        "spec": {"routing": {"baseDomain": "b.org", "traefik": {}}, "authentication": {"gateway": {}}},
    }))
}

/// The execution profile to which workspaces and templates refer.
pub fn profile() -> WorkspaceExecutionProfile {
    object(json!({
        "metadata": {"name": "id"},
        "spec": {"serviceAccount": {"name": "runner"}, "env": [{"name": "P", "value": "1"}], "secretMounts": [{"secretName": "s", "mountPath": "/s"}]},
    }))
}
