//! The webhook's result for an object -> the operator's status of the same object.
//!
//! A user whom the webhook skips stores the objects.

use std::collections::BTreeSet;

use api::{
    Workspace, WorkspaceExecutionProfile,
    condition::{VALID, reason},
};
use e2e::{objects::template, wait};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::ListParams;

use super::*;

/// Fields, and values that break no rule or some.
pub(super) type Fields = Vec<(&'static str, Vec<Value>)>;

/// What is wrong with an object, by the webhook's word: each rule with its field.
pub(super) fn violations(refusal: &Value) -> Vec<String> {
    let violations = refusal["details"]["causes"].as_array();
    let text = |cause: &Value, key: &str| cause[key].as_str().unwrap_or_default().to_owned();
    let line = |cause: &Value| format!("{}: {}", text(cause, "field"), text(cause, "message"));
    violations.into_iter().flatten().map(line).collect()
}

/// Whether a message is exactly these lines, in any order.
fn says(message: &str, lines: &[String]) -> bool {
    let mut longest_first: Vec<_> = lines.iter().collect();
    longest_first.sort_by_key(|line| std::cmp::Reverse(line.len()));
    let mut rest = message.to_owned();
    for line in longest_first {
        let Some(at) = rest.find(line.as_str()) else {
            return false;
        };
        rest.replace_range(at..at + line.len(), "");
    }
    rest == "; ".repeat(lines.len().saturating_sub(1))
}

/// What was stored: its name, and what the webhook had said.
pub(super) type Stored = (String, Option<Value>);

/// The values in a spec, each with its path.
fn values(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        // The API server leaves it out.
        Value::Null => {}
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                values(&format!("{path}.{name}"), value, found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (number, value) in items.iter().enumerate() {
                values(&format!("{path}[{number}]"), value, found);
            }
        }
        value => {
            found.insert(format!("{path}: {value}"));
        }
    }
}

fn values_of<'a>(specs: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for spec in specs {
        values("spec", spec, &mut found);
    }
    found
}

/// Asks the webhook about each object, and stores it past the webhook. Those that the definition refuses are left out; but every value
/// has to be stored in one of them, or its messages would not be compared.
pub(super) async fn store<K>(api: &Api<DynamicObject>, objects: Vec<Value>) -> anyhow::Result<Vec<Stored>>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let client = &cluster::admin().await?;
    let one = async |mut object: Value| {
        let refusal = asked::<K>(client, &object, None).await?;
        object["apiVersion"] = json!(K::api_version(&()));
        object["kind"] = json!(K::kind(&()));
        // The webhook records a user who sets another owner, and validates that differently.
        let creator = if K::kind(&()) == "Workspace" {
            UNASKED
        } else {
            OTHER_USER
        };
        object["metadata"]["annotations"] = json!({CREATED_BY: creator});
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let made = api
            .create(&PostParams::default(), &serde_json::from_value(object)?)
            .await;
        let passed =
            !matches!(&made, Err(kube::Error::Api(status)) if status.message.contains("admission webhook"));
        anyhow::ensure!(passed, "the webhook was asked: {made:?}");
        let spec = made.as_ref().map(|made| made.data["spec"].clone()).ok();
        by_definition(made)?;
        anyhow::Ok(spec.map(|spec| ((name, refusal), spec)))
    };
    let mut wanted = values_of(objects.iter().map(|object| &object["spec"]));
    let made = stream::iter(objects).map(one).buffer_unordered(AT_ONCE);
    let made: Vec<Option<(Stored, Value)>> = made.try_collect().await?;
    let (stored, specs): (Vec<_>, Vec<_>) = made.into_iter().flatten().unzip();
    let there = values_of(&specs);
    wanted.retain(|value| !there.contains(value));
    anyhow::ensure!(
        wanted.is_empty(),
        "the definition never let these be stored: {wanted:#?}"
    );
    Ok(stored)
}

/// What is not there yet for the operator, and comes a moment later.
const NOT_YET: [&str; 3] = [
    reason::TEMPLATE_NOT_FOUND,
    reason::MANAGER_NOT_FOUND,
    reason::WORKSPACE_NOT_FOUND,
];

/// The objects' conditions of this type, once the operator has judged all of them.
pub(super) async fn judged(
    api: &Api<DynamicObject>,
    type_: &str,
    stored: &[Stored],
) -> anyhow::Result<Vec<(String, Condition)>> {
    wait::until_checked_each_second("the operator to have judged all", wait::USUAL, || async {
        let all = api.list(&ListParams::default()).await;
        let all = all.map_err(|error| error.to_string())?.items;
        let judged_object = |object: DynamicObject| {
            let name = object.metadata.name?;
            // Of kinds of the whole cluster there are others.
            if !stored.iter().any(|(ours, _)| *ours == name) {
                return None;
            }
            let conditions = object.data["status"]["conditions"].clone();
            let conditions: Vec<Condition> = serde_json::from_value(conditions).ok()?;
            let judged_object = conditions.into_iter().find(|it| it.type_ == type_)?;
            (!NOT_YET.contains(&judged_object.reason.as_str())).then_some((name, judged_object))
        };
        let judged: Vec<_> = all.into_iter().filter_map(judged_object).collect();
        if judged.len() == stored.len() {
            return Ok(judged);
        }
        Err(format!("{} of {}", judged.len(), stored.len()))
    })
    .await
}

/// Holds what the operator says of each object to what the webhook said of it; returns how many are valid, and of how many fields
/// something was said.
pub(super) fn compare(stored: &[Stored], judged: &[(String, Condition)]) -> anyhow::Result<(usize, usize)> {
    let (mut valid, mut fields) = (0, BTreeSet::new());
    for (name, refusal) in stored {
        let (_, webhook_and_status) = judged
            .iter()
            .find(|(other, _)| other == name)
            .ok_or_else(|| anyhow::anyhow!("{name} was not judged"))?;
        let lines = refusal.iter().flat_map(violations).collect::<Vec<_>>();
        match (webhook_and_status.status.as_str(), refusal) {
            ("True", None) => valid += 1,
            ("False", Some(_))
                if webhook_and_status.reason == reason::RULES_VIOLATED
                    && says(&webhook_and_status.message, &lines) =>
            {
                fields.extend(
                    lines
                        .iter()
                        .filter_map(|line| line.split(": ").next().map(str::to_owned)),
                );
            }
            _ => anyhow::bail!(
                "{name}: the operator says {webhook_and_status:?}, and the webhook: {refusal:?}"
            ),
        }
    }
    Ok((valid, fields.len()))
}

/// Every value alone, and then as many objects with a few random fields, most of them valid.
pub(super) fn specs(chance: &mut Chance, all: usize, fields: &Fields, base: &Value) -> Vec<Value> {
    let mut specs = Vec::new();
    for (name, values) in fields {
        for value in values {
            let mut spec = base.clone();
            spec[*name] = value.clone();
            specs.push(spec);
        }
    }
    for _ in 0..all {
        let mut spec = base.clone();
        for (name, values) in fields {
            if chance.below(5) == 0 {
                spec[*name] = chance.of(values).clone();
            }
        }
        specs.push(spec);
    }
    specs
}

fn objects(scratch: &Scratch, specs: Vec<Value>) -> Vec<Value> {
    let named = specs.into_iter().enumerate().map(|(number, spec)| {
        json!({"metadata": {"name": format!("of-chance-{number}"), "namespace": scratch.namespace}, "spec": spec})
    });
    named.collect()
}

/// Acts as a user with all rights whose writes the webhook skips.
pub(super) async fn past_the_webhook<K>(scratch: &Scratch) -> anyhow::Result<Api<DynamicObject>>
where
    K: Resource<DynamicType = ()>,
{
    let client = unasked().await?;
    Ok(Api::namespaced_with(
        client,
        &scratch.namespace,
        &ApiResource::erase::<K>(&()),
    ))
}

/// Init containers: one, with these fields besides those that it needs, or in their place.
pub(super) fn seed(rest: &Value) -> Value {
    let mut container = json!({"name": "seed", "image": "r/lab:1"});
    for (key, value) in rest.as_object().into_iter().flatten() {
        container[key] = value.clone();
    }
    json!([container])
}

#[expect(clippy::too_many_lines, reason = "one table")]
fn of_workspaces() -> Fields {
    let limits = |cpu: &str, memory: &str| json!({"limits": {"cpu": cpu, "memory": memory}});
    let claim = |name: &str, path: &str| json!([{"name": name, "persistentVolumeClaimName": "mine", "mountPath": path}]);
    vec![
        (
            "image",
            vec![json!("r/lab:1"), json!("r/lab:2"), json!("evil:1"), json!("a b")],
        ),
        (
            "resources",
            vec![
                limits("0.5", "512Mi"),
                limits("500m", "0.5Gi"),
                limits("9", "1Gi"),
                limits("1000.5m", "1073741825"),
                json!({"requests": {"cpu": "800m", "nvidia.com/gpu": 1}, "limits": {"cpu": "700m"}}),
            ],
        ),
        (
            "storage",
            vec![
                json!({"size": "2Gi"}),
                json!({"size": "2147483649"}),
                json!({"size": "1Ti", "mountPath": "/tmp"}),
                json!({"mountPath": "/home/else"}),
                json!({"storageClassName": "A B"}),
            ],
        ),
        ("shmSize", vec![json!("64Mi"), json!("1Ti"), json!("0")]),
        (
            "volumes",
            vec![claim("own", "/own"), claim("x", "/dev/shm"), claim("own", "/tmp")],
        ),
        (
            "env",
            vec![
                json!([{"name": "TEAM", "value": "ml"}]),
                json!([{"name": api::names::RUN_ID_VARIABLE, "value": "mine"}]),
                json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}]),
            ],
        ),
        (
            "initContainers",
            vec![
                seed(&json!({})),
                seed(&json!({"securityContext": {"privileged": true}})),
                seed(&json!({"name": "workspace"})),
                seed(&json!({"image": "evil:1", "resources": {"limits": {"cpu": "4"}}})),
            ],
        ),
        (
            "lifecycle",
            vec![
                json!({"preStop": {"exec": {"command": ["true"]}}}),
                json!({"preStop": {"httpGet": {"port": 1, "host": "h"}}}),
            ],
        ),
        (
            "readinessProbe",
            vec![
                json!({"httpGet": {"port": "http", "path": "/api"}}),
                json!({"tcpSocket": {"port": 1, "host": "h"}}),
            ],
        ),
        ("nodeSelector", vec![json!({"pool": "a"})]),
        (
            "podAnnotations",
            vec![
                json!({"team.org/a": "b"}),
                json!({"other.org/a": "b"}),
                json!({"node.k8s.io/a": "b"}),
                json!({"team.org/a": "\0"}),
            ],
        ),
        ("tolerations", vec![json!([{"operator": "Exists"}])]),
        (
            "podSecurityContext",
            vec![
                json!({"runAsUser": 5}),
                json!({"runAsUser": 0}),
                json!({"sysctls": [{"name": "x", "value": "y"}]}),
            ],
        ),
        (
            "containerSecurityContext",
            vec![
                json!({"readOnlyRootFilesystem": false}),
                json!({"privileged": true}),
            ],
        ),
        (
            "idleShutdown",
            vec![
                json!({"enabled": true, "idleTimeoutInMinutes": 30}),
                json!({"enabled": true, "idleTimeoutInMinutes": 600}),
                json!({"enabled": false}),
            ],
        ),
    ]
}

/// The template that it makes is of the caller to remove.
pub(super) async fn agree_on_workspaces(scratch: &Scratch) -> anyhow::Result<()> {
    let bounds = json!({
        "defaultImage": "r/lab:1",
        "allowedImages": ["r/lab:1", "r/lab:2"],
        "allowCustomImages": false,
        "defaultResources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "resourceBounds": {"cpu": {"max": "1"}, "memory": {"max": "1Gi"}, "gpu": {"max": "0"}},
        "primaryStorage": {"defaultSize": "1Gi", "maxSize": "2Gi"},
        "allowedPodAnnotations": ["team.org/"],
        "idleShutdownOverrides": {"allow": true, "minIdleTimeoutInMinutes": 10, "maxIdleTimeoutInMinutes": 60},
    });
    template::make(scratch, &bounds).await?;
    let mut chance = Chance::new(0x5eed_0007);
    let base = json!({"displayName": "x", "desiredStatus": "Stopped", "templateRef": scratch.namespace});
    let specs = specs(&mut chance, cases(20)?, &of_workspaces(), &base);
    let api = past_the_webhook::<Workspace>(scratch).await?;
    let stored = store::<Workspace>(&api, objects(scratch, specs)).await?;
    let judged = judged(&api, VALID, &stored).await?;
    let (valid, fields) = compare(&stored, &judged)?;
    both_came_up(valid, stored.len())?;
    anyhow::ensure!(fields >= 15, "only {fields} fields were said to be wrong");
    Ok(())
}

fn of_profiles() -> Fields {
    let token = |path: &str| json!([{"audience": "vault", "path": path}]);
    vec![
        (
            "serviceAccount",
            vec![
                json!({"perWorkspace": {}}),
                json!({"name": "A B"}),
                json!({"name": "jupyter-k8s-operator"}),
                json!({"perWorkspace": {"annotations": {"a b": "c"}}}),
            ],
        ),
        ("automountToken", vec![json!(true)]),
        ("projectedTokens", vec![token("/tokens/a"), token("/tmp/a")]),
        (
            "env",
            vec![
                json!([{"name": "TEAM", "value": "ml"}]),
                json!([{"name": api::names::UID_VARIABLE, "value": "mine"}]),
                json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "A B", "key": "k"}}}]),
            ],
        ),
        (
            "imagePullSecrets",
            vec![json!([{"name": "pull"}]), json!([{"name": "A B"}])],
        ),
        (
            "secretMounts",
            vec![
                json!([{"secretName": "s", "mountPath": "/secrets"}]),
                json!([{"secretName": "A B", "mountPath": "/secrets"}]),
            ],
        ),
        (
            "priorityClassName",
            vec![json!("batch"), json!("system-node-critical"), json!("A B")],
        ),
        ("runtimeClassName", vec![json!("gvisor"), json!("A B")]),
    ]
}

pub(super) async fn agree_on_profiles(scratch: &Scratch) -> anyhow::Result<()> {
    let mut chance = Chance::new(0x5eed_0008);
    // Tokens need an account.
    let base = json!({"serviceAccount": {"name": "batch"}});
    let specs = specs(&mut chance, cases(15)?, &of_profiles(), &base);
    let api = past_the_webhook::<WorkspaceExecutionProfile>(scratch).await?;
    let stored = store::<WorkspaceExecutionProfile>(&api, objects(scratch, specs)).await?;
    let judged = judged(&api, VALID, &stored).await?;
    let (valid, fields) = compare(&stored, &judged)?;
    both_came_up(valid, stored.len())?;
    anyhow::ensure!(fields >= 6, "only {fields} fields were said to be wrong");
    Ok(())
}
