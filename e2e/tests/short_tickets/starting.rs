//! Who starts a stopped workspace in the browser if the manager says `Connectors`.

use api::{
    Workspace, names,
    workspace::{AccessType, DesiredStatus, Phase},
};
use e2e::{
    Environment,
    browser::Browser,
    cluster::{self, Scratch},
    objects::workspace,
};
use kube::{Api, ResourceExt as _, api::PostParams};

#[tokio::test]
async fn users_who_may_connect_start_workspaces_with_start_connectors() -> anyhow::Result<()> {
    let scratch = Scratch::new("connectors", &["alice", "bob"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut wanted = workspace::echo("ws")?;
    wanted.spec.desired_status = DesiredStatus::Stopped;
    wanted.spec.access_type = Some(AccessType::Public);
    alice.create(&PostParams::default(), &wanted).await?;
    let stopped = workspace::reached(&alice, "ws", Phase::Stopped).await?;
    let browser = Browser::start().await?;
    browser.enter(&stopped, "bob").await?;
    // The workspace's own origin changes nothing: its button leads to the sign-in host, which asks.
    browser.click("form button").await?;
    browser.arrived(&Environment::get()?.auth_host()).await?;
    browser.sees("body", "You are signed in as bob").await?;
    browser.click("form[method=post] button").await?;
    browser.arrived(&workspace::host(&stopped)?).await?;
    browser.sees("body", "\"path\"").await?;
    browser.close().await?;
    let started = alice.get("ws").await?;
    assert_eq!(started.spec.desired_status, DesiredStatus::Running);
    let by = started.annotations().get(names::STARTED_BY).map(String::as_str);
    assert_eq!(by, Some("bob"));
    scratch.finish().await
}
