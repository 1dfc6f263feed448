//! Images on nodes, and room, before a workspace starts there.

use api::{
    WorkspaceTemplate,
    condition::{self, PREPARED, reason},
    names::{PLACEHOLDERS_LABEL, PRE_PULL_LABEL},
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    failures::Registry,
    objects::{template, workspace},
    wait,
};
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::Event,
};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

async fn templates() -> anyhow::Result<Api<WorkspaceTemplate>> {
    Ok(Api::all(cluster::admin().await?))
}

async fn label(name: &str, labels: &Value) -> anyhow::Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
    templates()
        .await?
        .patch(name, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

/// Waits until the template has this number of pulls and this reason. Returns the message.
async fn prepared(name: &str, pulled: Option<&str>, reason: &str) -> anyhow::Result<String> {
    let templates = templates().await?;
    wait::until(
        &format!("{name} to have {pulled:?} pulls"),
        wait::USUAL,
        || async {
            let template = templates.get(name).await.map_err(|error| error.to_string())?;
            let status = template.status.unwrap_or_default();
            let condition = condition::find(&status.conditions, PREPARED);
            let is_expected =
                condition.is_some_and(|it| it.reason == reason) && status.pulled.as_deref() == pulled;
            match condition {
                Some(condition) if is_expected => Ok(condition.message.clone()),
                _ => Err(format!("{:?} {condition:?}", status.pulled)),
            }
        },
    )
    .await
}

/// Waits until the namespace of images has nothing that mentions this text. Others' objects may be there.
async fn gone(text: &str) -> anyhow::Result<()> {
    let namespace = format!("{}-images", Environment::get()?.release);
    let admin = cluster::admin().await?;
    let sets = Api::<DaemonSet>::namespaced(admin.clone(), &namespace);
    let deployments = Api::<Deployment>::namespaced(admin, &namespace);
    let all = ListParams::default();
    wait::until(&format!("objects of {text} to be gone"), wait::USUAL, || async {
        let sets = sets.list(&all).await.map_err(|error| error.to_string())?;
        let deployments = deployments.list(&all).await.map_err(|error| error.to_string())?;
        let left = json!([sets.items, deployments.items]).to_string();
        if left.contains(text) { Err(left) } else { Ok(()) }
    })
    .await
}

#[tokio::test]
async fn nodes_have_the_images_of_a_labelled_template_before_a_start_and_a_wrong_image_keeps_no_other_away()
-> anyhow::Result<()> {
    let registry = Registry::start().await?;
    let place = registry.place();
    let scratch = Scratch::new("in-advance", &["alice"]).await?;
    let (early, other) = (scratch.namespace.clone(), format!("{}-wrong", scratch.namespace));
    let image = place.public_image(&early, 1);
    let resources =
        json!({"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}});
    let spec = json!({
        "defaultImage": image, "defaultNodeSelector": place.selected(), "defaultResources": resources,
    });
    template::make(&scratch, &spec).await?;
    // No registry has the second tag.
    let (wrong, right) = (place.public_image(&other, 2), place.public_image(&other, 1));
    let spec = json!({
        "defaultImage": wrong, "allowedImages": [wrong, right], "defaultNodeSelector": place.selected(),
    });
    template::make_named(&other, &spec).await?;
    label(&other, &json!({PRE_PULL_LABEL: "true"})).await?;
    label(&early, &json!({PRE_PULL_LABEL: "true", PLACEHOLDERS_LABEL: "1"})).await?;

    let message = prepared(&early, Some("1/1"), reason::PREPARED).await?;
    anyhow::ensure!(message.starts_with("1 of 1 nodes have the image."), "{message}");
    let message = prepared(&other, Some("1/2"), reason::PRE_PULL_FAILED).await?;
    anyhow::ensure!(
        message.starts_with(&format!("{wrong}: it cannot be pulled: ")),
        "{message}"
    );

    // A start finds the image.
    let new = template::workspace(&scratch, "ws", &json!({}))?;
    workspace::made(&scratch, &new).await?;
    let events = scratch.api::<Event>();
    let pulled = ListParams::default().fields("reason=Pulled");
    let event = wait::until("the kubelet's Event", wait::USUAL, || async {
        let all = events.list(&pulled).await.map_err(|error| error.to_string())?;
        let texts = all.items.into_iter().filter_map(|event| event.message);
        let mut about = texts.filter(|text| text.contains(&image));
        about.next().ok_or_else(|| "none".to_owned())
    })
    .await?;
    anyhow::ensure!(event.contains("already present on machine"), "{event}");

    // Without labels or template nothing is left.
    template::forget(&other).await?;
    gone(&other).await?;
    label(&early, &json!({PRE_PULL_LABEL: null, PLACEHOLDERS_LABEL: null})).await?;
    gone(&early).await?;
    let templates = templates().await?;
    wait::until("the status to say nothing", wait::USUAL, || async {
        let template = templates.get(&early).await.map_err(|error| error.to_string())?;
        let status = template.status.unwrap_or_default();
        let is_told = condition::find(&status.conditions, PREPARED).is_some() || status.pulled.is_some();
        if is_told {
            Err(format!("{status:?}"))
        } else {
            Ok(())
        }
    })
    .await?;
    template::finish(scratch).await?;
    registry.finish().await
}

#[tokio::test]
async fn a_label_with_a_value_that_it_cannot_have_is_named_with_its_rule() -> anyhow::Result<()> {
    let scratch = Scratch::new("wrong-label", &[]).await?;
    let name = scratch.namespace.clone();
    template::make(&scratch, &json!({"defaultImage": "uv"})).await?;
    label(&name, &json!({PLACEHOLDERS_LABEL: "many"})).await?;
    let message = prepared(&name, None, reason::LABEL_INVALID).await?;
    let expected = format!("metadata.labels[{PLACEHOLDERS_LABEL}]: \"many\" must be a number from 1 to 100");
    anyhow::ensure!(message.starts_with(&expected), "{message}");
    template::finish(scratch).await
}
