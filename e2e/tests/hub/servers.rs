//! A server's user and name -> its workspace (IO).

use anyhow::Context as _;
use kube::{ResourceExt as _, api::ListParams};

use super::sample::workspaces;

/// The name of a server's workspace, as its labels say. An earlier user of that name may have had another one.
pub(crate) async fn workspace_of(user: &str, server: &str) -> anyhow::Result<String> {
    let labels = format!("hub.jupyter.org/username={user},hub.jupyter.org/servername={server}");
    let found = workspaces().await?;
    let found = found.list(&ListParams::default().labels(&labels)).await?;
    let newest = found
        .items
        .iter()
        .max_by_key(|workspace| workspace.creation_timestamp());
    Ok(newest
        .with_context(|| format!("no workspace has the labels {labels}"))?
        .name_any())
}
