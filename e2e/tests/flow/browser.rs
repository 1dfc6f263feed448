//! A user with a browser.

use api::workspace::Phase;
use e2e::{browser::Browser, cluster::Scratch, command, jupyter::notebook, objects::workspace};

/// Alice creates a workspace with kubectl, which waits and prints its URL. She opens it and signs in at the identity provider. In JupyterLab
/// she computes `6*7` in a kernel, over the websocket.
#[tokio::test]
async fn a_user_creates_a_workspace_that_is_hers_signs_in_and_runs_a_cell_in_jupyterlab() -> anyhow::Result<()>
{
    let scratch = Scratch::new("browser", &["alice"]).await?;
    let namespace = scratch.namespace.as_str();
    let created = command::kubectl(
        "alice",
        &[
            "create",
            "workspace",
            "lab",
            "-n",
            namespace,
            "--image",
            "uv",
            "--wait",
        ],
    )
    .await?;
    assert_eq!(created.code, 0, "{created:?}");
    let workspaces = scratch.api();
    let lab = workspace::reached(&workspaces, "lab", Phase::Running).await?;
    assert!(created.stdout.contains(&workspace::url(&lab)?), "{created:?}");
    assert_eq!(api::names::owner(&lab.metadata), Some("alice"));
    assert_eq!(
        lab.status.as_ref().and_then(|status| status.owner.as_deref()),
        Some("alice")
    );
    let browser = Browser::start().await?;
    browser.enter(&lab, "alice").await?;
    notebook::run_a_cell(&browser).await?;
    browser.screenshot("alice-runs-a-cell").await?;
    browser.close().await?;
    scratch.finish().await
}
