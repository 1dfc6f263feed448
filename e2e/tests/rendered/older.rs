//! An API server of Kubernetes 1.34 takes what the chart renders, and both Helms install it there.

use anyhow::ensure;
use e2e::command::shell::Helm;

use crate::{
    catalog::is_taken,
    server::{Empty, chart},
};

#[tokio::test]
async fn an_older_api_server_takes_every_object_and_both_helms_install_upgrade_and_uninstall_there()
-> anyhow::Result<()> {
    is_taken(&Empty::start_older("older").await?, "v1.34.").await?;
    // Objects of the renderings are in the way of a release.
    let empty = Empty::start_older("installs").await?;
    empty.define().await?;
    installs(&empty).await
}

/// Both Helms install the chart there, upgrade it with the portal's way for older versions, and remove it.
async fn installs(empty: &Empty) -> anyhow::Result<()> {
    for helm in Helm::ALL {
        let release = format!("jupyter-k8s {} -n installed --no-hooks", chart()?.display());
        let values = "--set image.registry=registry.example.com/jupyter-k8s --set routing.baseDomain=workspaces.example.org \
                      --set oidc.issuerUrl=https://id.example.com/realm --set proxy.tls.secretName=tls";
        let commands = format!(
            "helm install {release} --create-namespace {values}
             helm upgrade {release} {values} --set portal.impersonation=Token
             kubectl get validatingadmissionpolicies -o name
             helm uninstall jupyter-k8s -n installed --no-hooks"
        );
        let (code, said, wrong) = empty.outcome(helm, &commands).await?;
        ensure!(code == 0, "{helm:?}: {said} {wrong}");
        let only_reads = said
            .matches("The portal only reads here: Kubernetes v1.34")
            .count();
        ensure!(only_reads == 1, "the upgrade changes that: {said}");
        ensure!(said.contains("/jupyter-k8s-owners"), "{said}");
    }
    Ok(())
}
