//! The first page of the sign-in host in a browser: a newcomer signs in there, finds their workspaces and opens one.

use e2e::{Environment, browser::Browser, cluster::Scratch, workspace};
use fantoccini::Locator;

#[tokio::test]
async fn a_new_user_signs_in_on_the_home_page_and_opens_a_workspace_from_its_list() -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let scratch = Scratch::new("home", &["alice"]).await?;
    let ws = workspace::running(&scratch, "ws").await?;
    let (host, address) = (workspace::host(&ws)?, workspace::url(&ws)?);
    let home = format!("{}/", environment.origin(&environment.auth_host()));

    let browser = Browser::start().await?;
    browser.page.goto(&home).await?;
    browser.sees("h1", "You are signed out").await?;
    browser.screenshot("home-signed-out").await?;
    browser.click("a.button").await?;
    browser.find("#username").await?;
    let provider = browser.page.current_url().await?;
    browser.sign_in(provider.as_str(), "alice").await?;
    browser.arrived(&environment.auth_host()).await?;
    browser.sees("h1", "You are signed in").await?;
    browser.sees("main", "alice").await?;

    let link = format!("main a[href=\"{address}\"]");
    browser.sees(&link, "ws").await?;
    let row = browser.page.find(Locator::Css(&link)).await?;
    let row = row.find(Locator::XPath("ancestor::li")).await?;
    let message = row.text().await?;
    assert!(
        message.contains(&scratch.namespace) && message.contains("Running"),
        "{message}"
    );
    browser.screenshot("home-signed-in").await?;
    browser.click(&link).await?;
    browser.arrived(&host).await?;
    browser.sees("body", "\"path\"").await?;
    browser.close().await?;
    scratch.finish().await
}
