//! Deployment of the product -> number of its running pods (IO).
//!
//! Only for test binaries that run alone on the cluster.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::{Environment, cluster, wait};

/// Scales a component to `replicas` pods and waits until exactly these exist and are ready. Returns the number before.
pub async fn scale(component: &str, replicas: i32) -> anyhow::Result<i32> {
    scale_in(&Environment::get()?.system_namespace, component, replicas).await
}

/// Like [`scale`], of the release in another namespace.
pub async fn scale_in(namespace: &str, component: &str, replicas: i32) -> anyhow::Result<i32> {
    let deployments = Api::<Deployment>::namespaced(cluster::admin().await?, namespace);
    let name = format!("{}-{component}", Environment::get()?.release);
    let before = deployments.get(&name).await?.spec.and_then(|spec| spec.replicas);
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    deployments
        .patch_scale(&name, &PatchParams::default(), &patch)
        .await?;
    are_ready(namespace, component, replicas).await?;
    Ok(before.unwrap_or(1))
}

async fn are_ready(namespace: &str, component: &str, replicas: i32) -> anyhow::Result<()> {
    let all = Api::<Pod>::namespaced(cluster::admin().await?, namespace);
    let of_it = cluster::of_component(component);
    wait::until(
        &format!("{replicas} pods of {component}"),
        wait::USUAL,
        || async {
            let pods = all.list(&of_it).await.map_err(|error| error.to_string())?.items;
            let good = pods.iter().filter(|pod| cluster::is_ready(pod)).count();
            if i32::try_from(pods.len()) == Ok(replicas) && good == pods.len() {
                return Ok(());
            }
            Err(format!("{} pods, {good} ready", pods.len()))
        },
    )
    .await
}
