//! Deployment of the product -> number of its running pods (IO).
//!
//! Only for test binaries that run alone on the cluster.

use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::{Environment, cluster, wait};

/// Scales a component to `replicas` pods and waits until exactly these exist and are ready. Returns the number before.
pub async fn scale(component: &str, replicas: i32) -> anyhow::Result<i32> {
    let (deployments, name) = deployment(component).await?;
    let before = deployments.get(&name).await?.spec.and_then(|spec| spec.replicas);
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    deployments
        .patch_scale(&name, &PatchParams::default(), &patch)
        .await?;
    are_ready(component, replicas).await?;
    Ok(before.unwrap_or(1))
}

async fn deployment(component: &str) -> anyhow::Result<(Api<Deployment>, String)> {
    let environment = Environment::get()?;
    let api = Api::namespaced(cluster::admin().await?, &environment.system_namespace);
    Ok((api, format!("{}-{component}", environment.release)))
}

async fn are_ready(component: &str, replicas: i32) -> anyhow::Result<()> {
    let admin = cluster::admin().await?;
    wait::until(
        &format!("{replicas} pods of {component}"),
        wait::USUAL,
        || async {
            let pods = cluster::component_pods(admin.clone(), component).await;
            let pods = pods.map_err(|error| format!("{error:#}"))?;
            let good = pods.iter().filter(|pod| cluster::is_ready(pod)).count();
            if i32::try_from(pods.len()) == Ok(replicas) && good == pods.len() {
                return Ok(());
            }
            Err(format!("{} pods, {good} ready", pods.len()))
        },
    )
    .await
}
