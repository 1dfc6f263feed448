//! A session that ends soon while JupyterLab is open: the page warns, until the user signs in again.
//!
//! The test focuses the page, which then checks the session at once. Its check once a minute is not tested here.

use std::time::Duration;

use e2e::{
    browser::Browser,
    cluster::{self, Scratch},
    objects::workspace,
    wait,
};
use fantoccini::Locator;

const LINE: &str = "#jupyter-k8s-sign-in-again";
const EDITOR: &str = ".jp-FileEditor .cm-content";
const TEXT: &str = "written before the end";
/// The session lasts for eleven minutes. The page warns for the last ten of them. It asks until when the session lasts once a minute, and when
/// it gets the focus.
const POLL: Duration = Duration::from_secs(150);

/// Whether the page warns at the moment, which has the focus.
async fn line(browser: &Browser) -> Option<String> {
    let focus = "window.dispatchEvent(new Event('focus'))";
    // A page that is being loaded has no window.
    let _ = browser.page.execute(focus, Vec::new()).await;
    let line = browser.page.find(Locator::Css(LINE)).await.ok()?;
    line.text().await.ok()
}

#[tokio::test]
async fn an_open_jupyterlab_warns_before_the_session_ends_and_no_more_after_a_new_sign_in()
-> anyhow::Result<()> {
    let (scratch, browser) = warned().await?;
    let link = browser.find(&format!("{LINE} a")).await?;
    let again = link.prop("href").await?.unwrap_or_default();
    let open = browser.page.window().await?;
    let tab = browser.page.new_window(true).await?.handle;
    browser.page.switch_to_window(tab).await?;
    // The provider still knows her, so there is nothing to enter; the tab closes itself where the browser lets it.
    browser.page.goto(&again).await?;
    browser.page.switch_to_window(open).await?;
    wait::until("the warning to be gone", POLL, || async {
        match line(&browser).await {
            None => Ok(()),
            Some(text) => Err(text),
        }
    })
    .await?;
    browser.sees(EDITOR, TEXT).await?;
    browser.close().await?;
    scratch.finish().await
}

/// Alice at an open file with text that is not saved, on a page that warns her.
async fn warned() -> anyhow::Result<(Scratch, Browser)> {
    let scratch = Scratch::new("warning", &["alice"]).await?;
    let lab = workspace::lab(&scratch).await?;
    let (url, host) = (workspace::url(&lab)?, workspace::host(&lab)?);
    let pod = workspace::pod(&lab)?;
    cluster::exec(
        &scratch.api(),
        &pod,
        &["sh", "-c", "echo begin > /home/jovyan/note.txt"],
    )
    .await?;

    let browser = Browser::start().await?;
    browser
        .sign_in(&format!("{url}lab/tree/note.txt"), "alice")
        .await?;
    browser.arrived(&host).await?;
    browser.sees(EDITOR, "begin").await?;
    assert_eq!(line(&browser).await, None, "there is nothing to say yet");
    browser.find(EDITOR).await?.send_keys(TEXT).await?;
    let message = wait::until("the page to warn", POLL, || async {
        line(&browser).await.ok_or_else(|| "no line".to_owned())
    })
    .await?;
    assert!(
        message.starts_with("You will be signed out at ") && message.contains("nothing here is lost"),
        "{message}"
    );
    browser.screenshot("session-ends-soon").await?;
    browser.sees(EDITOR, TEXT).await?;
    Ok((scratch, browser))
}
