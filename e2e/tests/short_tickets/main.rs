//! A page that is open for longer than a ticket lasts still works: requests renew the ticket.
//!
//! The test run sets the lifetimes of tickets and sessions (stage `settings`).

mod starting;
mod warning;

use e2e::{
    browser::Browser,
    cluster::{self, Scratch},
    objects::workspace,
    wait,
};
use fantoccini::key::Key;
use std::time::Duration;

const EDITOR: &str = ".jp-FileEditor .cm-content";
const TEXT: &str = "written with another ticket";
/// `gateway.session.ticketSeconds`.
const LIFETIME: Duration = Duration::from_mins(1);
/// Twice as long, and what a busy machine takes.
const LONG: Duration = Duration::from_mins(5);

/// The ticket that the browser holds for its present page.
async fn ticket(browser: &Browser) -> Result<String, String> {
    let cookie = browser.page.get_named_cookie("__Host-ws").await;
    cookie
        .map(|cookie| cookie.value().to_owned())
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_open_jupyterlab_saves_a_file_after_the_end_of_its_first_ticket() -> anyhow::Result<()> {
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
    let keys = format!("{TEXT}{}s{}", char::from(Key::Control), char::from(Key::Null));
    browser.find(EDITOR).await?.send_keys(&keys).await?;
    wait::until("the text to be in the file", wait::USUAL, || async {
        let text = file("cat /home/jovyan/note.txt")
            .await
            .map_err(|error| error.to_string())?;
        if text.contains(TEXT) { Ok(()) } else { Err(text) }
    })
    .await?;
    browser.close().await?;
    scratch.finish().await
}
