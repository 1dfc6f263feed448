//! Objects of a template, of a kind whose definition the test installs: the sample with a `ForecastleApp`.

use std::fs;

use anyhow::Context as _;
use api::WorkspaceTemplate;
use e2e::{
    Environment,
    cluster::{self, Scratch},
    command,
    installation::definitions,
    objects::{template, workspace},
    wait,
};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::rules::alice;

const DEFINITION: &str = "forecastleapps.forecastle.stakater.com";
/// The sample's object, for the workspace `ws`.
const LINK: &str = "wso-link-ws";

/// The spec of the sample, for an image of the tests.
fn sample() -> anyhow::Result<Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/samples/objects/forecastleapp.yaml"
    );
    let template: WorkspaceTemplate = serde_saphyr::from_str(&fs::read_to_string(path)?)?;
    let mut spec = serde_json::to_value(template.spec)?;
    spec["defaultImage"] = json!(Environment::get()?.images.echo);
    Ok(spec)
}

fn links(scratch: &Scratch, client: kube::Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("forecastle.stakater.com", "v1alpha1", "ForecastleApp");
    let resource = ApiResource::from_gvk_with_plural(&kind, "forecastleapps");
    Api::namespaced_with(client, &scratch.namespace, &resource)
}

/// Waits until the `ForecastleApp` is in that group; `None`: until there is none.
async fn group(links: &Api<DynamicObject>, wanted: Option<&str>) -> anyhow::Result<()> {
    wait::until("the ForecastleApp", wait::USUAL, || async {
        let found = links.list(&ListParams::default()).await;
        let found = found.map_err(|error| error.to_string())?.items;
        let found: Vec<_> = found
            .iter()
            .map(|it| {
                let group = &it.data["spec"]["group"];
                (it.metadata.name.as_deref().unwrap_or_default(), group.as_str())
            })
            .collect();
        let wanted: Vec<_> = wanted.map(|group| (LINK, Some(group))).into_iter().collect();
        if found == wanted {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await
}

#[tokio::test]
async fn an_object_of_another_operator_s_kind_is_reported_made_put_right_and_deleted() -> anyhow::Result<()> {
    definitions::remove(DEFINITION).await?;
    let scratch = Scratch::new("objects", &["alice"]).await?;
    template::make(&scratch, &sample()?).await?;
    let workspaces = alice(&scratch).await?;
    let options = json!({"options": {"listed": "under-research"}, "variables": {"group": "Own"}});
    let wanted = template::workspace(&scratch, "ws", &options)?;
    workspaces.create(&PostParams::default(), &wanted).await?;
    wait::until("the workspace to say so", wait::USUAL, || async {
        let ws = workspaces.get("ws").await.map_err(|error| error.to_string())?;
        match workspace::condition(&ws, "Degraded").ok_or("nothing yet")? {
            (_, reason, message) if reason == "ObjectFailed" && message.contains("not installed") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/contract/forecastleapps.yaml");
    definitions::install(file, &[DEFINITION]).await?;
    let links = links(&scratch, cluster::admin().await?);
    group(&links, Some("Research")).await?;

    let changed = json!({"spec": {"group": "Own"}});
    links
        .patch(LINK, &PatchParams::default(), &Patch::Merge(changed))
        .await?;
    group(&links, Some("Research")).await?;
    workspace::set(&workspaces, "ws", json!({"options": {"listed": "not-at-all"}})).await?;
    group(&links, None).await?;
    workspace::set(
        &workspaces,
        "ws",
        json!({"options": {"listed": "under-teaching"}}),
    )
    .await?;
    group(&links, Some("Teaching")).await?;

    // Nothing of a manifest changes, also not the name of a field.
    let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    let mut objects = sample()?["objects"].clone();
    let manifest = objects[0]["manifest"].as_object_mut().context("a manifest")?;
    let spec = manifest.remove("spec");
    manifest.insert("speck".to_owned(), json!(spec));
    let patch = Patch::Merge(json!({"spec": {"objects": objects}}));
    let refused = templates
        .patch(&scratch.namespace, &PatchParams::default(), &patch)
        .await;
    let refused = refused.map_or_else(|error| error.to_string(), |_| "it was taken".to_owned());
    assert!(refused.contains("immutable after creation"), "{refused}");

    // The operator has no right to kinds that the installation does not list: its role names this one.
    let account = "--as=system:serviceaccount:jupyter-k8s-system:jupyter-k8s-operator";
    let may = async |resource: &str| {
        let asked = [
            "auth",
            "can-i",
            "create",
            resource,
            "-n",
            &scratch.namespace,
            account,
        ];
        command::administered(&asked, "").await.is_ok()
    };
    assert!(may("forecastleapps.forecastle.stakater.com").await);
    assert!(!may("certificates.cert-manager.io").await);

    workspace::delete(&workspaces, "ws").await?;
    group(&links, None).await?;
    template::finish(scratch).await?;
    definitions::remove(DEFINITION).await
}
