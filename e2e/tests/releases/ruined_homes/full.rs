//! A home on a full disk: the page tells it, JupyterLab starts all the same, and files can be deleted in recovery.

use std::time::Duration;

use e2e::{
    cluster::{self, Scratch},
    jupyter::terminal,
    objects::workspace,
    wait,
};
use serde_json::json;

use super::{
    Lab, NAME, OWNER, RECOVER,
    disk::{self, SIZE},
    page,
};

/// Fills the disk.
const FILL: &str = "cat /dev/zero > ~/filler; ! echo more > ~/more";
/// Longest time until a full disk is known: a door repeats its figures for four minutes, and is asked each minute.
const ASKED: Duration = Duration::from_mins(6);

#[tokio::test]
async fn a_full_home_is_told_starts_is_emptied_in_recovery_and_starts_normally() -> anyhow::Result<()> {
    let scratch = Scratch::new("full", &[OWNER]).await?;
    let storage = disk::make(&scratch, 1000, |folder| ("local", json!({"path": folder}))).await?;
    let lab = Box::pin(Lab::new(scratch, storage)).await?;
    // Kernels write to the home, too.
    lab.reads_in_a_kernel().await?;
    let pod = workspace::pod(&lab.workspaces.get(NAME).await?)?;
    cluster::exec(&lab.scratch.api(), &pod, &["sh", "-c", FILL]).await?;
    lab.has_full_disk(true).await?;
    lab.browser.page.goto(&page(&lab.scratch)?).await?;
    let warning = format!("No space is left on its disk workspace-{NAME} ({SIZE})");
    lab.browser.sees("#explanation", &warning).await?;

    workspace::stop(&lab.workspaces, NAME).await?;
    workspace::start(&lab.workspaces, NAME).await?;
    lab.shows_the_files().await?;
    lab.reads_in_a_kernel().await?;

    workspace::stop(&lab.workspaces, NAME).await?;
    lab.browser.page.goto(&page(&lab.scratch)?).await?;
    lab.next_run(lab.browser.click(RECOVER), true).await?;
    lab.shows_the_files().await?;
    lab.session.enter(&lab.url, OWNER).await?;
    let delete = "rm disk/filler; echo deleted-$?";
    terminal::types(&lab.session, &lab.url, delete, "deleted-0").await?;

    lab.starts_normally().await?;
    lab.reads_in_a_kernel().await?;
    lab.has_full_disk(false).await?;
    let name = lab.scratch.namespace.clone();
    lab.finish().await?;
    disk::remove(name).await
}

impl Lab {
    /// Waits until the status says that the disk is full, or that it is not.
    async fn has_full_disk(&self, wanted: bool) -> anyhow::Result<()> {
        wait::until(&format!("a full disk to be {wanted}"), ASKED, || async {
            let lab = self
                .workspaces
                .get(NAME)
                .await
                .map_err(|error| error.to_string())?;
            let disk = lab.status.and_then(|status| status.disk);
            match &disk {
                Some(known) if known.full == wanted && known.used_percent.is_some() => Ok(()),
                _ => Err(format!("{disk:?}")),
            }
        })
        .await
    }
}
