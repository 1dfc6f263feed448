//! What a user sees in place of a workspace that is stopped, and while it starts.

use api::workspace::{DesiredStatus, Phase};
use e2e::{
    Environment,
    browser::Browser,
    cluster::{self, Scratch},
    objects::workspace,
};
use kube::{Api, ResourceExt as _, api::PostParams};
use serde_json::json;

/// Alice's stopped workspace: its page leads her to the portal, which starts it as her. The page of the start becomes the workspace without
/// her doing.
#[tokio::test]
async fn the_page_of_a_stopped_workspace_leads_to_the_portal_and_that_of_a_start_opens_the_workspace()
-> anyhow::Result<()> {
    let scratch = Scratch::new("button", &["alice"]).await?;
    let alice: Api<api::Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let image = &Environment::get()?.images.echo;
    let mut wanted = workspace::of_image("ws", image);
    wanted.spec.desired_status = DesiredStatus::Stopped;
    let slow = json!([{"name": "slow", "image": image, "command": ["sleep", "5"]}]);
    wanted.spec.init_containers = serde_json::from_value(slow)?;
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
    workspace::reached(&alice, "ws", Phase::Starting).await?;
    browser.visit(&stopped).await?;
    browser.sees("h1", "ws is starting").await?;
    browser.sees("body", "\"path\"").await?;
    browser.screenshot("started-in-the-portal").await?;
    let started = scratch.api::<api::Workspace>().get("ws").await?;
    assert!(!started.annotations().contains_key(api::names::STARTED_BY));
    browser.close().await?;
    scratch.finish().await
}
