//! Headers -> the websocket to a workspace's ssh, or the gateway's refusal (IO).

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use serde_json::Value;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, handshake::client::generate_key};

use crate::{
    http::socket::{self, Socket},
    wait,
};

/// Header with the ticket of a program.
pub const TICKET: &str = "Workspace-Ticket";
/// Path below the workspace's URL.
pub const SSH: &str = "jupyter-k8s/ssh";

/// Opens the websocket with these headers. The inner error is the status of a refusal.
///
/// # Errors
/// The connection fails.
pub async fn connect(url: &str, headers: &[(&str, &str)]) -> anyhow::Result<Result<Socket, StatusCode>> {
    let host = Url::parse(url)?.host_str().context("no host")?.to_owned();
    let target = url.replacen("https", "wss", 1) + SSH;
    socket::hand_shake(socket::tls(&host).await?, &target, headers).await
}

/// The first bytes of the ssh server, which are its version.
///
/// # Errors
/// They do not come, or are not those of an ssh server.
pub async fn greeted(socket: &mut Socket) -> anyhow::Result<()> {
    let first = timeout(wait::USUAL, async {
        loop {
            match socket.next().await.context("the websocket ended")?? {
                Message::Binary(bytes) => return anyhow::Ok(bytes),
                Message::Ping(_) | Message::Pong(_) => {}
                other => anyhow::bail!("the websocket said {other:?}"),
            }
        }
    });
    let first = first.await.context("no ssh server answered")??;
    ensure!(first.starts_with(b"SSH-2.0-"), "{first:?}");
    Ok(())
}

/// Requests the same websocket at `path`, and returns status and JSON of the answer; no JSON: the text.
///
/// # Errors
/// There is no answer.
pub async fn answer(url: &str, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<(StatusCode, Value)> {
    let url = Url::parse(url)?.join(path)?;
    let host = url.host_str().context("no host")?;
    let authority = url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut request = Request::get(url.path())
        .header(header::HOST, authority)
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, generate_key());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket::tls(host).await?)).await?;
    let carrier = tokio::spawn(connection);
    let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    let status = answer.status();
    let text = if status == StatusCode::SWITCHING_PROTOCOLS {
        String::new()
    } else {
        String::from_utf8_lossy(&answer.into_body().collect().await?.to_bytes()).into_owned()
    };
    carrier.abort();
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}
