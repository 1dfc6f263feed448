//! Manifests of every kind that are applied again change nothing.

use api::{Workspace, names::GROUP, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    command,
    objects::{template, workspace},
    wait,
};
use futures::future::try_join_all;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

/// Ways to write a manifest: the first time, and again.
const WAYS: [(&str, &[&str], &[&str]); 4] = [
    ("client-side", &["apply", "-f", "-"], &["apply", "-f", "-"]),
    (
        "server-side",
        &["apply", "--server-side", "-f", "-"],
        &["apply", "--server-side", "-f", "-"],
    ),
    ("replaced", &["create", "-f", "-"], &["replace", "-f", "-"]),
    (
        "saved",
        &["create", "--save-config", "-f", "-"],
        &["apply", "-f", "-"],
    ),
];

/// Number of writes until nothing changes any more. If a different verb comes second, the API server records another writer of the fields.
fn writes_until_the_same(first: &[&str], again: &[&str]) -> usize {
    if first == again { 1 } else { 2 }
}

fn api_of(client: kube::Client, manifest: &Value) -> Api<DynamicObject> {
    let kind = manifest["kind"].as_str().unwrap_or_default();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1alpha1", kind));
    match manifest["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    }
}

/// The object after the operator has reported on this generation, when five consecutive reads have the same version.
async fn settled(objects: &Api<DynamicObject>, name: &str) -> anyhow::Result<DynamicObject> {
    wait::settled(name, || async {
        let now = objects.get(name).await.map_err(|error| error.to_string())?;
        let status = &now.data["status"];
        let conditions = status["conditions"].as_array();
        if conditions.is_none_or(Vec::is_empty)
            || status["observedGeneration"] != json!(now.metadata.generation)
        {
            return Err(status.to_string());
        }
        Ok(now)
    })
    .await
}

async fn write(flags: &[&str], manifest: &Value) -> anyhow::Result<()> {
    let outcome = command::administer_with(flags, &manifest.to_string()).await?;
    anyhow::ensure!(outcome.code == 0, "{flags:?}: {outcome:?}");
    Ok(())
}

/// Which manager owns which fields, without the times.
fn owned(object: &DynamicObject) -> Vec<Value> {
    let entries = object.metadata.managed_fields.iter().flatten();
    entries
        .map(|entry| {
            let mut entry = json!(entry);
            entry["time"] = Value::Null;
            entry
        })
        .collect()
}

/// The manifests with names of this way's own, with their API clients and names.
fn named_for(
    client: &kube::Client,
    manifests: &[Value],
    way: &str,
) -> (Value, Vec<(Api<DynamicObject>, String)>) {
    let mut items = manifests.to_vec();
    let mut objects = Vec::new();
    for manifest in &mut items {
        let base = manifest["metadata"]["name"].as_str().unwrap_or_default();
        let name = format!("{base}-{way}");
        manifest["metadata"]["name"] = json!(name);
        objects.push((api_of(client.clone(), manifest), name));
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    (list, objects)
}

/// Writes the manifests together in one of the ways: the first time, and again until nothing may change any more.
async fn written(
    client: &kube::Client,
    manifests: &[Value],
    (way, first, again): (&str, &[&str], &[&str]),
) -> anyhow::Result<()> {
    let (list, objects) = named_for(client, manifests, way);
    let settled = || try_join_all(objects.iter().map(|(api, name)| settled(api, name)));
    write(first, &list).await?;
    let mut versions = vec![settled().await?];
    for _ in 0..writes_until_the_same(first, again) {
        write(again, &list).await?;
        versions.push(settled().await?);
    }
    for (index, (_, name)) in objects.iter().enumerate() {
        let made = &versions[0][index];
        for after in versions[1..].iter().map(|version| &version[index]) {
            assert_eq!(after.metadata.labels, made.metadata.labels, "{name}");
            assert_eq!(after.metadata.generation, made.metadata.generation, "{name}");
            assert_eq!(after.data["spec"], made.data["spec"], "{name}");
        }
        let [.., before, after] = versions.as_slice() else {
            anyhow::bail!("{name} was written once");
        };
        let (before, after) = (&before[index], &after[index]);
        assert_eq!(owned(after), owned(before), "{name}");
        assert_eq!(after.data["status"], before.data["status"], "{name}");
        assert_eq!(after.resource_version(), before.resource_version(), "{name}");
    }
    // Objects that others use go last.
    for (api, name) in objects.iter().rev() {
        api.delete(name, &DeleteParams::default()).await?;
    }
    Ok(())
}

fn manifest(kind: &str, name: &str, namespace: Option<&str>, spec: Value) -> Value {
    let mut manifest = json!({
        "apiVersion": format!("{GROUP}/v1alpha1"), "kind": kind,
        "metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}}, "spec": spec,
    });
    if let Some(namespace) = namespace {
        manifest["metadata"]["namespace"] = json!(namespace);
    }
    manifest
}

#[tokio::test]
async fn reapplied_objects_of_each_kind_do_not_change() -> anyhow::Result<()> {
    let scratch = Scratch::new("again", &["alice"]).await?;
    let (client, namespace) = (cluster::admin().await?, scratch.namespace.as_str());
    let mut stopped = workspace::of_image("shared", "uv");
    stopped.spec.desired_status = api::workspace::DesiredStatus::Stopped;
    let workspaces = scratch.api::<Workspace>();
    workspaces
        .create(&kube::api::PostParams::default(), &stopped)
        .await?;
    let uid = workspace::reached(&workspaces, "shared", Phase::Stopped)
        .await?
        .uid();
    let route = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "spec": {"rules": [{"host": "{workspace.host}"}]},
    });
    let subjects = json!([{"kind": "User", "name": "bob"}, {"kind": "Group", "name": "ml"}]);
    let manifests = [
        manifest(
            "WorkspaceTemplate",
            namespace,
            None,
            json!({
                "displayName": "Again", "defaultImage": "lab/a", "allowedImages": ["lab/a", "lab/b"],
                "resourceBounds": {"cpu": {"min": "0.5", "max": "1000m"}},
                "primaryStorage": {"minSize": "1Gi", "maxSize": "2048Mi"},
            }),
        ),
        manifest(
            "WorkspaceManager",
            namespace,
            None,
            json!({
                "routing": {"baseDomain": "again.example.org", "custom": {"resources": [route]}},
                "authentication": {"none": {}},
            }),
        ),
        manifest(
            "WorkspaceExecutionProfile",
            "profile",
            Some(namespace),
            json!({"serviceAccount": {"name": "batch"}, "env": [{"name": "COLOUR", "value": "blue"}]}),
        ),
        // The webhook adds the workspace's UID, which no manifest names.
        manifest(
            "WorkspaceShare",
            "share",
            Some(namespace),
            json!({"workspaceRef": "shared", "subjects": subjects}),
        ),
        manifest("Workspace", "lab", Some(namespace), json!(stopped.spec)),
    ];
    try_join_all(WAYS.map(|way| written(&client, &manifests, way))).await?;
    let share = &manifests[3];
    write(&["apply", "--server-side", "-f", "-"], share).await?;
    let bound = settled(&api_of(client, share), "share").await?;
    assert_eq!(bound.data["spec"]["workspaceUID"], json!(uid));
    scratch.finish().await
}

#[tokio::test]
async fn a_reapplied_running_workspace_does_not_change() -> anyhow::Result<()> {
    let scratch = Scratch::new("runs", &["alice"]).await?;
    let image = &Environment::get()?.images.echo;
    template::make(&scratch, &json!({"defaultImage": image})).await?;
    let (client, namespace) = (cluster::admin().await?, scratch.namespace.as_str());
    let profile = json!({"env": [{"name": "COLOUR", "value": "blue"}]});
    write(
        &["apply", "-f", "-"],
        &manifest("WorkspaceExecutionProfile", "profile", Some(namespace), profile),
    )
    .await?;
    let amounts = json!({"cpu": "0.05", "memory": "64Mi"});
    let workspace = manifest(
        "Workspace",
        "lab",
        Some(namespace),
        json!({
            "displayName": "Lab", "templateRef": namespace, "executionProfileRef": "profile",
            "resources": {"requests": amounts, "limits": {"cpu": "1000m", "memory": "0.5Gi"}},
        }),
    );
    let (objects, workspaces) = (api_of(client, &workspace), scratch.api::<Workspace>());
    let flags = ["apply", "-f", "-"];
    write(&flags, &workspace).await?;
    workspace::reached(&workspaces, "lab", Phase::Running).await?;
    let before = settled(&objects, "lab").await?;
    write(&flags, &workspace).await?;
    let after = settled(&objects, "lab").await?;
    assert_eq!(after.resource_version(), before.resource_version());
    assert_eq!(after.data["status"], before.data["status"], "the same run");
    template::finish(scratch).await
}
