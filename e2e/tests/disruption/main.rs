//! Components end while users work.
//!
//! These tests have their own stages (`.config/nextest.toml`).

mod definitions;
mod evictions;
mod keys;
mod opened;
mod operator_down;
mod replicas;
mod starts;

use std::time::Duration;

use e2e::{cluster, http::HttpSession, wait};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _, api::DeleteParams};
use reqwest::{Method, StatusCode};

/// Tests of this binary kill the same pods, so they take turns.
static EXCLUSIVE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Kills every pod of a component at once, without grace.
async fn kill(component: &str) -> anyhow::Result<Vec<String>> {
    let admin = cluster::admin().await?;
    let pods = cluster::component_pods(admin.clone(), component).await?;
    anyhow::ensure!(!pods.is_empty(), "no pod of {component}");
    let mut killed = Vec::new();
    for pod in pods {
        let api = Api::<Pod>::namespaced(admin.clone(), &pod.namespace().unwrap_or_default());
        let at_once = DeleteParams::default().grace_period(0);
        match api.delete(&pod.name_any(), &at_once).await {
            // It was already ending.
            Err(kube::Error::Api(answer)) if answer.code == 404 => {}
            other => drop(other?),
        }
        killed.push(pod.name_any());
    }
    Ok(killed)
}

/// Waits until other pods of the component are ready.
async fn replaced(component: &str, killed: &[String]) -> anyhow::Result<()> {
    wait::until(&format!("new {component} pods"), wait::USUAL, || async {
        let admin = cluster::admin().await.map_err(|error| format!("{error:#}"))?;
        let pods = cluster::component_pods(admin, component)
            .await
            .map_err(|error| format!("{error:#}"))?;
        let fresh: Vec<_> = pods
            .iter()
            .filter(|pod| !killed.contains(&pod.name_any()) && !cluster::has_ended(pod))
            .collect();
        if !fresh.is_empty() && fresh.iter().all(|pod| cluster::is_ready(pod)) {
            return Ok(());
        }
        Err(format!(
            "{:?}",
            pods.iter()
                .map(|pod| (pod.name_any(), &pod.status))
                .collect::<Vec<_>>()
        ))
    })
    .await
}

async fn fetch(session: &HttpSession, url: &str) -> anyhow::Result<StatusCode> {
    let request = session
        .request(Method::GET, &format!("{url}alive"))
        .header("Sec-Fetch-Site", "same-origin");
    Ok(request.timeout(Duration::from_secs(10)).send().await?.status())
}
