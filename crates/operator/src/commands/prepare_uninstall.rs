//! A running installation -> one that Helm can remove: no operator, no webhook configurations, none of our finalizers (IO).
//!
//! Without this, objects with our finalizers could not be deleted after an uninstall, and the API server would refuse workspaces because
//! the webhook does not answer. Objects, disks and running pods are kept.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use api::{
    Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate,
    names::{CLEANUP_FINALIZER, IN_USE_FINALIZER},
};
use clap::Parser;
use json_patch::Patch as JsonPatch;
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    apps::v1::Deployment,
    core::v1::Pod,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    core::PartialObjectMeta,
    runtime::{conditions::is_deleted, wait::await_condition},
};
use serde::de::DeserializeOwned;
use serde_json::json;

/// Name of the command, as the first argument.
pub const NAME: &str = "prepare-uninstall";
/// Field manager of the writes.
const MANAGER: &str = "jupyter-k8s-uninstall";
/// Time in which the operator's pods end. Their grace period is 30 s.
const STOPPED: Duration = Duration::from_secs(90);
/// Annotation that Helm writes on each object that it manages.
const HELM_RELEASE: &str = "meta.helm.sh/release-name";
/// Objects per page of a list.
const PAGE: u32 = 500;
/// Attempts to remove a finalizer from an object that others change.
const ATTEMPTS: usize = 5;

/// Stops the operator, deletes the webhook configurations, and removes the product's finalizers. Objects, disks and running pods are kept.
/// May be repeated.
#[derive(Clone, Debug, Parser)]
#[command(name = "jupyter-k8s-operator", version)]
pub struct Args {
    /// The command.
    #[arg(value_parser = [NAME])]
    command: String,

    /// Namespace of the release.
    #[arg(long, env = "POD_NAMESPACE")]
    namespace: String,

    /// Name of the Helm release.
    #[arg(long, env = "RELEASE_NAME", default_value = "jupyter-k8s")]
    release_name: String,
}

/// Runs the steps in order. Each step is complete before the next one starts.
///
/// # Errors
/// The API server refuses a request, or the operator's pods do not end. The message names the object.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Args {
        namespace,
        release_name,
        ..
    } = args;
    let client = kit::client::new(MANAGER).await?;
    stop_operator(&client, &namespace, &release_name).await?;
    let webhook = format!("{release_name}-webhook");
    delete(
        &Api::<ValidatingWebhookConfiguration>::all(client.clone()),
        &webhook,
    )
    .await?;
    delete(
        &Api::<MutatingWebhookConfiguration>::all(client.clone()),
        &webhook,
    )
    .await?;
    release::<Workspace>(&client).await?;
    release::<WorkspaceTemplate>(&client).await?;
    release::<WorkspaceManager>(&client).await?;
    release::<WorkspaceExecutionProfile>(&client).await
}

/// Scales the operator to 0 and waits until its pods are gone: a running operator would set the finalizers again.
async fn stop_operator(client: &Client, namespace: &str, release: &str) -> anyhow::Result<()> {
    let name = format!("{release}-operator");
    let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
    let none = Patch::Merge(json!({"spec": {"replicas": 0}}));
    let context = || format!("Deployment {name}");
    if let Some(found) = deployments.get_opt(&name).await.with_context(context)? {
        // Helm writes this annotation. Manifests of `helm template` contain the hook's Job, too, but not the annotation.
        ensure!(
            found.annotations().get(HELM_RELEASE).map(String::as_str) == Some(release),
            "Deployment {name} is not managed by a Helm release {release}: nothing was changed. Leave hooks out of manifests that you \
             apply by kubectl: helm template --no-hooks"
        );
        deployments
            .patch_scale(&name, &params(), &none)
            .await
            .with_context(context)?;
    }
    let labels = format!("app.kubernetes.io/instance={release},app.kubernetes.io/component=operator");
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let ended = async {
        loop {
            let left = pods.list(&ListParams::default().labels(&labels)).await?.items;
            if left.is_empty() {
                return anyhow::Ok(());
            }
            for pod in left {
                let uid = pod.uid().unwrap_or_default();
                await_condition(pods.clone(), &pod.name_any(), is_deleted(&uid)).await?;
            }
        }
    };
    tokio::time::timeout(STOPPED, ended)
        .await
        .with_context(|| format!("the pods of Deployment {name} do not end"))??;
    tracing::info!(deployment = name, "stopped");
    Ok(())
}

async fn delete<K>(api: &Api<K>, name: &str) -> anyhow::Result<()>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let kind = K::kind(&());
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => tracing::info!(%kind, name, "deleted"),
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(error).with_context(|| format!("{kind} {name}")),
    }
    Ok(())
}

/// Removes our finalizers from all objects of a kind.
async fn release<K>(client: &Client) -> anyhow::Result<()>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let kind = K::kind(&());
    let all = Api::<K>::all(client.clone());
    let (mut count, mut params) = (0_usize, ListParams::default().limit(PAGE));
    loop {
        let page = all.list_metadata(&params).await;
        let page = match page {
            // The CRD is gone, and all objects with it.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            page => page.with_context(|| kind.to_string())?,
        };
        for object in page.items {
            count += usize::from(release_one(client, object).await?);
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    tracing::info!(%kind, count, "finalizers are removed");
    Ok(())
}

/// Removes our finalizers from one object. Returns whether it had some.
async fn release_one<K>(client: &Client, mut object: PartialObjectMeta<K>) -> anyhow::Result<bool>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let name = object.name_any();
    let url = K::url_path(&(), object.namespace().as_deref());
    let context = || format!("{} {name}", K::kind(&()));
    for attempt in 1.. {
        let Some(patch) = without_ours(&object) else {
            return Ok(attempt > 1);
        };
        let request = kube::core::Request::new(url.as_str());
        let patched = request
            .patch_metadata(&name, &params(), &Patch::Json::<()>(patch))
            .map_err(kube::Error::BuildRequest)?;
        match client.request::<PartialObjectMeta<K>>(patched).await {
            Ok(_) => return Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(false),
            // Somebody else changed the finalizers: 422 of a failed test, or 409.
            Err(kube::Error::Api(status)) if [409, 422].contains(&status.code) && attempt < ATTEMPTS => {
                let get = request.get_metadata(&name, &kube::api::GetParams::default());
                object = client
                    .request(get.map_err(kube::Error::BuildRequest)?)
                    .await
                    .with_context(context)?;
            }
            Err(error) => return Err(error).with_context(context),
        }
    }
    Ok(true)
}

/// The patch that removes our finalizers, if the object has some (pure).
fn without_ours<K>(object: &PartialObjectMeta<K>) -> Option<JsonPatch> {
    let all = object.metadata.finalizers.as_ref()?;
    let others: Vec<_> = all
        .iter()
        .filter(|name| ![CLEANUP_FINALIZER, IN_USE_FINALIZER].contains(&name.as_str()))
        .collect();
    if others.len() == all.len() {
        return None;
    }
    let at = "/metadata/finalizers";
    serde_json::from_value(json!([
        {"op": "test", "path": at, "value": all},
        {"op": "replace", "path": at, "value": others},
    ]))
    .ok()
}

fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(finalizers: &[&str]) -> PartialObjectMeta<Workspace> {
        serde_json::from_value(json!({"metadata": {"name": "a", "finalizers": finalizers}})).unwrap()
    }

    #[test]
    fn only_our_finalizers_are_removed() {
        assert!(without_ours(&with(&["example.org/theirs"])).is_none());
        let patch = without_ours(&with(&[
            "example.org/theirs",
            CLEANUP_FINALIZER,
            IN_USE_FINALIZER,
        ]))
        .unwrap();
        let mut object =
            serde_json::to_value(with(&["example.org/theirs", CLEANUP_FINALIZER, IN_USE_FINALIZER])).unwrap();
        json_patch::patch(&mut object, &patch).unwrap();
        assert_eq!(object["metadata"]["finalizers"], json!(["example.org/theirs"]));
    }
}
