//! What a user sees while a workspace starts, or cannot start.

use api::condition::reason;
use api::workspace::{DesiredStatus, Phase};
use e2e::{
    Environment,
    browser::Browser,
    cluster::{self, Scratch},
    objects::workspace,
};
use kube::{Api, ResourceExt as _, api::PostParams};
use serde_json::json;

/// Alice's workspace names an image that is nowhere. Its page says so, with the message and the step at which it stands. When she has
/// corrected the image, the page of the start becomes the workspace without her doing.
#[tokio::test]
async fn a_blocked_start_shows_the_reason_and_the_page_of_a_start_opens_the_workspace() -> anyhow::Result<()>
{
    let scratch = Scratch::new("blocked", &["alice"]).await?;
    let alice: Api<api::Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let absent = "registry.invalid/nothing/there:v9";
    alice
        .create(&PostParams::default(), &workspace::of_image("ws", absent))
        .await?;
    let blocked = workspace::reached(&alice, "ws", Phase::Failed).await?;
    let browser = Browser::start().await?;
    browser.enter(&blocked, "alice").await?;
    browser.sees("#cause", reason::IMAGE_PULL_FAILED).await?;
    browser.sees("#message", absent).await?;
    browser.sees("li.stuck", "Pulling image").await?;
    browser.screenshot("a-start-that-does-not-get-on").await?;

    let image = &Environment::get()?.images.echo;
    let slow = json!([{"name": "slow", "image": image, "command": ["sleep", "5"]}]);
    workspace::set(&alice, "ws", json!({"image": image, "initContainers": slow})).await?;
    workspace::reached(&alice, "ws", Phase::Starting).await?;
    browser.page.refresh().await?;
    browser.sees("h1", "ws is starting").await?;
    browser.sees("body", "\"path\"").await?;
    workspace::reached(&alice, "ws", Phase::Running).await?;
    browser.close().await?;
    scratch.finish().await
}

/// Alice's stopped workspace: its page leads her to the portal, which starts it as her and leads back to it.
#[tokio::test]
async fn the_page_of_a_stopped_workspace_leads_its_owner_by_the_portal_into_it() -> anyhow::Result<()> {
    let scratch = Scratch::new("button", &["alice"]).await?;
    let alice: Api<api::Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut wanted = workspace::of_image("ws", &Environment::get()?.images.echo);
    wanted.spec.desired_status = DesiredStatus::Stopped;
    alice.create(&PostParams::default(), &wanted).await?;
    let stopped = workspace::reached(&alice, "ws", Phase::Stopped).await?;
    let browser = Browser::start().await?;
    browser.enter(&stopped, "alice").await?;
    browser.sees("h1", "ws is stopped").await?;
    let at = format!("/w/{}/ws", scratch.namespace);
    browser.click(&format!("a.button[href$='{at}']")).await?;
    browser.arrived(&Environment::get()?.portal_host()).await?;
    browser
        .click(&format!("form[action='{at}/start'] button"))
        .await?;
    browser.sees("#head", "Running").await?;
    browser.click("#head a[href^='https://ws-']").await?;
    browser.arrived(&workspace::host(&stopped)?).await?;
    browser.sees("body", "\"path\"").await?;
    browser.screenshot("started-in-the-portal").await?;
    let started = scratch.api::<api::Workspace>().get("ws").await?;
    assert!(!started.annotations().contains_key(api::names::STARTED_BY));
    browser.close().await?;
    scratch.finish().await
}
