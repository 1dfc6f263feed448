//! Editors on the user's machine: who gets their link, and when.

use api::{Workspace, WorkspaceShare};
use e2e::{
    cluster::{self, Scratch},
    objects::workspace,
    portal::Portal,
    remote::machine,
    wait,
};
use kube::{Api, api::PostParams};
use reqwest::Url;
use serde_json::json;

/// Begins the address of a workspace in VS Code.
const SCHEME: &str = "vscode://";

/// Waits until the page has the link, or has none.
async fn has_link(portal: &Portal, path: &str, link: Option<&str>) -> anyhow::Result<String> {
    let what = format!("{path} with {link:?}");
    wait::until(&what, wait::USUAL, || async {
        let (status, page) = portal.open(path).await.map_err(|error| format!("{error:#}"))?;
        let found = page
            .split("href=\"")
            .skip(1)
            .find(|rest| rest.starts_with(SCHEME));
        let found = found.and_then(|rest| rest.split('"').next());
        if status == 200 && found == link {
            Ok(page.clone())
        } else {
            Err(format!("{status} {found:?}"))
        }
    })
    .await
}

#[tokio::test]
async fn a_workspace_offers_the_editors_that_may_connect() -> anyhow::Result<()> {
    let scratch = Scratch::new("portal-remote", &["alice"]).await?;
    let namespace = scratch.namespace.as_str();
    let lab = workspace::running(&scratch, "lab").await?;
    let link = format!(
        "{SCHEME}vscode-remote/ssh-remote+{}/home/jovyan",
        machine::host(namespace, "lab")
    );
    let (own, list) = (format!("/w/{namespace}/lab"), format!("/?namespace={namespace}"));
    let alice = Portal::enter("alice").await?;
    alice.knows(&own).await?;
    for path in [&own, &list] {
        let page = has_link(&alice, path, Some(&link)).await?;
        anyhow::ensure!(page.contains(&workspace::url(&lab)?), "{path}: {page}");
    }
    // Its page says what the link needs.
    let page = has_link(&alice, &own, Some(&link)).await?;
    for command in ["kubectl workspace login https://", "kubectl workspace ssh-config"] {
        anyhow::ensure!(page.contains(command), "{command}: {page}");
    }

    // A guest, who then has no share.
    let bob = Portal::enter("bob").await?;
    anyhow::ensure!(bob.open(&own).await?.0 != 200, "a stranger sees the page");
    let shares: Api<WorkspaceShare> = Api::namespaced(cluster::user("alice").await?, namespace);
    let share = serde_json::from_value(json!({
        "metadata": {"name": "s"},
        "spec": {"workspaceRef": "lab", "subjects": [{"kind": "User", "name": "bob"}]},
    }))?;
    shares.create(&PostParams::default(), &share).await?;
    bob.knows(&own).await?;
    // By the workspace's own host: he has no right in Kubernetes.
    let url: Url = workspace::url(&lab)?.parse()?;
    let host = url.host_str().unwrap_or_default();
    let by_host = format!("{SCHEME}vscode-remote/ssh-remote+{host}/home/jovyan");
    has_link(&bob, &own, Some(&by_host)).await?;

    let workspaces: Api<Workspace> = scratch.api();
    workspace::stop(&workspaces, "lab").await?;
    has_link(&alice, &own, None).await?;
    scratch.finish().await
}
