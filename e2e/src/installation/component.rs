//! Deployment of the product -> number of its running pods, and other pods in place of these (IO).
//!
//! Only for test binaries that run alone on the cluster.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod, policy::v1::PodDisruptionBudget};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, EvictParams, Patch, PatchParams},
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
    are_ready_in(namespace, component, replicas).await?;
    Ok(before.unwrap_or(1))
}

/// Waits until exactly `replicas` pods of a component exist and are ready.
pub async fn are_ready(component: &str, replicas: i32) -> anyhow::Result<()> {
    are_ready_in(&Environment::get()?.system_namespace, component, replicas).await
}

async fn are_ready_in(namespace: &str, component: &str, replicas: i32) -> anyhow::Result<()> {
    let all = Api::<Pod>::namespaced(cluster::admin().await?, namespace);
    let of_it = cluster::of_component(component);
    wait::until(
        &format!("{replicas} pods of {component}"),
        wait::USUAL,
        || async {
            let mut pods = all.list(&of_it).await.map_err(|error| error.to_string())?.items;
            pods.retain(|pod| !cluster::has_ended(pod));
            let good = pods.iter().filter(|pod| cluster::is_ready(pod)).count();
            if i32::try_from(pods.len()) == Ok(replicas) && good == pods.len() {
                return Ok(());
            }
            Err(format!("{} pods, {good} ready", pods.len()))
        },
    )
    .await
}

/// Kills every pod of a component at once, without grace. Returns their names, which no pod has afterwards.
pub async fn kill(component: &str) -> anyhow::Result<Vec<String>> {
    let admin = cluster::admin().await?;
    let pods = cluster::component_pods(admin.clone(), component).await?;
    ensure!(!pods.is_empty(), "no pod of {component}");
    let api = Api::<Pod>::namespaced(admin, &Environment::get()?.system_namespace);
    let at_once = DeleteParams::default().grace_period(0);
    let names: Vec<_> = pods.iter().map(ResourceExt::name_any).collect();
    for name in &names {
        match api.delete(name, &at_once).await {
            // It was already ending.
            Err(kube::Error::Api(answer)) if answer.code == 404 => {}
            other => drop(other?),
        }
    }
    Ok(names)
}

/// Evicts both pods of a component one after the other, as `kubectl drain` does. The next one goes when the component is complete again.
pub async fn evict_each(component: &str) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let (admin, namespace) = (cluster::admin().await?, &environment.system_namespace);
    let budgets = Api::<PodDisruptionBudget>::namespaced(admin.clone(), namespace);
    let budget = budgets.get(&format!("{}-{component}", environment.release)).await;
    budget.with_context(|| format!("{component} has no PodDisruptionBudget"))?;
    let pods = cluster::component_pods(admin.clone(), component).await?;
    ensure!(pods.len() == 2, "{} pods of {component}", pods.len());
    let api = Api::<Pod>::namespaced(admin.clone(), namespace);
    for pod in &pods {
        let name = pod.name_any();
        // 429 is the answer of a PodDisruptionBudget: not now.
        wait::until(&format!("{name} to be evicted"), wait::USUAL, || async {
            let evicted = api.evict(&name, &EvictParams::default()).await;
            evicted.map_err(|error| error.to_string())
        })
        .await?;
        wait::until(
            &format!("{component} to be complete again"),
            wait::USUAL,
            || async {
                let now = cluster::component_pods(admin.clone(), component)
                    .await
                    .map_err(|error| format!("{error:#}"))?;
                let ready: BTreeMap<_, _> = now
                    .iter()
                    .map(|pod| (pod.name_any(), cluster::is_ready(pod)))
                    .collect();
                let complete = ready.len() == pods.len()
                    && ready.values().all(|ready| *ready)
                    && !ready.contains_key(&name);
                if complete {
                    Ok(())
                } else {
                    Err(format!("{ready:?}"))
                }
            },
        )
        .await?;
    }
    Ok(())
}
