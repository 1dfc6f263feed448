//! Pods of the release -> which of them reach the provider's database and its replicas (IO).

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use e2e::cluster::{
    self, Scratch,
    node_network::{self, NodeNetwork},
};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Api;

use super::PROVIDER;

/// By which the replicas find each other, and detect that one is gone.
const BETWEEN_REPLICAS: [u16; 2] = [7800, 57_800];

/// The provider's pods reach the database and each other, and those of all other components neither.
pub(crate) async fn are_the_provider_s_alone(scratch: &Scratch, database: &str) -> anyhow::Result<()> {
    let admin = cluster::admin().await?;
    let address = |pod: &Pod| {
        pod.status
            .as_ref()
            .and_then(|status| status.pod_ip.clone())
            .context("no address")
    };
    let of = async |component: &str| -> anyhow::Result<BTreeSet<String>> {
        let pods = cluster::component_pods(admin.clone(), component).await?;
        pods.iter()
            .filter(|pod| cluster::is_ready(pod))
            .map(address)
            .collect()
    };
    let services: Api<Service> = scratch.api();
    let database = services
        .get(database)
        .await?
        .spec
        .and_then(|spec| spec.cluster_ip);
    let database = format!("tcp:{}:5432", database.context("no address")?);
    let replicas = of(PROVIDER).await?;
    let ports = replicas
        .iter()
        .flat_map(|address| BETWEEN_REPLICAS.map(|port| format!("tcp:{address}:{port}")));
    let targets: BTreeSet<_> = ports.chain([database]).collect();
    let mut sources = BTreeSet::from([String::new()]);
    sources.extend(replicas.iter().cloned());
    for component in ["gateway", "operator", "portal", "proxy", "webhook"] {
        sources.extend(of(component).await?);
    }
    let own = format!("{}:{}", node_network::link_local_address(), node_network::PORT);
    let network = NodeNetwork::start(&[own]).await?;
    let seen = network.connect(&sources, &targets).await?;
    for (source, view) in &seen {
        // The node is the control: all of them listen.
        let may = source.is_empty() || replicas.contains(source);
        let expected = if may { targets.clone() } else { BTreeSet::new() };
        ensure!(
            view.reached == expected,
            "{source:?} reached {:?} of {targets:?}",
            view.reached
        );
    }
    network.finish().await
}
