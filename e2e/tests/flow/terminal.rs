//! A terminal is a websocket of its own.

use e2e::{cluster::Scratch, http::HttpSession, terminal, workspace};

#[tokio::test]
async fn what_is_typed_into_a_terminal_is_run_in_the_workspace() -> anyhow::Result<()> {
    let scratch = Scratch::new("terminal", &["alice"]).await?;
    let url = workspace::url(&workspace::lab(&scratch).await?)?;
    let session = HttpSession::new()?;
    session.enter(&url, "alice").await?;
    terminal::types(&session, &url, "echo $((6*7))", "42").await?;
    scratch.finish().await
}
