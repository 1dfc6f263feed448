//! A user who gets another name, and a new one of the old name.

use anyhow::ensure;
use api::workspace::Phase;
use e2e::{cluster, objects::workspace};
use reqwest::Method;
use serde_json::json;

use super::{
    sample::{self, SERVERS, User},
    servers,
};

/// A file on the disk.
const FILE: &str = "/home/jovyan/of-the-first-bob";

#[tokio::test]
async fn a_renamed_user_keeps_the_files_and_a_new_one_of_the_old_name_has_none() -> anyhow::Result<()> {
    let hub = sample::hub().await?;
    let alice = hub.sign_in("alice").await?;
    // Of a try that ended on its way.
    alice.send(Method::DELETE, "/hub/api/users/carol").await?;
    let bob = hub.sign_in("bob").await?;
    bob.start().await?;
    let first = servers::workspace_of("bob", "").await?;
    run(&first, &["touch", FILE]).await?;
    bob.stop().await?;

    rename(&alice, "bob", "carol").await?;
    let carol = bob.renamed("carol");
    let bob = hub.sign_in("bob").await?;
    bob.start().await?;
    let second = servers::workspace_of("bob", "").await?;
    ensure!(first != second, "{first}");
    let files = run(&second, &["find", "/home/jovyan", "-maxdepth", "1"]).await?;
    ensure!(!files.contains(FILE) && files.contains("/home/jovyan"), "{files}");
    bob.stop().await?;

    let (status, message) = carol.request_server("jupyterlab").await?;
    ensure!(status.is_success(), "{status}: {message}");
    run(&first, &["test", "-f", FILE]).await?;
    ensure!(servers::workspace_of("carol", "").await? == first, "another one");
    carol.stop().await?;

    // As it was, for the next tests.
    let deleted = alice.send(Method::DELETE, "/hub/api/users/bob").await?;
    deleted.error_for_status()?;
    rename(&alice, "carol", "bob").await
}

async fn rename(administrator: &User<'_>, old: &str, new: &str) -> anyhow::Result<()> {
    let path = format!("/hub/api/users/{old}");
    let renamed = administrator
        .send_json(Method::PATCH, &path, &json!({"name": new}))
        .await?;
    renamed.error_for_status()?;
    Ok(())
}

/// Runs a command in the pod of this workspace, once it runs.
async fn run(name: &str, command: &[&str]) -> anyhow::Result<String> {
    let running = workspace::reached(&sample::workspaces().await?, name, Phase::Running).await?;
    let pods = sample::pods(SERVERS).await?;
    cluster::exec(&pods, &workspace::pod(&running)?, command).await
}
