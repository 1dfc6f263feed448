//! A websocket that a page holds open, and opens again when it closes, as JupyterLab does.

use anyhow::{Context as _, ensure};
use e2e::http::{
    HttpSession,
    socket::{self, Socket},
};
use futures::{SinkExt as _, StreamExt as _};
use reqwest::Url;
use tokio::{sync::watch, task::JoinHandle};
use tokio_tungstenite::tungstenite::Message;

/// Sent in the end. The application sends it back.
const LAST: &str = "the last message";
/// The gateway restarts.
const RESTART: u16 = 1012;
/// The connection broke off without a close frame.
const BROKEN: u16 = 0;

/// A page with an open websocket.
pub(crate) struct Tab {
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<Vec<u16>>>,
}

impl Tab {
    /// Opens the websocket of the echo server at `url`, and opens it again at once whenever it closes.
    pub(crate) async fn open(session: &HttpSession, url: &str) -> anyhow::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let (session, url) = (session.clone(), url.to_owned());
        let first = opened(&session, &url).await?;
        let task = tokio::spawn(held(session, url, first, stopped));
        Ok(Self { stop, task })
    }

    /// The websocket still answers. It closed at least once, only so that browsers open it again, and that was never refused.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        let codes = self.task.await??;
        println!("the websocket was closed with {codes:?}");
        ensure!(!codes.is_empty(), "the websocket never closed");
        ensure!(
            codes.iter().all(|code| [RESTART, BROKEN].contains(code)),
            "{codes:?}"
        );
        Ok(())
    }
}

/// Holds a websocket open until `stopped`. Returns the codes with which it closed.
async fn held(
    session: HttpSession,
    url: String,
    mut socket: Socket,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<Vec<u16>> {
    let mut codes = Vec::new();
    loop {
        let code = tokio::select! {
            code = closed(&mut socket) => code,
            _ = stopped.changed() => break,
        };
        codes.push(code);
        let again = opened(&session, &url).await;
        socket = again.with_context(|| format!("after {codes:?}"))?;
    }
    socket.send(Message::text(LAST)).await?;
    loop {
        // Others are pings.
        if let Message::Text(text) = socket.next().await.context("no answer")?? {
            ensure!(text.as_str() == LAST, "{text}");
            return Ok(codes);
        }
    }
}

/// A websocket that has said something.
async fn opened(session: &HttpSession, url: &str) -> anyhow::Result<Socket> {
    let origin = Url::parse(url)?.origin().ascii_serialization();
    let target = format!("{}ws", url.replacen("https", "wss", 1));
    let opened = socket::connect(&target, &session.cookies(url)?, Some(&origin)).await?;
    let mut socket = opened.map_err(|status| anyhow::anyhow!("the websocket was refused: {status}"))?;
    socket.next().await.context("the websocket said nothing")??;
    Ok(socket)
}

/// Waits until a websocket closes, and returns the code.
async fn closed(socket: &mut Socket) -> u16 {
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(frame) = message {
            return frame.map_or(BROKEN, |frame| frame.code.into());
        }
    }
    BROKEN
}
