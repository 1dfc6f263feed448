//! A running installation -> one that Helm can remove (IO).
//!
//! Then there is no operator, no webhook configuration and none of our finalizers.
//!
//! Without this, objects with our finalizers could not be deleted after an uninstall, and the API server would refuse workspaces because
//! the webhook does not answer. Objects, disks and running pods are kept.
//!
//! Everything is tried as a dry run first: if the API server refuses a finalizer, nothing is changed. After a later failure the operator stays
//! stopped: without the webhook it would run unchecked workspaces. The command may be repeated, and an upgrade of the release
//! brings both back.

use std::time::Duration;

use anyhow::{Context as _, bail};
use api::{
    Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate,
    names::{CLEANUP_FINALIZER, IN_USE_FINALIZER},
};
use clap::Parser;
use futures::{StreamExt as _, stream};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    apps::v1::Deployment,
    core::v1::Pod,
};
use kit::scope::Scope;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    core::PartialObjectMeta,
    runtime::wait::await_condition,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::send::patch_as;

/// Name of the command, as the first argument.
pub const NAME: &str = "prepare-uninstall";
/// Field manager of the writes.
const MANAGER: &str = "jupyter-k8s-uninstall";
/// Time in which the operator's pods end. Their grace period is 30 s.
const STOPPED: Duration = Duration::from_secs(90);
/// Annotation that Helm writes on each object that it manages.
const HELM_RELEASE: &str = "meta.helm.sh/release-name";
/// Annotation that Argo CD writes on each object that it manages. It runs the hook when its Application is deleted.
const ARGO_CD: &str = "argocd.argoproj.io/tracking-id";
/// Objects per page of a list. Metadata of one may take half a MiB.
const PAGE: u32 = 50;
/// Concurrent writes.
const CONCURRENCY: usize = 16;
/// Most lists of all objects of a kind.
const MAX_LISTS: usize = 10;
/// Names of our webhooks. A dry run may fail because of them, the removal of a finalizer cannot: they are deleted before.
const OUR_WEBHOOKS: [&str; 2] = [
    r#""workspaces.workspaces.jupyter.org""#,
    r#""catalogue.workspaces.jupyter.org""#,
];
/// What the API server answers to a dry run where another webhook takes none. Then the dry run says nothing.
const NO_DRY_RUN: &str = "does not support dry run";

/// Stops the operator, deletes the webhook configurations, and removes the product's finalizers. Objects, disks and running pods are kept.
/// May be repeated.
#[derive(Clone, Debug, Parser)]
#[command(name = "jupyter-k8s-operator", version)]
pub struct PrepareUninstall {
    /// The command.
    #[arg(value_parser = [NAME])]
    command: String,

    /// Namespace of the release.
    #[arg(long, env = "POD_NAMESPACE")]
    namespace: String,

    /// The only namespace of the release's workspaces. The release has no webhook then, and no finalizers on templates and managers
    /// [default: all namespaces].
    #[arg(long, env = "WATCH_NAMESPACE")]
    watch_namespace: Option<String>,

    /// Name of the Helm release.
    #[arg(long, env = "RELEASE_NAME", default_value = "jupyter-k8s")]
    release_name: String,
}

/// Whether the API server stores the writes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Write {
    /// It checks them and stores nothing.
    DryRun,
    Stored,
}

impl Write {
    fn patch(self) -> PatchParams {
        PatchParams {
            dry_run: self == Self::DryRun,
            ..patch_as(MANAGER)
        }
    }

    fn delete(self) -> DeleteParams {
        DeleteParams {
            dry_run: self == Self::DryRun,
            ..DeleteParams::default()
        }
    }
}

/// Runs the steps in order, first as a dry run. Each step is complete before the next one starts. An object that is refused keeps no other
/// from being released.
///
/// # Errors
/// The API server refuses a request, or the operator's pods do not end. The message names the object.
pub async fn run(args: PrepareUninstall) -> anyhow::Result<()> {
    let client = api::response::readable(kit::client::new(MANAGER).await?);
    prepare(&client, args).await
}

async fn prepare(client: &Client, args: PrepareUninstall) -> anyhow::Result<()> {
    let PrepareUninstall {
        namespace,
        release_name,
        watch_namespace,
        ..
    } = args;
    let scope = Scope::from_namespace(watch_namespace);
    let deployments = Api::<Deployment>::namespaced(client.clone(), &namespace);
    let name = format!("{release_name}-operator");
    let context = || format!("Deployment {name}");
    let operator = deployments.get_opt(&name).await.with_context(context)?;
    if operator.is_some_and(|operator| !is_managed(&operator, &release_name)) {
        return Ok(());
    }
    for write in [Write::DryRun, Write::Stored] {
        let steps = async {
            stop_operator(client, &namespace, &release_name, write).await?;
            if scope.is_cluster() {
                let webhook = format!("{release_name}-webhook");
                delete::<ValidatingWebhookConfiguration>(client, &webhook, write).await?;
                delete::<MutatingWebhookConfiguration>(client, &webhook, write).await?;
            }
            release_all(client, &scope, write).await
        };
        match write {
            Write::DryRun => steps
                .await
                .context("nothing is changed, because this is refused")?,
            Write::Stored => steps.await?,
        }
    }
    Ok(())
}

/// Whether Helm or Argo CD manages this operator. Manifests of `helm template` contain the hook's Job, too. Applied by kubectl, it must not
/// stop a new installation.
fn is_managed(operator: &Deployment, release: &str) -> bool {
    let annotations = operator.annotations();
    let is_of_release = annotations.get(HELM_RELEASE).map(String::as_str) == Some(release);
    let is_managed = is_of_release || annotations.contains_key(ARGO_CD);
    if !is_managed {
        tracing::warn!(
            deployment = operator.name_any(),
            "nothing is changed: neither Helm nor Argo CD manages it. Leave hooks out of manifests for kubectl: helm template --no-hooks"
        );
    }
    is_managed
}

/// Scales the operator to 0 and waits until its pods have ended: a running operator would set the finalizers again.
async fn stop_operator(client: &Client, namespace: &str, release: &str, write: Write) -> anyhow::Result<()> {
    let name = format!("{release}-operator");
    let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
    let none = Patch::Merge(json!({"spec": {"replicas": 0}}));
    match deployments.patch_scale(&name, &write.patch(), &none).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        scaled => drop(scaled.with_context(|| format!("Deployment {name}"))?),
    }
    if write == Write::DryRun {
        return Ok(());
    }
    let labels = format!("app.kubernetes.io/instance={release},app.kubernetes.io/component=operator");
    // Nothing deletes pods that have ended, for example evicted ones.
    let running = ListParams::default()
        .labels(&labels)
        .fields("status.phase!=Succeeded,status.phase!=Failed");
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let ended = async {
        // Until the Deployment's controller has seen the new number, it may make another pod.
        await_condition(deployments, &name, is_scaled_down).await?;
        loop {
            let left = pods.list(&running).await?.items;
            if left.is_empty() {
                return anyhow::Ok(());
            }
            for pod in left {
                await_condition(pods.clone(), &pod.name_any(), has_ended).await?;
            }
        }
    };
    tokio::time::timeout(STOPPED, ended)
        .await
        .with_context(|| format!("the pods of Deployment {name} do not end"))??;
    tracing::info!(deployment = name, "stopped");
    Ok(())
}

fn is_scaled_down(deployment: Option<&Deployment>) -> bool {
    let Some(deployment) = deployment else {
        return true;
    };
    let status = deployment.status.as_ref();
    let seen = status.and_then(|status| status.observed_generation);
    seen >= deployment.metadata.generation && status.and_then(|status| status.replicas).unwrap_or(0) == 0
}

fn has_ended(pod: Option<&Pod>) -> bool {
    let phase = pod
        .and_then(|pod| pod.status.as_ref())
        .and_then(|status| status.phase.as_deref());
    pod.is_none() || phase.is_some_and(|phase| ["Succeeded", "Failed"].contains(&phase))
}

async fn delete<K>(client: &Client, name: &str, write: Write) -> anyhow::Result<()>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let kind = K::kind(&());
    match Api::<K>::all(client.clone()).delete(name, &write.delete()).await {
        Ok(_) => tracing::info!(%kind, name, ?write, "deleted"),
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(error).with_context(|| format!("{kind} {name}")),
    }
    Ok(())
}

/// Removes our finalizers from all objects.
async fn release_all(client: &Client, scope: &Scope, write: Write) -> anyhow::Result<()> {
    let mut outcomes = Vec::new();
    if scope.is_cluster() {
        outcomes.push(release::<WorkspaceTemplate>(client, &Api::all(client.clone()), write).await);
        outcomes.push(release::<WorkspaceManager>(client, &Api::all(client.clone()), write).await);
    }
    outcomes.push(release::<Workspace>(client, &scope.api(client.clone()), write).await);
    outcomes.push(release::<WorkspaceExecutionProfile>(client, &scope.api(client.clone()), write).await);
    outcomes.into_iter().collect()
}

/// Removes our finalizers from all objects of a kind. An API server may call the webhook for some time after its configuration was
/// deleted, so that an object gets the finalizer back. So all objects are read again until none has one.
async fn release<K>(client: &Client, all: &Api<K>, write: Write) -> anyhow::Result<()>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let kind = K::kind(&());
    for _ in 0..MAX_LISTS {
        let (count, refused) = release_listed(client, all, write).await?;
        tracing::info!(%kind, count, ?write, "finalizers are removed");
        // What is refused once is refused again. All others are released by now.
        if let Some(error) = refused {
            return Err(error);
        }
        if count == 0 || write == Write::DryRun {
            return Ok(());
        }
    }
    bail!("{kind}: something sets our finalizers again")
}

/// Removes our finalizers from the listed objects. Returns how many had some, and the first error of those that
/// still have them.
async fn release_listed<K>(
    client: &Client,
    all: &Api<K>,
    write: Write,
) -> anyhow::Result<(usize, Option<anyhow::Error>)>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let (mut count, mut refused, mut params) = (0, None, ListParams::default().limit(PAGE));
    loop {
        let page = match all.list_metadata(&params).await {
            // The CRD is gone, and all objects with it.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok((count, refused)),
            page => page.with_context(|| K::kind(&()).to_string())?,
        };
        let outcomes: Vec<_> = stream::iter(page.items)
            .map(|object| release_one(client, object, write))
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        for outcome in outcomes {
            match outcome {
                Ok(had_some) => count += usize::from(had_some),
                Err(error) => {
                    tracing::error!("{error:#}");
                    refused.get_or_insert(error);
                }
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok((count, refused)),
        }
    }
}

/// Removes our finalizers from one object. Returns whether it had some. If it has changed since it was listed, the next list has it again.
async fn release_one<K>(client: &Client, object: PartialObjectMeta<K>, write: Write) -> anyhow::Result<bool>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let Some(mut patch) = without_ours(&object) else {
        return Ok(false);
    };
    if write == Write::DryRun {
        // The operator still changes objects. A conflict would say nothing about the finalizers.
        // Null would remove the version from the object, and custom resources are not updated without one.
        if let Some(metadata) = patch["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
    }
    let name = object.name_any();
    let url = K::url_path(&(), object.namespace().as_deref());
    let request = kube::core::Request::new(url.as_str())
        .patch_metadata(&name, &write.patch(), &Patch::Merge(patch))
        .map_err(kube::Error::BuildRequest)?;
    match client.request::<PartialObjectMeta<K>>(request).await {
        Ok(_) => Ok(true),
        // Gone, or changed.
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(true),
        Err(kube::Error::Api(status)) if write == Write::DryRun && says_nothing(&status.message) => Ok(true),
        Err(error) => Err(error).with_context(|| match object.namespace() {
            Some(namespace) => format!("{} {namespace}/{name}", K::kind(&())),
            None => format!("{} {name}", K::kind(&())),
        }),
    }
}

/// Whether a refused dry run does not mean that the write would be refused (pure).
fn says_nothing(message: &str) -> bool {
    let is_of_ours = message.contains("webhook") && OUR_WEBHOOKS.iter().any(|name| message.contains(name));
    is_of_ours || message.contains(NO_DRY_RUN)
}

/// The merge patch that removes our finalizers from this version of the object, if it has some (pure).
fn without_ours<K>(object: &PartialObjectMeta<K>) -> Option<Value> {
    let all = object.metadata.finalizers.as_ref()?;
    let others: Vec<_> = all
        .iter()
        .filter(|name| ![CLEANUP_FINALIZER, IN_USE_FINALIZER].contains(&name.as_str()))
        .collect();
    if others.len() == all.len() {
        return None;
    }
    let version = &object.metadata.resource_version;
    Some(json!({"metadata": {"resourceVersion": version, "finalizers": others}}))
}

#[cfg(test)]
mod tests;
