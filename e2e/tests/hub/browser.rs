//! A user with a browser and the hub's own pages.

use api::{Workspace, names, workspace::Phase};
use e2e::{browser::Browser, cluster, jupyter::notebook, objects::workspace, wait};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, ResourceExt as _, api::ListParams};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    sample::{self, Hub, LARGE, SERVERS, User},
    servers,
};

#[tokio::test]
async fn a_user_starts_uses_and_stops_servers_through_the_hub_s_own_pages() -> anyhow::Result<()> {
    let hub = sample::hub().await?;
    has_no_second(&hub.sign_in("alice").await?).await?;
    let workspaces = sample::workspaces().await?;
    let browser = Browser::start().await?;
    let at = |path: &str| format!("{}{path}", hub.url);

    browser.page.goto(&at("/")).await?;
    let password = hub.password("alice").await?;
    browser.find("#username_input").await?.send_keys("alice").await?;
    browser
        .find("#password_input")
        .await?
        .send_keys(&password)
        .await?;
    browser.click("#login_submit").await?;

    // After the sign-in comes the form with the templates; the second one is chosen.
    browser.sees("#workspace-profiles", "JupyterLab, large").await?;
    browser
        .click("#workspace-profiles .radio:nth-of-type(2) input[name='profile']")
        .await?;
    browser.click("#spawn_form button[type='submit']").await?;
    shows_progress(&browser).await?;
    browser
        .at("JupyterLab", |url| url.path() == "/user/alice/lab")
        .await?;
    notebook::run_a_cell(&browser).await?;
    browser.screenshot("hub-alice-runs-a-cell").await?;
    let default = servers::workspace_of("alice", "").await?;
    let first = workspace::reached(&workspaces, &default, Phase::Running).await?;
    assert_eq!(first.spec.template_ref.as_deref(), Some(LARGE));

    // A named server beside it, of the template that is chosen for those who do not choose.
    home(&browser, &hub).await?;
    browser
        .find(".new-server-name")
        .await?
        .send_keys("second")
        .await?;
    browser.click(".new-server-btn").await?;
    browser.click("#start-second").await?;
    browser.click("#spawn_form button[type='submit']").await?;
    browser
        .at("the second JupyterLab", |url| {
            url.path() == "/user/alice/second/lab"
        })
        .await?;
    let named = servers::workspace_of("alice", "second").await?;
    let second = workspace::reached(&workspaces, &named, Phase::Running).await?;
    assert_eq!(second.spec.template_ref.as_deref(), Some("jupyterhub"));

    home(&browser, &hub).await?;
    browser.screenshot("hub-alice-home").await?;
    for (button, name) in [("#stop", &default), ("#stop-second", &named)] {
        browser.click(button).await?;
        workspace::reached(&workspaces, name, Phase::Stopped).await?;
    }

    // The named one is deleted for ever, with its disk. The other one keeps its own.
    assert!(has_disk(&second).await?);
    browser.click("#delete-second").await?;
    browser.page.accept_alert().await?;
    wait::until(
        "the named server and its disk to be gone",
        wait::USUAL,
        || async {
            let left = workspaces.get_opt(&named).await;
            let left = left.map_err(|error| error.to_string())?.is_some();
            let disk = has_disk(&second).await.map_err(|error| format!("{error:#}"))?;
            if left || disk {
                return Err(format!("workspace: {left}, disk: {disk}"));
            }
            Ok(())
        },
    )
    .await?;
    assert!(has_disk(&first).await?);
    workspace::reached(&workspaces, &default, Phase::Stopped).await?;
    browser.close().await
}

/// Removes the named server that a first try may have left.
async fn has_no_second(alice: &User<'_>) -> anyhow::Result<()> {
    wait::until("no named server", wait::USUAL, || async {
        let path = "/hub/api/users/alice/servers/second";
        let left = alice
            .send_json(Method::DELETE, path, &json!({"remove": true}))
            .await;
        match left {
            Ok(answer) if answer.status() == StatusCode::NOT_FOUND => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// Opens the page with all servers, and waits until its buttons do something.
async fn home(browser: &Browser, hub: &Hub) -> anyhow::Result<()> {
    browser.page.goto(&format!("{}/hub/home", hub.url)).await?;
    wait::until("the page's script to have run", wait::USUAL, || async {
        let ran = browser
            .run("return window._jupyterhub_page_loaded", Vec::new())
            .await;
        match ran.map_err(|error| error.to_string())? {
            Value::Bool(true) => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await
}

/// Whether a disk of this workspace is there.
async fn has_disk(workspace: &Workspace) -> anyhow::Result<bool> {
    let claims = Api::<PersistentVolumeClaim>::namespaced(cluster::admin().await?, SERVERS);
    let claims = claims.list(&ListParams::default()).await?;
    let uid = workspace.uid();
    Ok(claims
        .iter()
        .any(|claim| claim.annotations().get(names::WORKSPACE_UID) == uid.as_ref()))
}

/// The page of the start shows a step that the spawner tells, besides the hub's own words at begin and end.
async fn shows_progress(browser: &Browser) -> anyhow::Result<()> {
    let script = "
        const events = [...document.querySelectorAll('.progress-log-event')].map(event => event.textContent.trim());
        return [location.pathname, events];
    ";
    let is_step =
        |text: &str| !text.is_empty() && !text.contains("Server requested") && !text.contains("Server ready");
    wait::until("the progress of the start", wait::USUAL, || async {
        let seen = browser
            .run(script, Vec::new())
            .await
            .map_err(|error| error.to_string())?;
        let is_pending = seen[0]
            .as_str()
            .is_some_and(|path| path.starts_with("/hub/spawn-pending/"));
        let mut events = seen[1].as_array().into_iter().flatten();
        let is_told = events.any(|event| event.as_str().is_some_and(is_step));
        (is_pending && is_told).then_some(()).ok_or(seen)
    })
    .await
}
