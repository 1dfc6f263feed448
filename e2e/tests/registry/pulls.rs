//! Pods -> whether they pulled their images from the registry, by digest and with a password (IO).

use anyhow::{Context as _, ensure};
use api::{Workspace, workspace::Phase};
use e2e::{
    Environment, cluster,
    objects::{template, workspace},
    wait,
};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;

use super::administrator::{MIRRORED, NAMESPACE};

/// Name of a workspace and its template.
const COPIED: &str = "copied";

/// Every pod of the release.
pub(crate) async fn release_pulled_by_digest() -> anyhow::Result<()> {
    let system = &Environment::get()?.system_namespace;
    let pods = Api::<Pod>::namespaced(cluster::admin().await?, system);
    let pods = pods.list(&ListParams::default()).await?.items;
    let components = ["gateway", "identity", "operator", "portal", "proxy", "webhook"];
    for component in components {
        let of_it = |pod: &&Pod| {
            pod.labels()
                .get("app.kubernetes.io/component")
                .map(String::as_str)
                == Some(component)
        };
        let pods: Vec<&Pod> = pods.iter().filter(of_it).collect();
        ensure!(!pods.is_empty(), "no pod of {component}");
        let image = by_digest(pods[0])?;
        for pod in &pods {
            ensure!(by_digest(pod)? == image, "{component} has two images");
        }
        pulled(system, &image).await?;
    }
    Ok(())
}

/// The pod of a workspace; its image.
pub(crate) async fn workspace_pulled_by_digest(workspace: &str) -> anyhow::Result<String> {
    let pods = Api::<Pod>::namespaced(cluster::admin().await?, NAMESPACE);
    let of_it = ListParams::default().labels(&format!("{}={workspace}", api::names::WORKSPACE_LABEL));
    let pods = pods.list(&of_it).await?.items;
    ensure!(pods.len() == 1, "{} pods of the workspace", pods.len());
    let image = by_digest(&pods[0])?;
    let secrets = pods[0]
        .spec
        .as_ref()
        .and_then(|spec| spec.image_pull_secrets.clone());
    let secrets: Vec<String> = secrets.into_iter().flatten().map(|secret| secret.name).collect();
    ensure!(secrets == ["registry"], "{secrets:?}");
    pulled(NAMESPACE, &image).await?;
    Ok(image)
}

/// A workspace whose template names an image of a registry that does not exist. A mirror leads to the copy of `image`, which
/// skopeo made.
pub(crate) async fn copy_pulled_through_a_mirror(image: &str) -> anyhow::Result<()> {
    let (_, name) = image.rsplit_once('/').context("an image without a registry")?;
    let named = format!("{MIRRORED}/{name}");
    template::make_named(COPIED, &json!({"defaultImage": named})).await?;
    let workspaces = Api::<Workspace>::namespaced(cluster::admin().await?, NAMESPACE);
    let spec = json!({"displayName": COPIED, "templateRef": COPIED});
    let wanted = Workspace::new(COPIED, serde_json::from_value(spec)?);
    workspaces.create(&PostParams::default(), &wanted).await?;
    let running = workspace::reached(&workspaces, COPIED, Phase::Running).await?;
    let pulled = workspace_pulled_by_digest(COPIED).await?;
    let copy = format!("{}/{name}", Environment::get()?.published()?.copies);
    ensure!(pulled == copy, "{pulled} is not {copy}");
    let resolved = running.status.and_then(|status| status.resolved?.image);
    ensure!(resolved.as_ref() == Some(&copy), "{resolved:?} is not {copy}");
    Ok(())
}

/// The image of a pod's only container, which is of the registry and named by digest.
fn by_digest(pod: &Pod) -> anyhow::Result<String> {
    let spec = pod.spec.as_ref().context("a pod without spec")?;
    let registry = &Environment::get()?.published()?.registry;
    let images: Vec<&String> = spec
        .containers
        .iter()
        .filter_map(|one| one.image.as_ref())
        .collect();
    let [image] = images[..] else {
        anyhow::bail!("{}: {images:?}", pod.name_any());
    };
    ensure!(
        image.starts_with(&format!("{registry}/")) && image.contains("@sha256:"),
        "{}: {image}",
        pod.name_any()
    );
    Ok(image.clone())
}

/// Waits for the event of a pull: it was not on the node before.
async fn pulled(namespace: &str, image: &str) -> anyhow::Result<()> {
    let events = Api::<Event>::namespaced(cluster::admin().await?, namespace);
    let reason = ListParams::default().fields("reason=Pulled");
    let beginning = format!("Successfully pulled image \"{image}\"");
    wait::until(&format!("a pull of {image}"), wait::USUAL, || async {
        let events = events
            .list(&reason)
            .await
            .map_err(|error| vec![error.to_string()])?;
        let messages: Vec<String> = events.into_iter().filter_map(|event| event.message).collect();
        let is_pulled = messages.iter().any(|message| message.starts_with(&beginning));
        is_pulled.then_some(()).ok_or(messages)
    })
    .await
}

/// A pod with this image, which is on the node already, and without the Secret.
pub(crate) async fn refused_without_password(image: &str) -> anyhow::Result<()> {
    let pods = Api::<Pod>::namespaced(cluster::admin().await?, NAMESPACE);
    let container = json!({"image": image, "imagePullPolicy": "Always"});
    let pod = cluster::restricted_pod("without-password", container, &json!([]));
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?)
        .await?;
    let refused = wait::until("the registry to refuse a pull", wait::USUAL, || async {
        let pod = pods
            .get("without-password")
            .await
            .map_err(|error| error.to_string())?;
        let status = serde_json::to_value(&pod.status).map_err(|error| error.to_string())?;
        let waiting = &status["containerStatuses"][0]["state"]["waiting"];
        let message = waiting["message"].as_str().unwrap_or_default();
        if waiting["reason"] == "ErrImagePull" || waiting["reason"] == "ImagePullBackOff" {
            Ok(message.to_owned())
        } else {
            Err(status.to_string())
        }
    })
    .await?;
    pods.delete("without-password", &DeleteParams::default()).await?;
    ensure!(refused.contains("authori"), "{refused}");
    Ok(())
}
