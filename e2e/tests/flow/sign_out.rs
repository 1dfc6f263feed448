//! Signing out, here and at the identity provider.

use std::time::{Duration, Instant};

use e2e::{Environment, browser::Browser, cluster::Scratch, http::HttpSession, wait, workspace};
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

/// Alice in a browser, at a workspace that runs: the browser, the workspace's URL, and her cookies there.
async fn signed_in(scratch: &Scratch) -> anyhow::Result<(Browser, String, String)> {
    let ws = workspace::running(scratch, "ws").await?;
    let url = workspace::url(&ws)?;
    let browser = Browser::start().await?;
    browser.enter(&ws, "alice").await?;
    browser.sees("body", "\"path\"").await?;
    let ticket = cookies(&browser).await?;
    assert_eq!(fetch(&url, &ticket).await?, StatusCode::OK);
    Ok((browser, url, ticket))
}

/// Alice signs out with the button of the sign-in host: her ticket is worth nothing at once, the provider has forgotten her,
/// too, and the next visit asks for her password.
#[tokio::test]
async fn signing_out_ends_the_session_here_and_at_the_provider() -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let scratch = Scratch::new("signout", &["alice"]).await?;
    let (browser, url, ticket) = signed_in(&scratch).await?;

    let auth = environment.auth_host();
    browser
        .page
        .goto(&format!("{}/", environment.origin(&auth)))
        .await?;
    browser.sees("h1", "You are signed in").await?;
    browser.click("form button").await?;
    browser.sees("h1", "You are signed out").await?;
    browser.arrived(&auth).await?;
    browser.screenshot("alice-signed-out").await?;
    assert_eq!(fetch(&url, &ticket).await?, StatusCode::UNAUTHORIZED);

    browser.page.goto(&url).await?;
    browser.find("#username").await?;
    browser.close().await?;
    scratch.finish().await
}

/// Alice signs out at the identity provider itself, which tells the gateway.
#[tokio::test]
async fn signing_out_at_the_provider_ends_the_session_here_within_two_seconds() -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let scratch = Scratch::new("backchannel", &["alice"]).await?;
    let (browser, url, ticket) = signed_in(&scratch).await?;

    let identity = environment.origin(&environment.identity_host);
    let sign_out = format!("{identity}/realms/jupyter/protocol/openid-connect/logout");
    browser.page.goto(&sign_out).await?;
    browser.click("#kc-logout").await?;
    let start = Instant::now();
    wait::until("the ticket to be refused", BOUND, || async {
        match fetch(&url, &ticket).await {
            Ok(StatusCode::UNAUTHORIZED) => Ok(()),
            Ok(status) => Err(status.to_string()),
            Err(error) => Err(format!("{error:#}")),
        }
    })
    .await?;
    assert!(start.elapsed() <= BOUND);
    browser.close().await?;
    scratch.finish().await
}
