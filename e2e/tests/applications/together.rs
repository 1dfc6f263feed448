//! Two people in one notebook of a shared workspace: each sees what the other types, with the name that the gateway attests.

use anyhow::ensure;
use api::{Workspace, WorkspaceShare, workspace::Phase};
use e2e::{
    browser::Browser,
    cluster::{self, Scratch},
    http::HttpSession,
    jupyter::notebook,
    objects::workspace,
    wait,
};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use super::create;

/// Name of the workspace.
const NAME: &str = "together";
const FILE: &str = "/home/jovyan/shared.ipynb";
/// The notebook's cell.
const CELL: &str = ".jp-Notebook .jp-Cell .cm-content";
/// Names beside the cursors of others. They are drawn when the pointer is near.
const NAMES: &str = "
    return [...document.querySelectorAll('.jp-remote-userFlag-name')].map(name => name.textContent).join();
";

/// A browser of this user with the notebook open.
async fn opened(workspace: &Workspace, user: &str) -> anyhow::Result<Browser> {
    let browser = Browser::start().await?;
    let page = format!("{}lab/tree/shared.ipynb", workspace::url(workspace)?);
    browser.sign_in(&page, user).await?;
    browser.arrived(&workspace::host(workspace)?).await?;
    browser.sees(CELL, "begin").await?;
    Ok(browser)
}

/// Types at the end of the cell, and waits until the other page shows it, with the name of who typed.
async fn types(from: &Browser, user: &str, text: &str, to: &Browser) -> anyhow::Result<()> {
    from.click(CELL).await?;
    from.find(CELL).await?.send_keys(text).await?;
    to.sees(CELL, text).await?;
    let what = format!("a cursor with the name of {user}");
    wait::until(&what, wait::USUAL, || async {
        match to.run(NAMES, Vec::new()).await {
            // After a connection that broke, a user has two for a moment.
            Ok(Value::String(names)) if names.split(',').all(|name| name == user) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_see_each_other_type_and_the_file_has_both() -> anyhow::Result<()> {
    let scratch = Scratch::new("together", &["alice", "bob"]).await?;
    let on = json!({"env": [{"name": "JUPYTER_COLLABORATION", "value": "on"}]});
    create(&scratch, NAME, "jupyterlab", &on).await?;
    let lab = workspace::reached(&scratch.api(), NAME, Phase::Running).await?;
    let pod = workspace::pod(&lab)?;
    let file = notebook::with_cell("python3", "begin").to_string();
    let write = ["sh", "-c", "printf %s \"$1\" > \"$2\"", "sh", &file, FILE];
    cluster::exec(&scratch.api(), &pod, &write).await?;
    let shares: Api<WorkspaceShare> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let spec = json!({"workspaceRef": NAME, "subjects": [{"kind": "User", "name": "bob"}]});
    let share = serde_json::from_value(json!({"metadata": {"name": "s"}, "spec": spec}))?;
    shares.create(&PostParams::default(), &share).await?;
    // Until the share counts.
    HttpSession::new()?.enter(&workspace::url(&lab)?, "bob").await?;

    let (alice, bob) = (opened(&lab, "alice").await?, opened(&lab, "bob").await?);
    types(&alice, "alice", "_of_alice", &bob).await?;
    types(&bob, "bob", "_of_bob", &alice).await?;
    bob.screenshot("together").await?;
    let saved = wait::until("the file to have both", wait::USUAL, || async {
        match cluster::exec(&scratch.api(), &pod, &["cat", FILE]).await {
            Ok(now) if now.contains("_of_alice") && now.contains("_of_bob") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    saved.await?;
    // The home has what the pages need at the next start, in one folder.
    let state = "cd; ls -A .local/share/jupyter/collaboration; ls -A | grep -c ystore || true";
    let state = cluster::exec(&scratch.api(), &pod, &["sh", "-c", state]).await?;
    ensure!(
        state.contains("changes.db") && state.trim_end().ends_with("\n0"),
        "{state}"
    );
    alice.close().await?;
    bob.close().await?;
    scratch.finish().await
}
