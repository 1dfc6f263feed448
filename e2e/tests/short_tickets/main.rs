//! A page that is open for longer than a ticket lasts still works: requests renew the ticket. It warns before the session ends.
//!
//! The test run sets the lifetimes of tickets and sessions (stage `settings`). The test focuses the page, which then checks the session at
//! once. Its check once a minute is not tested here.

use e2e::{
    browser::Browser,
    cluster::{self, Scratch},
    objects::workspace,
    wait,
};
use fantoccini::{Locator, key::Key};
use std::time::Duration;

const LINE: &str = "#jupyter-k8s-sign-in-again";
const EDITOR: &str = ".jp-FileEditor .cm-content";
const TEXT: &str = "written with the first ticket, and saved with another one";
/// `gateway.session.ticketSeconds`.
const LIFETIME: Duration = Duration::from_mins(1);
/// Twice as long, and what a busy machine takes.
const LONG: Duration = Duration::from_mins(5);
/// The session lasts for eleven minutes. The page warns for the last ten of them. It asks until when the session lasts once a minute, and when
/// it gets the focus.
const POLL: Duration = Duration::from_secs(150);

/// The ticket that the browser holds for its present page.
async fn ticket(browser: &Browser) -> Result<String, String> {
    let cookie = browser.page.get_named_cookie("__Host-ws").await;
    cookie
        .map(|cookie| cookie.value().to_owned())
        .map_err(|error| error.to_string())
}

/// Whether the page warns at the moment, which has the focus.
async fn line(browser: &Browser) -> Option<String> {
    let focus = "window.dispatchEvent(new Event('focus'))";
    // A page that is being loaded has no window.
    let _ = browser.page.execute(focus, Vec::new()).await;
    let line = browser.page.find(Locator::Css(LINE)).await.ok()?;
    line.text().await.ok()
}

#[tokio::test]
async fn an_open_jupyterlab_saves_after_its_first_ticket_and_warns_before_the_session_ends()
-> anyhow::Result<()> {
    let scratch = Scratch::new("tickets", &["alice"]).await?;
    let lab = workspace::lab(&scratch).await?;
    let (url, host) = (workspace::url(&lab)?, workspace::host(&lab)?);
    let pod = workspace::pod(&lab)?;
    let file = async |script: &str| cluster::exec(&scratch.api(), &pod, &["sh", "-c", script]).await;
    file("echo begin > /home/jovyan/note.txt").await?;

    let browser = Browser::start().await?;
    browser
        .sign_in(&format!("{url}lab/tree/note.txt"), "alice")
        .await?;
    browser.arrived(&host).await?;
    let mut last = ticket(&browser).await.map_err(anyhow::Error::msg)?;
    let begin = std::time::Instant::now();
    browser.sees(EDITOR, "begin").await?;
    assert_eq!(line(&browser).await, None, "there is nothing to say yet");
    browser.find(EDITOR).await?.send_keys(TEXT).await?;
    // The ticket that was just read is not younger, so it has ended when this has.
    while begin.elapsed() <= LIFETIME {
        last = wait::until("another ticket", LONG, || async {
            let now = ticket(&browser).await?;
            if now == last {
                Err("the same".to_owned())
            } else {
                Ok(now)
            }
        })
        .await?;
    }
    let save = format!("{}s{}", char::from(Key::Control), char::from(Key::Null));
    browser.find(EDITOR).await?.send_keys(&save).await?;
    wait::until("the text to be in the file", wait::USUAL, || async {
        let text = file("cat /home/jovyan/note.txt")
            .await
            .map_err(|error| error.to_string())?;
        if text.contains(TEXT) { Ok(()) } else { Err(text) }
    })
    .await?;
    warns_until_a_new_sign_in(&browser).await?;
    browser.sees(EDITOR, TEXT).await?;
    browser.close().await?;
    scratch.finish().await
}

/// The page warns, and no more after a sign-in in another tab.
async fn warns_until_a_new_sign_in(browser: &Browser) -> anyhow::Result<()> {
    let message = wait::until("the page to warn", POLL, || async {
        line(browser).await.ok_or_else(|| "no line".to_owned())
    })
    .await?;
    assert!(
        message.starts_with("You will be signed out at ") && message.contains("nothing here is lost"),
        "{message}"
    );
    browser.screenshot("session-ends-soon").await?;
    let link = browser.find(&format!("{LINE} a")).await?;
    let again = link.prop("href").await?.unwrap_or_default();
    let open = browser.page.window().await?;
    let tab = browser.page.new_window(true).await?.handle;
    browser.page.switch_to_window(tab).await?;
    // The provider still knows her, so there is nothing to enter; the tab closes itself where the browser lets it.
    browser.page.goto(&again).await?;
    browser.page.switch_to_window(open).await?;
    wait::until("the warning to be gone", POLL, || async {
        match line(browser).await {
            None => Ok(()),
            Some(text) => Err(text),
        }
    })
    .await
}
