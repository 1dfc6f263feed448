//! One of the product's own Deployments, and how it runs (IO). For test binaries that have the cluster to themselves.

use anyhow::Context as _;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::{Environment, cluster, wait};

/// Runs `replicas` pods of a component, waits until exactly those are there and ready, and returns how many there were.
pub async fn scale(component: &str, replicas: i32) -> anyhow::Result<i32> {
    let (deployments, name) = deployment(component).await?;
    let before = deployments.get(&name).await?.spec.and_then(|spec| spec.replicas);
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    deployments
        .patch_scale(&name, &PatchParams::default(), &patch)
        .await?;
    are_ready(component, replicas, |_| true).await?;
    Ok(before.unwrap_or(1))
}

/// Runs a component with `argument` in place of the one that begins like it up to `=`; waits until no other pod is
/// left, and returns the former argument.
pub async fn set_argument(component: &str, argument: &str) -> anyhow::Result<String> {
    let (deployments, name) = deployment(component).await?;
    let spec = deployments
        .get(&name)
        .await?
        .spec
        .context("a Deployment without spec")?;
    let replicas = spec.replicas.unwrap_or(1);
    let container = spec.template.spec.context("no pod")?.containers.remove(0);
    let mut arguments = container.args.unwrap_or_default();
    let begin = argument.split_inclusive('=').next().unwrap_or_default();
    let place = arguments.iter_mut().find(|one| one.starts_with(begin));
    let former = std::mem::replace(place.context("no such argument")?, argument.to_owned());
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": container.name, "args": arguments}]}}}});
    deployments
        .patch(&name, &PatchParams::default(), &Patch::Strategic(patch))
        .await?;
    are_ready(component, replicas, |pod| {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        containers
            .flat_map(|one| one.args.iter().flatten())
            .any(|one| one == argument)
    })
    .await?;
    Ok(former)
}

async fn deployment(component: &str) -> anyhow::Result<(Api<Deployment>, String)> {
    let environment = Environment::get()?;
    let api = Api::namespaced(cluster::admin().await?, &environment.system_namespace);
    Ok((api, format!("{}-{component}", environment.release)))
}

async fn are_ready(component: &str, replicas: i32, wanted: impl Fn(&Pod) -> bool) -> anyhow::Result<()> {
    let admin = cluster::admin().await?;
    wait::until(
        &format!("{replicas} pods of {component}"),
        wait::USUAL,
        || async {
            let pods = cluster::component_pods(admin.clone(), component).await;
            let pods = pods.map_err(|error| format!("{error:#}"))?;
            let good = pods
                .iter()
                .filter(|pod| cluster::is_ready(pod) && wanted(pod))
                .count();
            if i32::try_from(pods.len()) == Ok(replicas) && good == pods.len() {
                return Ok(());
            }
            Err(format!("{} pods, {good} as wanted", pods.len()))
        },
    )
    .await
}
