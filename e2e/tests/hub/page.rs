//! Code -> a kernel of a user's server that runs it, and the websocket of the page that asked (IO).

use std::time::Duration;

use anyhow::{Context as _, bail};
use e2e::{http::socket, wait};
use futures::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use super::sample::User;

/// ID of the request, which its answers contain.
const CELL: &str = "cell";

/// What an open page of a notebook has.
pub(crate) type Page = WebSocketStream<TcpStream>;

/// Runs this in a new kernel of the user's default server, and returns the page once the kernel computes.
pub(crate) async fn compute(user: &User<'_>, code: &str) -> anyhow::Result<Page> {
    let kernels = format!("/user/{}/api/kernels", user.name);
    let kernel = user.send_json(Method::POST, &kernels, &json!({})).await?;
    let kernel: Value = kernel.error_for_status()?.json().await?;
    let id = kernel["id"].as_str().context("no kernel")?;
    let address = user.hub.url.trim_start_matches("http://");
    let url = format!("ws://{address}{kernels}/{id}/channels");
    let token = format!("token {}", user.token);
    let connection = TcpStream::connect(address).await?;
    let opened = socket::hand_shake(connection, &url, &[("Authorization", &token)]).await?;
    let mut page = opened.map_err(|status| anyhow::anyhow!("{url}: {status}"))?;
    let request = json!({
        "channel": "shell",
        "header": {"msg_id": CELL, "msg_type": "execute_request", "session": "e2e", "username": "e2e", "version": "5.3"},
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "silent": false, "store_history": false, "allow_stdin": false},
    });
    page.send(Message::text(request.to_string())).await?;
    time::timeout(wait::USUAL, becomes_busy(&mut page)).await??;
    Ok(page)
}

/// Reads until the kernel says that it runs the cell.
async fn becomes_busy(page: &mut Page) -> anyhow::Result<()> {
    while let Some(message) = page.next().await {
        let Message::Text(text) = message? else { continue };
        let message: Value = serde_json::from_str(&text)?;
        if message["parent_header"]["msg_id"] == CELL && message["content"]["execution_state"] == "busy" {
            return Ok(());
        }
    }
    bail!("the page ended before the kernel ran the cell")
}

/// Sends pings until the server ends, and returns how long that took. For a proxy they are bytes like those of a browser that answers the
/// server's own pings.
pub(crate) async fn ping(mut page: Page) -> Duration {
    let begin = time::Instant::now();
    let mut ticks = time::interval(Duration::from_millis(200));
    while begin.elapsed() < wait::USUAL {
        let goes_on = tokio::select! {
            _ = ticks.tick() => page.send(Message::Ping(Vec::new().into())).await.is_ok(),
            message = page.next() => matches!(message, Some(Ok(_))),
        };
        if !goes_on {
            break;
        }
    }
    begin.elapsed()
}
