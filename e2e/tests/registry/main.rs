//! Empty cluster and a registry with a version -> an installation by the commands of the docs.
//!
//! It has its own stage: `./justw test` publishes the version, and first removes the cluster's images.

mod administrator;
mod pulls;

use std::{collections::BTreeSet, fs};

use anyhow::ensure;
use api::Workspace;
use e2e::{
    Environment,
    browser::Browser,
    cluster,
    command::shell::{Helm, Shell},
    installation::removal,
    jupyter::notebook,
    objects::workspace,
};
use kube::Api;

use administrator::{Administrator, NAMESPACE, WORKSPACE};

#[tokio::test]
async fn helm_3_installs_from_a_registry_alone_and_alice_runs_a_cell() -> anyhow::Result<()> {
    let administrator = installed(Helm::Three).await?;
    pulls::release_pulled_by_digest().await?;
    Box::pin(alice_runs_a_cell(&administrator)).await?;
    let image = pulls::workspace_pulled_by_digest(WORKSPACE).await?;
    pulls::copy_pulled_through_a_mirror(&image).await?;
    pulls::refused_without_password(&image).await
}

#[tokio::test]
async fn helm_4_installs_from_a_registry_after_everything_was_removed_and_alice_runs_a_cell()
-> anyhow::Result<()> {
    let administrator = installed(Helm::Four).await?;
    Box::pin(alice_runs_a_cell(&administrator)).await?;
    removal::everything(Helm::Four).await
}

/// An installation on an empty cluster, whose check passes.
async fn installed(helm: Helm) -> anyhow::Result<Administrator> {
    removal::everything(helm).await?;
    let administrator = Administrator::new(Shell::new(helm)?)?;
    administrator.install().await?;
    administrator.lead_hosts_to_the_proxy().await?;
    administrator.pods_are_ready().await?;
    // Helm shows the log once for each object of the test.
    let printed = administrator.test().await?;
    let lines: BTreeSet<&str> = printed.lines().collect();
    for check in ["certificate", "DNS", "provider", "admission", "workspace"] {
        let beginning = format!("ok    {check:<12} ");
        let passed = lines.iter().filter(|line| line.starts_with(&beginning)).count();
        ensure!(passed == 1, "{check}: {printed}");
    }
    Ok(administrator)
}

/// The first workspace by the notes' commands; its owner opens it in a browser that trusts what the notes say.
async fn alice_runs_a_cell(administrator: &Administrator) -> anyhow::Result<()> {
    let shown = administrator.first_workspace().await?;
    let admin = cluster::admin().await?;
    let ours = Api::<Workspace>::namespaced(admin, NAMESPACE)
        .get(WORKSPACE)
        .await?;
    let url = workspace::url(&ours)?;
    ensure!(shown.contains(&url), "{shown} is not {url}");
    let authority = administrator.authority().await?;
    fs::write(&Environment::get()?.ca_file, authority)?;
    let browser = Browser::start().await?;
    browser.enter(&ours, "alice").await?;
    notebook::run_a_cell(&browser).await?;
    browser.screenshot("alice-runs-a-cell-from-a-registry").await?;
    browser.close().await
}
