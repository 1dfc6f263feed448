//! Command and a signed-in user -> output of a JupyterLab terminal, over the websocket (IO).

use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::kernel::own;
use crate::http::{
    HttpSession,
    socket::{self, origin},
};

/// Timeout for a shell to start and to answer.
const LIMIT: Duration = Duration::from_mins(1);

/// Opens a terminal at the workspace's URL, types `command`, and waits for a line that is `expected`.
///
/// # Errors
/// The terminal is refused, or shows something else.
pub async fn types(session: &HttpSession, url: &str, command: &str, expected: &str) -> anyhow::Result<()> {
    // The page sets the cookie that must be repeated in a header.
    let page = session.open(&format!("{url}lab")).await?;
    anyhow::ensure!(page.status().is_success(), "{url}lab: {}", page.status());
    let made = own(session, Method::POST, url, "api/terminals")?.send().await?;
    let (status, terminal) = (made.status(), made.text().await?);
    anyhow::ensure!(status.is_success(), "no terminal: {status} {terminal}");
    let terminal: Value = serde_json::from_str(&terminal)?;
    let name = terminal["name"].as_str().context("a terminal without a name")?;
    let mut seen = String::new();
    let shown = tokio::time::timeout(LIMIT, dialogue(session, url, name, command, expected, &mut seen)).await;
    let shown = shown.with_context(|| format!("no line {expected:?}, but {seen:?}"))?;
    own(session, Method::DELETE, url, &format!("api/terminals/{name}"))?
        .send()
        .await?;
    shown
}

async fn dialogue(
    session: &HttpSession,
    url: &str,
    name: &str,
    command: &str,
    expected: &str,
    seen: &mut String,
) -> anyhow::Result<()> {
    let target = url.replacen("https", "wss", 1) + &format!("terminals/websocket/{name}");
    let mut socket = socket::connect(&target, &session.cookies(url)?, Some(&origin(url)?))
        .await?
        .map_err(|status| anyhow::anyhow!("the websocket was refused: {status}"))?;
    let typed = json!(["stdin", format!("{command}\r")]);
    socket.send(Message::text(typed.to_string())).await?;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let message: Value = serde_json::from_str(&text)?;
        if message[0] == "stdout" {
            seen.push_str(message[1].as_str().unwrap_or_default());
        }
        if has_line(seen, expected) {
            return Ok(());
        }
    }
    bail!("the websocket ended; it showed {seen:?}")
}

/// Whether the output contains this text as a whole line, ignoring colours and modes (pure).
fn has_line(shown: &str, text: &str) -> bool {
    shown.lines().map(plain).any(|line| line.trim() == text)
}

/// A line without escape sequences of the form `ESC [ … letter`.
fn plain(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic());
        plain.push_str(end.map_or("", |end| &part[end + 1..]));
    }
    plain
}
