//! Any JSON in the shape of the sources' kinds -> no panic, and each leaf told once (pure).

use std::cell::Cell;
use std::collections::BTreeSet;

use import::{Error, Import};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::{jupyter_k8s, kubeflow};

/// Any small value.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-zA-Z0-9{}$:/@. -]{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "1Gi",
            "500m",
            "Always",
            "/home/jovyan",
            "/dev/shm",
            "home",
            "http",
            "name"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let keys = prop::sample::select(vec![
            "name",
            "value",
            "image",
            "mountPath",
            "key",
            "claimName",
            "emptyDir",
            "stringData",
            "volumeMounts",
            "resources",
            "httpGet",
            "path",
            "a.b/c",
            "cpu",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(keys, inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

/// An object with some of these fields.
fn fields(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::collection::btree_map(prop::sample::select(names.to_vec()), value(), 0..5)
        .prop_map(|map| json!(map))
}

const CONTAINER: &[&str] = &[
    "name",
    "env",
    "envFrom",
    "resources",
    "command",
    "args",
    "ports",
    "volumeMounts",
    "livenessProbe",
    "startupProbe",
    "readinessProbe",
    "lifecycle",
    "securityContext",
    "workingDir",
    "stdin",
    "unknown",
];
const POD: &[&str] = &[
    "volumes",
    "initContainers",
    "tolerations",
    "affinity",
    "nodeSelector",
    "securityContext",
    "serviceAccountName",
    "automountServiceAccountToken",
    "imagePullSecrets",
    "hostNetwork",
    "hostAliases",
    "dnsConfig",
    "topologySpreadConstraints",
    "unknown",
];

fn mounts() -> impl Strategy<Value = (Value, Value)> {
    let volume = prop::sample::select(vec![
        json!({"persistentVolumeClaim": {"claimName": "c"}}),
        json!({"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}),
        json!({"secret": {"secretName": "s", "items": [{"key": "k"}]}}),
        json!({"hostPath": {"path": "/"}}),
        json!({"configMap": {"name": "m"}}),
        json!({"projected": {"sources": [{"downwardAPI": {}}]}}),
    ]);
    let path = prop::sample::select(vec!["/home/jovyan", "/dev/shm", "/data", "/etc", "here", "/a/.."]);
    prop::collection::vec((volume, path, any::<bool>()), 0..4).prop_map(|all| {
        let named = |index: usize, mut value: Value| {
            value["name"] = json!(format!("v{index}"));
            value
        };
        let volumes = all
            .iter()
            .enumerate()
            .map(|(index, (volume, ..))| named(index, volume.clone()));
        let mounts = all.iter().enumerate();
        let mounts = mounts.map(|(index, (_, path, read_only))| {
            named(index, json!({"mountPath": path, "readOnly": read_only}))
        });
        (volumes.collect(), mounts.collect())
    })
}

fn notebook() -> impl Strategy<Value = Value> {
    let parts = (
        fields(CONTAINER),
        fields(CONTAINER),
        fields(POD),
        mounts(),
        value(),
        any::<[bool; 3]>(),
    );
    parts.prop_map(|(mut main, second, mut pod, (volumes, mounts), extra, [two, mounted, labelled])| {
        main["image"] = json!("r.example.org/a:1");
        let mut second = second;
        if mounted {
            if two {
                second["volumeMounts"] = mounts.clone();
            }
            main["volumeMounts"] = mounts;
            pod["volumes"] = volumes;
        }
        pod["containers"] = if two { json!([main, second]) } else { json!([main]) };
        let labels = if labelled { json!({"a": "b"}) } else { extra.clone() };
        json!({
            "apiVersion": "kubeflow.org/v1", "kind": "Notebook",
            "metadata": {"name": "demo", "namespace": "team-a", "labels": labels, "annotations": extra, "managedFields": [{}]},
            "spec": {"template": {"spec": pod, "metadata": extra}, "other": extra}, "status": {"a": extra},
        })
    })
}

fn pod_default() -> impl Strategy<Value = Value> {
    let names = &[
        "env",
        "envFrom",
        "volumes",
        "volumeMounts",
        "tolerations",
        "annotations",
        "labels",
        "command",
        "args",
        "sidecars",
        "initContainers",
        "serviceAccountName",
        "imagePullSecrets",
        "desc",
    ];
    (fields(names), any::<bool>()).prop_map(|(mut spec, selects)| {
        spec["selector"] = json!({"matchLabels": {"a": if selects { "b" } else { "c" }}});
        json!({
            "apiVersion": "kubeflow.org/v1alpha1", "kind": "PodDefault",
            "metadata": {"name": "p", "namespace": "team-a"}, "spec": spec,
        })
    })
}

/// Paths of leaves, as the table has them.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    let is_plain = |key: &str| {
        !key.is_empty()
            && key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    match value {
        _ if at == "status" || at == "metadata.managedFields" => found.push(at.to_owned()),
        Value::Object(map) if !map.is_empty() => {
            for (key, inner) in map {
                let at = match at {
                    at if !is_plain(key) => format!("{at}[{key}]"),
                    "" => key.clone(),
                    at => format!("{at}.{key}"),
                };
                leaves(inner, &at, found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, inner) in items.iter().enumerate() {
                leaves(inner, &format!("{at}[{index}]"), found);
            }
        }
        _ => found.push(at.to_owned()),
    }
}

const WORKSPACE: &[&str] = &[
    "displayName",
    "desiredStatus",
    "ownershipType",
    "accessType",
    "resources",
    "storage",
    "volumes",
    "containerConfig",
    "env",
    "nodeSelector",
    "affinity",
    "tolerations",
    "lifecycle",
    "readinessProbe",
    "accessStrategy",
    "templateRef",
    "idleShutdown",
    "appType",
    "serviceAccountName",
    "podSecurityContext",
    "containerSecurityContext",
    "initContainers",
    "integrationTemplateRefs",
    "sharedMemory",
    "unknown",
];
const TEMPLATE: &[&str] = &[
    "displayName",
    "description",
    "allowedImages",
    "allowCustomImages",
    "defaultResources",
    "resourceBounds",
    "primaryStorage",
    "environmentVariables",
    "baseEnv",
    "envRequirements",
    "baseLabels",
    "labelRequirements",
    "allowSecondaryStorages",
    "defaultVolumes",
    "defaultContainerConfig",
    "defaultOwnershipType",
    "defaultAccessType",
    "defaultAccessStrategy",
    "defaultIdleShutdown",
    "idleShutdownOverrides",
    "defaultLifecycle",
    "defaultPodSecurityContext",
    "defaultInitContainers",
    "allowCustomInitContainers",
    "appType",
    "defaultSharedMemory",
    "unknown",
];

/// An object of the earlier jupyter-k8s.
fn earlier(kind: &'static str, names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let parts = (fields(names), value(), any::<[bool; 3]>());
    parts.prop_map(move |(mut spec, extra, [group, refers, labelled])| {
        spec["image"] = json!("r.example.org/a:1");
        spec["defaultImage"] = json!("r.example.org/a:1");
        if labelled {
            spec["accessStrategy"] = json!({"name": "web"});
            spec["defaultAccessStrategy"] = json!({"name": "web"});
        }
        if refers {
            spec["templateRef"] = json!({"name": "t", "namespace": "team-a"});
            spec["storage"] = json!({"size": "1Gi", "other": extra});
            spec["defaultIdleShutdown"] = json!({"enabled": true, "detection": {"httpGet": {"path": "/idle"}}});
        }
        let group = if group { "workspace" } else { "workspaces" };
        let name = if kind == "Workspace" { "demo" } else { "t" };
        let labels = if labelled {
            json!({"a": "b", "workspace.jupyter.org/template": "t"})
        } else {
            extra.clone()
        };
        json!({
            "apiVersion": format!("{group}.jupyter.org/v1alpha1"), "kind": kind,
            "metadata": {"name": name, "namespace": "team-a", "uid": "u", "labels": labels, "annotations": extra},
            "spec": spec, "status": {"a": extra},
        })
    })
}

/// An access strategy that changes pods.
fn strategy() -> impl Strategy<Value = Value> {
    let of_pod = &["additionalContainers", "initContainers", "volumes", "unknown"];
    let parts = (
        fields(of_pod),
        fields(CONTAINER),
        mounts(),
        value(),
        any::<bool>(),
    );
    parts.prop_map(|(mut pod, container, (volumes, mounts), extra, is_plain)| {
        if is_plain {
            pod["additionalContainers"] = json!([container]);
            pod["volumes"] = volumes;
            pod["primaryContainerModifications"] =
                json!({"volumeMounts": mounts, "mergeEnv": [{"name": "A", "valueTemplate": extra}, extra]});
        }
        json!({
            "apiVersion": "workspace.jupyter.org/v1alpha1", "kind": "WorkspaceAccessStrategy",
            "metadata": {"name": "web", "namespace": "team-a"},
            "spec": {"deploymentModifications": {"podModifications": pod, "other": extra}},
        })
    })
}

/// Each leaf of the objects, of these titles, is told once.
pub(crate) fn told_once(import: &Import, objects: &[(&Value, &str)]) -> Result<(), TestCaseError> {
    for (object, title) in objects {
        let mut expected = Vec::new();
        leaves(object, "", &mut expected);
        let told = import.entries.iter().filter(|entry| entry.object == *title);
        let told: Vec<_> = told.map(|entry| entry.path.clone()).collect();
        let set: BTreeSet<_> = told.iter().cloned().collect();
        prop_assert_eq!(told.len(), set.len(), "a leaf is told twice: {:?}", told);
        prop_assert_eq!(set, expected.into_iter().collect::<BTreeSet<_>>());
    }
    let texts = import.entries.iter().all(|entry| !entry.text.is_empty());
    prop_assert!(texts);
    Ok(())
}

/// Checks many sources, of which most are read: a converter that refuses each tells no leaf twice either. `check`: whether it is read.
pub(crate) fn check_all<S: Strategy>(sources: &S, check: impl Fn(S::Value) -> Result<bool, TestCaseError>) {
    let (read, refused) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(ProptestConfig::with_source_file(file!()));
    let outcome = runner.run(sources, |source| {
        let counter = if check(source)? { &read } else { &refused };
        counter.set(counter.get() + 1);
        Ok(())
    });
    outcome.unwrap();
    let (read, refused) = (read.into_inner(), refused.into_inner());
    assert!(read > refused, "{read} are read, {refused} refused");
}

/// Each leaf of the objects, of these titles, is told once; or the source is refused with its place.
fn check(
    convert: fn(&str) -> Result<Import, Error>,
    objects: &[(&Value, &str)],
) -> Result<bool, TestCaseError> {
    let items: Vec<_> = objects.iter().map(|(object, _)| object).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    match convert(&list.to_string()) {
        Ok(import) => told_once(&import, objects).map(|()| true),
        Err(Error::Unreadable(words) | Error::Usage(words)) => {
            prop_assert!(words.contains("source.yaml: document 1, items["), "{}", words);
            Ok(false)
        }
        Err(Error::Bug(words)) => Err(TestCaseError::fail(format!("{words}\n{list}"))),
    }
}

#[test]
fn every_leaf_is_told_once_whatever_the_source_holds() {
    check_all(&(notebook(), pod_default()), |(notebook, pod_default)| {
        let objects = [
            (&notebook, "Notebook team-a/demo"),
            (&pod_default, "PodDefault team-a/p"),
        ];
        check(kubeflow, &objects)
    });
}

#[test]
fn every_leaf_of_the_earlier_jupyter_k8s_is_told_once() {
    check_all(
        &(
            earlier("Workspace", WORKSPACE),
            earlier("WorkspaceTemplate", TEMPLATE),
            strategy(),
        ),
        |(workspace, template, strategy)| {
            let objects = [
                (&workspace, "Workspace team-a/demo"),
                (&template, "WorkspaceTemplate team-a/t"),
                (&strategy, "WorkspaceAccessStrategy team-a/web"),
            ];
            check(jupyter_k8s, &objects)
        },
    );
}
