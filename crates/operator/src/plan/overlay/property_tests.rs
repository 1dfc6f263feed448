//! Each field of a pod -> it reaches the pod unchanged, or is refused by name (pure).
//!
//! The fields are those of the definition, which come from the schema of the Kubernetes version that `k8s-openapi` is compiled for. The
//! workspace sets all that it can, so whatever the generated pod replaces shows.

use std::fmt::Write as _;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceTemplate};
use rules::References;
use serde_json::{Value, json};
use testkit::objects;

use crate::{plan, testing};

/// A step from a value to a part of it.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    First,
}

/// A field of a pod with a value.
#[derive(Clone, Debug)]
struct Leaf {
    steps: Vec<Step>,
    value: Value,
}

/// The schema of `spec.podTemplate.spec`.
fn schema() -> Value {
    let crds = api::crds().into_iter();
    let mut names = crds.filter(|crd| crd.spec.names.kind == "WorkspaceTemplate");
    let schema = json!(names.next().unwrap().spec.versions[0].schema);
    schema["openAPIV3Schema"]["properties"]["spec"]["properties"]["podTemplate"]["properties"]["spec"].clone()
}

/// A value of the field, of its type.
fn sample(field: &str, schema: &Value) -> Value {
    if schema["x-kubernetes-int-or-string"] == true {
        return json!("7");
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (_, Some("date-time")) => json!("2026-01-01T00:00:00Z"),
        (Some("string"), _) => match field {
            "mountPath" | "devicePath" => json!("/sample"),
            "image" => json!("r.example.com/sample:1"),
            // Of a security profile, beside which its file is named.
            "type" => json!("Localhost"),
            _ => json!("sample"),
        },
        (Some("boolean"), _) => json!(true),
        (Some("object"), _) => json!({}),
        (Some("array"), _) => json!([]),
        _ => json!(7),
    }
}

/// The fields of a value with this schema.
fn leaves(field: &str, schema: &Value, steps: &[Step], found: &mut Vec<Leaf>) {
    let then = |step: Step| [steps, &[step]].concat();
    if let Some(properties) = schema["properties"].as_object() {
        for (key, schema) in properties {
            leaves(key, schema, &then(Step::Key(key.clone())), found);
        }
    } else if schema["additionalProperties"].is_object() {
        let key = Step::Key("sample".to_owned());
        leaves("sample", &schema["additionalProperties"], &then(key), found);
    } else if schema["items"].is_object() {
        leaves(field, &schema["items"], &then(Step::First), found);
    } else {
        let value = sample(field, schema);
        let steps = steps.to_vec();
        found.push(Leaf { steps, value });
    }
}

/// Sets the leaf in `place`, with what is required beside it.
fn put(place: &mut Value, schema: &Value, steps: &[Step], value: &Value) {
    let Some((step, rest)) = steps.split_first() else {
        *place = value.clone();
        return;
    };
    match step {
        Step::First => {
            if !place.is_array() {
                *place = json!([]);
            }
            let items = place.as_array_mut().unwrap();
            if items.is_empty() {
                items.push(Value::Null);
            }
            put(&mut items[0], &schema["items"], rest, value);
        }
        Step::Key(key) => {
            if !place.is_object() {
                *place = json!({});
                for name in schema["required"].as_array().into_iter().flatten() {
                    let name = name.as_str().unwrap();
                    place[name] = sample(name, &schema["properties"][name]);
                }
            }
            let inner = match &schema["properties"][key] {
                Value::Null => &schema["additionalProperties"],
                known => known,
            };
            put(&mut place[key], inner, rest, value);
        }
    }
}

/// The leaf in a pod. Containers and volumes are found by their name in `given`.
fn get<'a>(pod: &'a Value, given: &Value, steps: &[Step]) -> Option<&'a Value> {
    let mut place = (pod, given);
    for step in steps {
        place = match step {
            Step::Key(key) => (place.0.get(key)?, &place.1[key]),
            Step::First => {
                let given = &place.1[0];
                let mut items = place.0.as_array()?.iter();
                let named = |it: &&Value| given["name"].is_null() || it["name"] == given["name"];
                (items.find(named)?, given)
            }
        };
    }
    Some(place.0)
}

fn path(steps: &[Step]) -> String {
    let mut path = "spec.podTemplate.spec".to_owned();
    for step in steps {
        match step {
            Step::Key(key) => write!(path, ".{key}").unwrap(),
            Step::First => path.push_str("[0]"),
        }
    }
    path
}

/// A pod with one container of this list and name, which the leaves of its fields change.
fn base(list: &str, name: &str) -> Value {
    let amounts = json!({"cpu": "10m", "memory": "16Mi"});
    let mut container = json!({"name": name});
    if name != "workspace" {
        container["image"] = json!("r.example.com/other:1");
        container["resources"] = json!({"requests": amounts, "limits": amounts});
    }
    let mut pod = json!({"volumes": [{"name": "sample", "emptyDir": {}}]});
    pod[list] = json!([container]);
    pod
}

/// All fields, each in a pod that has it: of the pod, of the application, of a sidecar and of an init container.
fn cases() -> Vec<(Leaf, Value)> {
    let schema = schema();
    let mut found = Vec::new();
    leaves("", &schema, &[], &mut found);
    let mut cases = Vec::new();
    for leaf in found {
        let Step::Key(field) = &leaf.steps[0] else {
            unreachable!()
        };
        let names: &[&str] = match field.as_str() {
            "containers" => &["workspace", "sidecar"],
            "initContainers" => &["init"],
            _ => &[""],
        };
        for name in names {
            let mut pod = match (*name, field.as_str()) {
                ("", "volumes") => json!({}),
                ("", _) => base("containers", "sidecar"),
                _ => base(field, name),
            };
            if !name.is_empty() && leaf.steps[2..] == [Step::Key("name".to_owned())] {
                // The name says which container it is.
                continue;
            }
            put(&mut pod, &schema, &leaf.steps, &leaf.value);
            cases.push((leaf.clone(), pod));
        }
    }
    cases
}

/// A workspace that sets all that it can.
fn workspace() -> Workspace {
    let mut workspace = json!(objects::workspace("demo"));
    workspace["spec"] = json!({
        "displayName": "d",
        "templateRef": "t",
        "executionProfileRef": "p",
        "image": "ws:1",
        "storage": {"size": "1Gi"},
        "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "shmSize": "64Mi",
        "port": 9999,
        "containerConfig": {"command": ["c"], "args": ["a"]},
        "env": [{"name": "A", "value": "b"}],
        "initContainers": [{"name": "own", "image": "i:1"}],
        "lifecycle": {"postStart": {"exec": {"command": ["c"]}}, "preStop": {"exec": {"command": ["c"]}}},
        "readinessProbe": {"exec": {"command": ["c"]}, "periodSeconds": 2},
        "volumes": [{"name": "more", "persistentVolumeClaimName": "c", "mountPath": "/more"}],
        "podAnnotations": {"ws.org/a": "x"},
        "nodeSelector": {"zone": "a"},
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "preference": {"matchExpressions": [{"key": "k", "operator": "Exists"}]}},
        ]}},
        "tolerations": [{"key": "k", "operator": "Exists"}],
        "podSecurityContext": {"runAsUser": 4711},
        "containerSecurityContext": {"runAsGroup": 4711},
    });
    serde_json::from_value(workspace).unwrap()
}

fn template(pod: &Value) -> WorkspaceTemplate {
    let mut template = json!(objects::template("t"));
    template["spec"] = json!({
        "displayName": "t",
        "defaultImage": "t:1",
        "allowCustomImages": true,
        "allowCustomInitContainers": true,
        "allowCustomScheduling": true,
        "allowCustomSecurityContext": true,
        "allowedPodAnnotations": ["ws.org/"],
        "hostUsers": false,
        "podTemplate": {"spec": pod},
    });
    serde_json::from_value(template).unwrap()
}

fn profile() -> WorkspaceExecutionProfile {
    objects::execution_profile(
        "p",
        &json!({
            "serviceAccount": {"name": "p-account"},
            "automountToken": true,
            "imagePullSecrets": [{"name": "p-pull"}],
            "priorityClassName": "p-class",
            "runtimeClassName": "p-runtime",
            "secretMounts": [{"secretName": "p-secret", "mountPath": "/s"}],
            "projectedTokens": [{"audience": "p-audience", "path": "/t/token"}],
        }),
    )
}

/// The pod of the workspace, or the fields for which its template is refused.
fn plan(pod: &Value) -> Result<Value, Vec<String>> {
    let template = template(pod);
    let found = rules::validate::template(&template.spec, &testing::settings());
    if !found.is_empty() {
        return Err(found.into_iter().map(|violation| violation.field).collect());
    }
    let (manager, profile) = (objects::manager("main"), profile());
    let references = References::managed_by([&manager])
        .with_template(Some(&template))
        .with_profile(Some(&profile));
    let valid = rules::admit(&workspace(), &references, &testing::settings()).unwrap();
    let planned = plan::run(&valid, &testing::installation(), "run1");
    // What a template may have, a finished pod may have.
    assert_eq!(plan::violations(&valid, &planned), None, "{pod}");
    Ok(json!(planned)["spec"].take())
}

#[test]
fn every_field_reaches_the_pod_unchanged_or_is_refused_by_name() {
    let cases = cases();
    assert!(cases.len() > 800, "{}", cases.len());
    let mut lost = Vec::new();
    let mut reach = Vec::new();
    for (leaf, pod) in &cases {
        let path = path(&leaf.steps);
        match plan(pod) {
            Ok(planned) if get(&planned, pod, &leaf.steps) == Some(&leaf.value) => reach.push(path),
            Ok(planned) => lost.push(format!("{path}: {:?}", get(&planned, pod, &leaf.steps))),
            Err(fields) => {
                let is_part = |field: &String| field.starts_with("spec.podTemplate.spec.");
                let names =
                    |field: &String| is_part(field) && (path.starts_with(field) || field.starts_with(&path));
                if !fields.iter().any(names) {
                    lost.push(format!("{path}: refused as {fields:?}"));
                }
            }
        }
    }
    assert_eq!(lost, [""; 0], "{} of {}", lost.len(), cases.len());
    for field in [
        "containers[0].livenessProbe.httpGet.port",
        "containers[0].startupProbe.exec.command[0]",
        "containers[0].envFrom[0].secretRef.name",
        "containers[0].workingDir",
        "dnsConfig.nameservers[0]",
        "hostAliases[0].hostnames[0]",
        "imagePullSecrets[0].name",
        "initContainers[0].args[0]",
        "readinessGates[0].conditionType",
        "resourceClaims[0].resourceClaimTemplateName",
        "schedulerName",
        "schedulingGates[0].name",
        "shareProcessNamespace",
        "terminationGracePeriodSeconds",
        "topologySpreadConstraints[0].maxSkew",
        "volumes[0].configMap.items[0].path",
        "volumes[0].persistentVolumeClaim.claimName",
    ] {
        let field = format!("spec.podTemplate.spec.{field}");
        assert!(reach.contains(&field), "{field} is refused");
    }
}

#[test]
fn a_field_that_is_replaced_would_be_found() {
    let (leaf, mut pod) = cases()
        .into_iter()
        .find(|(leaf, _)| path(&leaf.steps).ends_with(".schedulerName"))
        .unwrap();
    let planned = plan(&pod).unwrap();
    assert_eq!(get(&planned, &pod, &leaf.steps), Some(&leaf.value));
    pod["schedulerName"] = json!("another");
    assert_ne!(get(&plan(&pod).unwrap(), &pod, &leaf.steps), Some(&leaf.value));
}
