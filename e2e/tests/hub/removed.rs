//! The end of the sample.

use e2e::{command, wait};

use super::sample;

/// The last test of its group.
#[tokio::test]
async fn the_sample_is_deleted_by_one_command_and_leaves_nothing() -> anyhow::Result<()> {
    sample::hub().await?;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/samples/jupyterhub");
    // Workspaces first: their disks are kept for the next of the same name, until their namespace goes.
    command::administered(
        &[
            "delete",
            "workspaces",
            "--all",
            "-n",
            sample::SERVERS,
            "--timeout=2m",
        ],
        "",
    )
    .await?;
    command::administered(
        &["delete", "-k", folder, "--ignore-not-found", "--wait=false"],
        "",
    )
    .await?;
    wait::until_checked_each_second("the sample to be gone", wait::USUAL, || async {
        let left = command::administered(
            &[
                "get",
                "namespaces,workspacetemplates,workspacemanagers,validatingadmissionpolicies,validatingadmissionpolicybindings",
                "-o",
                "name",
            ],
            "",
        )
        .await
        .map_err(|error| vec![format!("{error:#}")])?;
        let left: Vec<_> = left
            .lines()
            .filter(|line| line.contains("jhub") || line.contains("/jupyterhub"))
            .map(str::to_owned)
            .collect();
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await
}
