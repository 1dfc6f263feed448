//! Several sign-ins of one browser at once, and one whose cookies are lost.

use std::collections::BTreeSet;

use e2e::{Environment, browser::Browser, cluster::Scratch, objects::workspace, wait};
use fantoccini::Locator;
use serde_json::json;

const TABS: usize = 3;
/// The way on, on the gateway's page.
const WAY_ON: &str = "main a.button";

/// The names of the sign-in host's cookies in this browser.
async fn cookies(browser: &Browser, auth: &str) -> anyhow::Result<Vec<String>> {
    let held = browser.devtools("Network.getCookies", json!({"urls": [auth]}));
    let held = held.await?["cookies"].take();
    let names = held.as_array().into_iter().flatten();
    Ok(names
        .filter_map(|cookie| Some(cookie["name"].as_str()?.to_owned()))
        .collect())
}

/// Waits until this tab is at one of the links. Where the gateway has lost its sign-in, and the user is not signed in yet, the gateway's page
/// has the way on.
async fn arrives(browser: &Browser, links: &BTreeSet<String>) -> anyhow::Result<String> {
    wait::until("a tab to arrive", wait::USUAL, || async {
        let url = browser
            .page
            .current_url()
            .await
            .map_err(|error| error.to_string())?;
        if links.contains(url.as_str()) {
            return Ok(url.into());
        }
        if let Ok(way_on) = browser.page.find(Locator::Css(WAY_ON)).await {
            // The page may have gone on.
            let _ = way_on.click().await;
        }
        Err(format!("{url}: {:?}", browser.text().await))
    })
    .await
}

/// Three tabs open three links at the same moment, and alice signs in in the last one. The others go on by themselves, or when they are loaded
/// again. Then her browser loses the cookies of a sign-in that is under way, and the page that says so leads on.
#[tokio::test]
async fn tabs_that_sign_in_at_once_arrive_each_at_its_link_and_a_lost_sign_in_has_a_way_on()
-> anyhow::Result<()> {
    let environment = Environment::get()?;
    let auth = environment.origin(&environment.auth_host());
    let scratch = Scratch::new("sign-ins", &["alice"]).await?;
    let (ws, browser) = tokio::try_join!(workspace::running(&scratch, "ws"), Browser::start())?;
    let url = workspace::url(&ws)?;
    let links: BTreeSet<_> = (0..TABS).map(|tab| format!("{url}tab/{tab}")).collect();
    browser.page.goto("about:blank").await?;
    let first = browser.page.window().await?;
    let open = "for (const link of arguments[0]) open(link)";
    browser.run(open, vec![json!(links)]).await?;
    let tabs = wait::until("the tabs", wait::USUAL, || async {
        let all = browser.page.windows().await.map_err(|error| error.to_string())?;
        let tabs: Vec<_> = all.into_iter().filter(|tab| *tab != first).collect();
        if tabs.len() == TABS {
            Ok(tabs)
        } else {
            Err(tabs.len().to_string())
        }
    })
    .await?;
    for tab in &tabs {
        browser.page.switch_to_window(tab.clone()).await?;
        browser.find("#username").await?;
    }
    // The last tab.
    let login_page = browser.page.current_url().await?;
    browser.sign_in(login_page.as_str(), "alice").await?;
    let mut at = BTreeSet::from([arrives(&browser, &links).await?]);
    for tab in &tabs[..TABS - 1] {
        browser.page.switch_to_window(tab.clone()).await?;
        if browser.page.current_url().await?.host_str() == Some(&environment.identity_host) {
            browser.page.refresh().await?;
        }
        at.insert(arrives(&browser, &links).await?);
        browser.sees("body", "\"path\"").await?;
    }
    assert_eq!(at, links);

    browser.devtools("Network.clearBrowserCookies", json!({})).await?;
    let link = format!("{url}lost");
    browser.page.goto(&link).await?;
    browser.find("#username").await?;
    let lost = cookies(&browser, &auth).await?;
    assert!(!lost.is_empty());
    for name in lost {
        browser
            .devtools("Network.deleteCookies", json!({"name": name, "url": auth}))
            .await?;
    }
    let login_page = browser.page.current_url().await?;
    browser.sign_in(login_page.as_str(), "alice").await?;
    browser.sees("h1", "This sign-in cannot be completed").await?;
    browser.screenshot("sign-in-lost").await?;
    browser.click(WAY_ON).await?;
    browser
        .at("the link that was opened", |at| at.as_str() == link)
        .await?;
    browser.sees("body", "\"path\"").await?;
    browser.close().await?;
    scratch.finish().await
}
