//! `helm test` without faults and with one fault.

mod check;
mod stand_in;
mod unreached;

use api::Workspace;
use e2e::{Environment, cluster, installation::release};
use kube::{Api, ResourceExt as _, api::ListParams};

#[tokio::test]
async fn helm_test_reports_that_the_installation_works_and_leaves_no_workspace() -> anyhow::Result<()> {
    let lines = release::test().await?;
    // The names of the local cluster are known to the machine alone, not to its pods.
    for check in ["certificate", "provider", "users", "admission", "workspace"] {
        let beginning = format!("ok    {check:<12} ");
        let passed = lines.iter().filter(|line| line.starts_with(&beginning)).count();
        anyhow::ensure!(passed == 1, "{check}: {lines:#?}");
    }
    let name = format!("{}-tests", Environment::get()?.release);
    let left = Api::<Workspace>::all(cluster::admin().await?)
        .list(&ListParams::default())
        .await?;
    anyhow::ensure!(
        left.iter().all(|workspace| workspace.name_any() != name),
        "{name} is left"
    );
    Ok(())
}
