//! What a person sees while a workspace is on its way, or cannot be.

use api::condition::reason;
use api::workspace::{DesiredStatus, Phase};
use e2e::{
    Environment,
    browser::Browser,
    cluster::{self, Scratch},
    wait, workspace,
};
use kube::{Api, api::PostParams};
use serde_json::json;

/// Alice's workspace names an image that is nowhere. Its page says so, with the message and the step at which it stands; when she has
/// corrected the image, the page becomes the workspace without her doing.
#[tokio::test]
async fn a_start_that_does_not_get_on_says_why_on_its_page_and_opens_by_itself_when_it_does()
-> anyhow::Result<()> {
    let scratch = Scratch::new("progress", &["alice"]).await?;
    let alice: Api<api::Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let wanted = workspace::of_image("absent", "registry.invalid/nothing/there:v9");
    alice.create(&PostParams::default(), &wanted).await?;
    let stuck = wait::until("the image to be missed", wait::USUAL, || async {
        let workspace = alice.get("absent").await.map_err(|error| error.to_string())?;
        let status = workspace.status.clone().unwrap_or_default();
        let is_told = status.reason.as_deref() == Some(reason::IMAGE_PULL_FAILED) && status.url.is_some();
        if is_told {
            Ok(workspace)
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await?;
    let browser = Browser::start().await?;
    browser.enter(&stuck, "alice").await?;
    browser.sees("#cause", reason::IMAGE_PULL_FAILED).await?;
    browser
        .sees("#message", "registry.invalid/nothing/there:v9")
        .await?;
    browser.sees("li.stuck", "Its image is fetched").await?;
    browser.screenshot("a-start-that-does-not-get-on").await?;

    let image = &Environment::get()?.images.echo;
    workspace::set(&alice, "absent", json!({"image": image})).await?;
    browser.sees("body", "\"path\"").await?;
    workspace::reached(&alice, "absent", Phase::Running).await?;
    browser.close().await?;
    scratch.finish().await
}

/// A stopped JupyterLab: two clicks, and she is in it without loading a page by hand.
#[tokio::test]
async fn the_button_of_a_stopped_workspace_ends_in_jupyterlab() -> anyhow::Result<()> {
    let scratch = Scratch::new("button", &["alice"]).await?;
    let alice: Api<api::Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut wanted = workspace::of_image("lab", "uv");
    wanted.spec.desired_status = DesiredStatus::Stopped;
    alice.create(&PostParams::default(), &wanted).await?;
    let stopped = workspace::reached(&alice, "lab", Phase::Stopped).await?;
    let browser = Browser::start().await?;
    browser.enter(&stopped, "alice").await?;
    browser.sees("h1", "lab is stopped").await?;
    browser.click("form button").await?;
    browser.arrived(&Environment::get()?.auth_host()).await?;
    browser.sees("body", "You are signed in as alice").await?;
    browser.click("form[method=post] button").await?;
    browser.arrived(&workspace::host(&stopped)?).await?;
    browser.find(".jp-LauncherCard[data-category='Notebook']").await?;
    browser.screenshot("started-by-the-button").await?;
    browser.close().await?;
    scratch.finish().await
}
