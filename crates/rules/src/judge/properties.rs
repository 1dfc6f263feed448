//! What holds for every workspace and template, whatever they say.

use api::workspace::{ResourceRequirements, Storage};
use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceSpec, WorkspaceTemplate};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};

use crate::defaults::{Effective, Home, effective};
use crate::references::References;
use crate::rejection::Rejection;
use crate::settings::Settings;
use crate::{admit, judge};

/// A field, values that every rule admits, and values that some rule may refuse.
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
                json!([{"name": "="}]),
                json!([{"name": "A", "valueFrom": {}}]),
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
            vec![json!({})],
        ),
        (
            "nodeSelector",
            vec![json!({"pool": "a"})],
            vec![json!({"a b": "c"})],
        ),
        ("affinity", vec![json!({"nodeAffinity": {}})], vec![]),
        (
            "tolerations",
            vec![json!([{"operator": "Exists"}])],
            vec![json!([{"operator": "In"}])],
        ),
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
            "variables",
            vec![json!({"course": "ml", "a.b": "{x}"})],
            vec![json!({"workspace.name": "x"}), json!({"course": "a b"})],
        ),
        (
            "idleShutdown",
            vec![
                json!({"idleTimeoutInMinutes": 30}),
                json!({"detection": {"httpGet": {"port": 9000}}}),
            ],
            vec![
                json!({"enabled": false}),
                json!({"idleTimeoutInMinutes": 600}),
                json!({"detection": {"httpGet": {"path": "/x"}}}),
            ],
        ),
        ("ownershipType", vec![json!("Public")], vec![]),
        ("accessType", vec![json!("Public"), json!("OwnerOnly")], vec![]),
        ("managerRef", vec![json!("main")], vec![json!("none")]),
        ("executionProfileRef", vec![json!("id")], vec![]),
    ]
}

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
            vec![json!({"maxIdleTimeoutInMinutes": 120})],
            vec![json!({"allow": false}), json!({"minIdleTimeoutInMinutes": 50})],
        ),
        ("defaultAccessType", vec![json!("Public")], vec![]),
        ("managerRef", vec![json!("main")], vec![]),
        ("executionProfileRef", vec![json!("id")], vec![]),
    ]
}

/// Switches that let a workspace say everything.
const OPEN: [&str; 3] = [
    "allowCustomInitContainers",
    "allowCustomScheduling",
    "allowCustomSecurityContext",
];

/// A spec of some of these fields. Only admitted values, or any.
fn spec_of(fields: Vec<Field>, base: Value, wild: bool) -> impl Strategy<Value = Value> {
    prop::collection::vec(any::<(Index, Index)>(), fields.len()).prop_map(move |picks| {
        let mut spec = base.clone();
        for ((name, fine, wrong), (whether, which)) in fields.iter().zip(picks) {
            let mut values = fine.clone();
            // Some refused values, not all: with all of them hardly any workspace would be valid.
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

fn workspace_spec(wild: bool) -> impl Strategy<Value = Value> {
    spec_of(workspace_fields(), json!({"displayName": "d"}), wild)
}

fn template_spec(wild: bool) -> impl Strategy<Value = Value> {
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

fn settings() -> Settings {
    Settings::parse("{defaultImage: uv, imageAliases: {uv: r/jupyter:1}, admission: true}").unwrap()
}

fn workspace(spec: Value, refers: bool) -> Workspace {
    let mut spec = spec;
    if refers {
        spec["templateRef"] = json!("t");
    }
    serde_json::from_value(json!({
        "metadata": {
            "name": "demo", "namespace": "team", "uid": "u-1", "labels": {"tier": "gold"},
            "annotations": {api::names::CREATED_BY: "alice"},
        },
        "spec": spec,
    }))
    .unwrap()
}

fn template(spec: &Value) -> WorkspaceTemplate {
    serde_json::from_value(json!({"metadata": {"name": "t", "uid": "t-1"}, "spec": spec})).unwrap()
}

fn manager() -> WorkspaceManager {
    serde_json::from_value(json!({
        "metadata": {"name": "main", "annotations": {api::names::IS_DEFAULT: "true"}},
        "spec": {"routing": {"baseDomain": "b.org", "traefik": {}}, "authentication": {"gateway": {}}},
    }))
    .unwrap()
}

fn profile() -> WorkspaceExecutionProfile {
    serde_json::from_value(json!({
        "metadata": {"name": "id"},
        "spec": {"serviceAccount": {"name": "runner"}, "env": [{"name": "P", "value": "1"}], "secretMounts": [{"secretName": "s", "mountPath": "/s"}]},
    }))
    .unwrap()
}

/// A workspace that says itself what it amounts to.
fn written(spec: &WorkspaceSpec, effective: &Effective) -> WorkspaceSpec {
    let (mount_path, sub_path) = (effective.home.mount_path().to_owned(), effective.home.sub_path());
    let storage = Storage {
        mount_path: Some(mount_path),
        sub_path: sub_path.map(str::to_owned),
        ..Storage::default()
    };
    let pod = effective.pod.clone();
    WorkspaceSpec {
        image: Some(effective.image.clone()),
        resources: Some(ResourceRequirements::clone(&effective.resources)),
        storage: match &effective.home {
            Home::Disk {
                size, class, retain, ..
            } => Some(Storage {
                size: Some(size.clone()),
                storage_class_name: class.clone(),
                retain: Some(*retain),
                ..storage
            }),
            Home::Claim { name, .. } => Some(Storage {
                claim_name: Some(name.clone()),
                ..storage
            }),
            Home::Ephemeral { .. } => None,
        },
        shm_size: effective.shm_size.clone(),
        volumes: effective.volumes.clone(),
        port: Some(effective.port),
        container_config: Some(effective.container.clone()),
        env: effective.env.clone(),
        init_containers: pod.init_containers,
        lifecycle: pod.lifecycle,
        readiness_probe: pod.readiness_probe,
        node_selector: pod.node_selector,
        affinity: pod.affinity,
        tolerations: pod.tolerations,
        pod_security_context: pod.pod_security_context,
        container_security_context: pod.container_security_context,
        ownership_type: Some(effective.ownership),
        access_type: Some(effective.access),
        manager_ref: effective.manager_ref.clone(),
        execution_profile_ref: effective.profile_ref.clone(),
        ..spec.clone()
    }
}

/// `value` with one leaf or branch, that `at` points to, replaced.
fn replaced(value: &Value, at: &mut usize, by: &Value) -> Value {
    if *at == 0 {
        *at = usize::MAX;
        return by.clone();
    }
    *at = at.saturating_sub(1);
    match value {
        Value::Array(items) => items.iter().map(|item| replaced(item, at, by)).collect(),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| (key.clone(), replaced(value, at, by)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[{}$.a-z/:]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("\\PC{0,6}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn what_judge_finds_right_is_admitted_and_nothing_else(
        spec in workspace_spec(true), of_template in template_spec(true), refers: bool, managed: bool, identified: bool
    ) {
        let (workspace, template, manager, profile) =
            (workspace(spec, refers), template(&of_template), manager(), profile());
        let references = References::managed_by(managed.then_some(&manager))
            .with_template(refers.then_some(&template))
            .with_profile(identified.then_some(&profile));
        let judgement = judge(&workspace, &references, &settings());
        match admit(&workspace, &references, &settings()) {
            Ok(valid) => {
                prop_assert_eq!(judgement.violations, None);
                prop_assert_eq!(judgement.not_yet, None);
                prop_assert_eq!(valid.image, judgement.effective.image);
            }
            Err(Rejection::Violations(found)) => prop_assert_eq!(Some(found), judgement.violations),
            Err(Rejection::NotYet(not_yet)) => {
                prop_assert_eq!(judgement.violations, None);
                prop_assert_eq!(Some(not_yet), judgement.not_yet);
            }
        }
    }

    #[test]
    fn parts_that_are_right_are_right_together(spec in workspace_spec(false), of_template in template_spec(false), refers: bool) {
        let (workspace, template, manager, profile) = (workspace(spec, refers), template(&of_template), manager(), profile());
        let references = References::managed_by([&manager])
            .with_template(refers.then_some(&template))
            .with_profile(Some(&profile));
        let found = judge(&workspace, &references, &settings());
        prop_assert_eq!(found.violations.map(|found| found.to_string()), None);
    }

    #[test]
    fn effective_values_written_into_the_spec_are_effective_again(
        spec in workspace_spec(true), of_template in template_spec(true), refers: bool
    ) {
        let (workspace, template) = (workspace(spec, refers), template(&of_template));
        let template = refers.then_some(&template.spec);
        let once = effective(&workspace.spec, template, &settings());
        let again = effective(&written(&workspace.spec, &once), template, &settings());
        prop_assert_eq!(once, again);
    }

    #[test]
    fn nothing_that_parses_makes_the_rules_panic(
        spec in workspace_spec(true), of_template in template_spec(true), at in 0_usize..90, by in any_json(), in_template: bool
    ) {
        let (mut spec, mut of_template) = (spec, of_template);
        spec["templateRef"] = json!("t");
        let target = if in_template { &mut of_template } else { &mut spec };
        *target = replaced(target, &mut at.clone(), &by);
        let object = |spec: &Value| json!({"metadata": {"name": "demo", "namespace": "n", "uid": "u"}, "spec": spec});
        if let (Ok(workspace), Ok(template)) = (
            serde_json::from_value::<Workspace>(object(&spec)),
            serde_json::from_value::<WorkspaceTemplate>(object(&of_template)),
        ) {
            let manager = manager();
            let references = References::managed_by([&manager]).with_template(Some(&template));
            let judgement = judge(&workspace, &references, &settings());
            prop_assert_eq!(
                admit(&workspace, &references, &settings()).is_ok(),
                judgement.violations.is_none() && judgement.not_yet.is_none()
            );
        }
    }
}
