//! The webhook's result for templates and managers -> the operator's status of them.

use api::{
    WorkspaceManager, WorkspaceTemplate,
    condition::{READY, VALID},
};
use kube::api::DeleteParams;

use super::{
    webhook_and_status::{Fields, compare, judged, seed, specs, store},
    *,
};

/// Objects of the whole cluster, called after the namespace, by which the next run finds what a failed test leaves.
fn objects(scratch: &Scratch, specs: Vec<Value>) -> Vec<Value> {
    let named = specs.into_iter().enumerate().map(|(number, spec)| {
        let name = format!("{}-{number}", scratch.namespace);
        json!({"metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}}, "spec": spec})
    });
    named.collect()
}

/// How many are valid, of how many, and of how many fields something was said.
async fn compared<K>(
    scratch: &Scratch,
    condition: &str,
    specs: Vec<Value>,
) -> anyhow::Result<(usize, usize, usize)>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let api = Api::all_with(unasked().await?, &ApiResource::erase::<K>(&()));
    let stored = store::<K>(&api, objects(scratch, specs)).await?;
    let webhook_and_status = judged(&api, condition, &stored).await;
    // Whatever their results: they affect no other test.
    let deleted = stream::iter(&stored).map(|(name, _)| async {
        let name = name.as_str();
        api.delete(name, &DeleteParams::default()).await.map(drop)
    });
    let _: Vec<()> = deleted.buffer_unordered(AT_ONCE).try_collect().await?;
    let (valid, fields) = compare(&stored, &webhook_and_status?)?;
    Ok((valid, stored.len(), fields))
}

fn of_templates() -> Fields {
    let amounts = |cpu: &str, memory: &str| {
        let map = json!({"cpu": cpu, "memory": memory});
        json!({"requests": map, "limits": map})
    };
    vec![
        (
            "allowedImages",
            vec![json!(["r/lab:1"]), json!(["r/lab:1", "a b"])],
        ),
        (
            "defaultResources",
            vec![
                amounts("500m", "512Mi"),
                amounts("3", "512Mi"),
                amounts("500m", "8Gi"),
            ],
        ),
        (
            "resourceBounds",
            vec![
                json!({"cpu": {"max": "2"}, "memory": {"max": "1Gi"}}),
                // Two bounds on one resource that exclude each other.
                json!({"memory": {"max": "1Gi"}, "resources": {"memory": {"min": "2Gi"}}}),
            ],
        ),
        (
            "primaryStorage",
            vec![
                json!({"defaultSize": "1Gi", "maxSize": "2Gi"}),
                json!({"defaultSize": "1Gi", "defaultMountPath": "/tmp"}),
                json!({"defaultSize": "1Gi", "defaultStorageClassName": "A B"}),
            ],
        ),
        (
            "environmentVariables",
            vec![
                json!([{"name": "TEAM", "value": "ml"}]),
                json!([{"name": api::names::RUN_ID_VARIABLE, "value": "mine"}]),
            ],
        ),
        (
            "baseLabels",
            vec![
                json!([{"name": "team", "value": "ml"}]),
                json!([{"name": "app.kubernetes.io/name", "value": "c"}]),
            ],
        ),
        (
            "baseAnnotations",
            vec![
                json!([{"name": "team.org/a", "value": "{workspace.name} b"}]),
                json!([{"name": "node.k8s.io/a", "value": "b"}]),
                json!([{"name": "a", "value": "\0"}]),
            ],
        ),
        (
            "allowedPodAnnotations",
            vec![json!(["team.org/"]), json!(["kubernetes.io/"])],
        ),
        (
            "defaultInitContainers",
            vec![
                seed(&json!({})),
                seed(&json!({"name": "workspace"})),
                seed(&json!({"securityContext": {"privileged": true}})),
            ],
        ),
        (
            "defaultNodeSelector",
            vec![json!({"pool": "a"}), json!({"a b": "c"})],
        ),
        (
            "defaultTolerations",
            vec![
                json!([{"operator": "Exists"}]),
                json!([{"key": "a", "operator": "Exists", "value": "b"}]),
            ],
        ),
        (
            "defaultPodSecurityContext",
            vec![json!({"runAsUser": 5}), json!({"runAsUser": 0})],
        ),
    ]
}

pub(super) async fn agree_on_templates(scratch: &Scratch) -> anyhow::Result<()> {
    let base = json!({"displayName": "Lab", "defaultImage": "r/lab:1"});
    let specs = specs(&mut Chance::new(0x5eed_0009), cases(15)?, &of_templates(), &base);
    let (valid, all, fields) = compared::<WorkspaceTemplate>(scratch, VALID, specs).await?;
    both_came_up(valid, all)?;
    anyhow::ensure!(fields >= 6, "only {fields} fields were said to be wrong");
    Ok(())
}

/// A manager's routing: one manifest, with what makes it wrong or not.
fn of_manifests() -> Vec<Value> {
    let ingress = |metadata: Value, host: &str| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata,
            "spec": {"rules": [{"host": host}]},
        })
    };
    vec![
        ingress(json!({}), "{workspace.host}"),
        ingress(json!({"name": "{workspace.name}-x"}), "{workspace.host}"),
        ingress(json!({"name": "the-same-for-all"}), "{workspace.host}"),
        ingress(json!({"finalizers": ["a.b/c"]}), "{workspace.host}"),
        ingress(json!({}), "{workspace.hose}"),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "{workspace.name}"}}),
        json!({"kind": "Ingress", "spec": {}}),
    ]
}

pub(super) async fn agree_on_managers(scratch: &Scratch) -> anyhow::Result<()> {
    let manifests = of_manifests();
    let mut chance = Chance::new(0x5eed_000a);
    let urls = ["https://{workspace.host}/", "https://{no.such}/", "no URL"].map(Value::from);
    let spec = |resources: &[Value], url: Option<&Value>| {
        let mut custom = json!({"resources": resources});
        if let Some(url) = url {
            custom["urlTemplate"] = url.clone();
        }
        json!({
            "routing": {"baseDomain": "lab.example.org", "custom": custom}, "authentication": {"none": {}},
        })
    };
    // Each one alone, and then as many random ones.
    let of_manifests = manifests.chunks(1).map(|manifest| spec(manifest, None));
    let of_urls = urls.iter().map(|url| spec(&manifests[..1], Some(url)));
    let mut specs: Vec<_> = of_manifests.chain(of_urls).collect();
    for _ in 0..cases(15)? {
        let right = &manifests[..2];
        let from = if chance.below(3) == 0 {
            &manifests[..]
        } else {
            right
        };
        let mut resources = vec![chance.of(from).clone()];
        if chance.below(4) == 0 {
            resources.push(chance.of(&manifests).clone());
        }
        let url = (chance.below(4) == 0).then(|| chance.of(&urls));
        specs.push(spec(&resources, url));
    }
    let (valid, all, fields) = compared::<WorkspaceManager>(scratch, READY, specs).await?;
    both_came_up(valid, all)?;
    anyhow::ensure!(fields >= 5, "only {fields} fields were said to be wrong");
    Ok(())
}
