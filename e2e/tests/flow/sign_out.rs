//! Signing out, here and at the identity provider, and signing in again on the home page.

use std::time::{Duration, Instant};

use e2e::{Environment, browser::Browser, cluster::Scratch, http::HttpSession, objects::workspace, wait};
use fantoccini::Locator;
use reqwest::{Method, StatusCode, header};

/// Time in which a sign-out at the provider ends the session at the gateway.
const BOUND: Duration = Duration::from_secs(2);

/// Status of a fetch with the cookies that the browser holds for its present page.
async fn fetch(url: &str, cookies: &str) -> anyhow::Result<StatusCode> {
    let request = HttpSession::new()?
        .without_redirects()?
        .request(Method::GET, url)
        .header(header::COOKIE, cookies)
        .header(header::ACCEPT, "application/json")
        .header("Sec-Fetch-Site", "same-origin");
    Ok(request.send().await?.status())
}

async fn cookies(browser: &Browser) -> anyhow::Result<String> {
    let cookies = browser.page.get_all_cookies().await?;
    let pairs: Vec<String> = cookies
        .iter()
        .map(|cookie| format!("{}={}", cookie.name(), cookie.value()))
        .collect();
    Ok(pairs.join("; "))
}

/// Alice's cookies at the workspace that the browser shows, with which a fetch passes.
async fn ticket(browser: &Browser, url: &str) -> anyhow::Result<String> {
    browser.sees("body", "\"path\"").await?;
    let ticket = cookies(browser).await?;
    assert_eq!(fetch(url, &ticket).await?, StatusCode::OK);
    Ok(ticket)
}

/// Alice opens a long link, signs in and arrives at it. She signs out at the identity provider, which notifies the gateway. She signs in
/// on the home page, and opens her workspace from its list.
/// Then she signs out with its button: her ticket is worth nothing at once, the provider has forgotten her, too, and the next visit asks
/// for her password.
#[tokio::test]
async fn signing_out_here_or_at_the_provider_ends_both_sessions_and_the_home_page_signs_in_again()
-> anyhow::Result<()> {
    let environment = Environment::get()?;
    let scratch = Scratch::new("signout", &["alice"]).await?;
    let ws = workspace::running(&scratch, "ws").await?;
    let url = workspace::url(&ws)?;
    let browser = Browser::start().await?;
    let long = format!(
        "{url}git-pull?repo={}",
        "https%3A%2F%2Fgit.example%2F".repeat(200)
    );
    browser.sign_in(&long, "alice").await?;
    browser
        .at("the link that was opened", |url| url.as_str() == long)
        .await?;
    let first = ticket(&browser, &url).await?;

    let identity = environment.origin(&environment.identity_host);
    let sign_out = format!("{identity}/realms/jupyter/protocol/openid-connect/logout");
    browser.page.goto(&sign_out).await?;
    browser.click("#kc-logout").await?;
    let start = Instant::now();
    wait::until("the ticket to be refused", BOUND, || async {
        match fetch(&url, &first).await {
            Ok(StatusCode::UNAUTHORIZED) => Ok(()),
            Ok(status) => Err(status.to_string()),
            Err(error) => Err(format!("{error:#}")),
        }
    })
    .await?;
    assert!(start.elapsed() <= BOUND);

    let auth = environment.auth_host();
    let home = format!("{}/", environment.origin(&auth));
    browser.page.goto(&home).await?;
    browser.sees("h1", "You are signed out").await?;
    browser.screenshot("home-signed-out").await?;
    browser.click("a.button").await?;
    browser.find("#username").await?;
    let provider = browser.page.current_url().await?;
    browser.sign_in(provider.as_str(), "alice").await?;
    browser.arrived(&auth).await?;
    browser.sees("h1", "You are signed in").await?;
    browser.sees("main", "alice").await?;
    let link = format!("main a[href=\"{url}\"]");
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
    browser.arrived(&workspace::host(&ws)?).await?;
    let second = ticket(&browser, &url).await?;

    browser.page.goto(&home).await?;
    browser.sees("h1", "You are signed in").await?;
    browser.click("form button").await?;
    browser.sees("h1", "You are signed out").await?;
    browser.arrived(&auth).await?;
    assert_eq!(fetch(&url, &second).await?, StatusCode::UNAUTHORIZED);
    browser.page.goto(&url).await?;
    browser.find("#username").await?;
    browser.close().await?;
    scratch.finish().await
}
