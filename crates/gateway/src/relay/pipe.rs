//! two websocket streams -> bytes copied both ways, until a side or the right ends (IO).

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::relay::frames::{self, Frames};
use crate::relay::heartbeat::{self, Side};

/// Bytes held per direction. A side that does not read stops the other one from sending.
const BUFFER: usize = 16 * 1024;
/// Time for the last frame to end and the close frame to leave.
const GRACE: Duration = Duration::from_secs(1);
/// Time for the second side to end after the first one has.
const LINGER: Duration = Duration::from_secs(5);

/// Why a socket is closed from our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The user may no longer connect.
    AccessEnded,
    /// This replica ends; another one takes over.
    Shutdown,
    /// The client gives no sign of life.
    ClientGone,
    /// The pod gives none.
    PodGone,
}

impl Cut {
    /// The close frame that the browser gets. JupyterLab stays away after 1000 and 1001 and comes again after any other code; what
    /// comes again without access is refused at the handshake.
    fn frame(self) -> Vec<u8> {
        match self {
            Self::AccessEnded => frames::close(1008, "access ended"),
            Self::Shutdown => frames::close(1012, "the gateway restarts"),
            Self::ClientGone => frames::close(1011, "the browser did not answer"),
            Self::PodGone => frames::close(1011, "the workspace's server did not answer"),
        }
    }
}

/// Copies until a side ends (`None`), or until `cut` does or a side lives no longer (`Some`): then nothing more of the client reaches
/// the pod, and the client gets a close frame behind the frame that is under way. A side that is silent for `silence` is asked.
///
/// # Errors
/// A side broke off.
pub(super) async fn pipe(
    client: impl AsyncRead + AsyncWrite,
    pod: impl AsyncRead + AsyncWrite,
    cut: impl Future<Output = Cut>,
    silence: Duration,
) -> io::Result<Option<Cut>> {
    let (mut from_client, mut to_client) = split(client);
    let (mut from_pod, mut to_pod) = split(pod);
    let (client, pod) = (Side::new(), Side::new());
    let (ending, ended) = watch::channel(None);
    let to_pod = Way::new(&mut to_pod, &client, &pod, frames::CLIENTS_PING);
    let to_client = Way::new(&mut to_client, &pod, &client, frames::SERVERS_PING);
    let mut up = pin!(upwards(&mut from_client, to_pod, ended.clone()));
    let mut down = pin!(downwards(&mut from_pod, to_client, ended));
    let why = tokio::select! {
        copied = &mut up => return timeout(LINGER, down).await.unwrap_or(Ok(())).and(copied).map(|()| None),
        copied = &mut down => return timeout(LINGER, up).await.unwrap_or(Ok(())).and(copied).map(|()| None),
        why = cut => why,
        why = heartbeat::lifeless(&client, &pod, silence) => why,
    };
    ending.send_replace(Some(why));
    // Whoever does not take the close frame in time loses the connection all the same.
    let _ = timeout(GRACE, async { tokio::join!(up, down) }).await;
    Ok(Some(why))
}

/// Client to pod. At the end by us the pod's side is given up and the client's last bytes are swallowed, because closing a
/// connection with unread bytes may cost the client our close frame.
async fn upwards(
    from: &mut (impl AsyncRead + Unpin),
    mut way: Way<'_, impl AsyncWrite + Unpin>,
    mut ending: watch::Receiver<Option<Cut>>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let goes_on = ending.borrow().is_none();
        let count = tokio::select! {
            biased;
            () = way.taker.due(), if goes_on && way.frames.at_boundary() => {
                tokio::select! {
                    _ = cut(&mut ending) => {}
                    asked = way.ask() => asked?,
                }
                continue;
            }
            count = from.read(&mut buffer) => count?,
        };
        if count == 0 {
            return way.to.shutdown().await;
        }
        if ending.borrow().is_none() {
            tokio::select! {
                _ = cut(&mut ending) => {}
                passed = way.forward(&buffer[..count]) => passed?,
            }
        }
    }
}

/// Pod to client, frame by frame, so that a close frame lands between two of them.
async fn downwards(
    from: &mut (impl AsyncRead + Unpin),
    mut way: Way<'_, impl AsyncWrite + Unpin>,
    mut ending: watch::Receiver<Option<Cut>>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let at_boundary = way.frames.at_boundary();
        let count = tokio::select! {
            biased;
            why = cut(&mut ending), if at_boundary => {
                if !way.frames.closed() {
                    send(way.to, &why.frame()).await?;
                }
                return way.to.shutdown().await;
            }
            () = way.taker.due(), if at_boundary => {
                way.ask().await?;
                continue;
            }
            count = from.read(&mut buffer) => count?,
        };
        if count == 0 {
            return way.to.shutdown().await;
        }
        if ending.borrow().is_some() {
            let whole = way.frames.finish(&buffer[..count]);
            send(way.to, &buffer[..whole]).await?;
        } else {
            way.forward(&buffer[..count]).await?;
        }
    }
}

/// The way of one side's frames to the other side.
struct Way<'s, W> {
    to: &'s mut W,
    giver: &'s Side,
    taker: &'s Side,
    ping: &'static [u8],
    frames: Frames,
}

impl<'s, W: AsyncWrite + Unpin> Way<'s, W> {
    fn new(to: &'s mut W, giver: &'s Side, taker: &'s Side, ping: &'static [u8]) -> Self {
        let frames = Frames::default();
        Self {
            to,
            giver,
            taker,
            ping,
            frames,
        }
    }

    /// Passes on what was read, with a ping behind the first frame that ends in it if one is due: where much is said, no piece may
    /// end where a frame does.
    async fn forward(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.giver.speaks();
        if self.taker.is_due() {
            let whole = self.frames.finish(bytes);
            self.give(&bytes[..whole]).await?;
            bytes = &bytes[whole..];
            if self.frames.at_boundary() {
                self.ask().await?;
            }
        }
        self.frames.advance(bytes);
        self.give(bytes).await?;
        self.giver.is_listened_to(!self.frames.at_boundary());
        Ok(())
    }

    /// Asks the taker for a sign of life, between two frames. Behind a close frame nothing may come; there the end is owed.
    async fn ask(&mut self) -> io::Result<()> {
        self.taker.was_asked();
        if self.frames.closed() {
            return Ok(());
        }
        self.give(self.ping).await
    }

    async fn give(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.taker.is_offered();
        send(self.to, bytes).await?;
        self.taker.takes();
        Ok(())
    }
}

async fn cut(ending: &mut watch::Receiver<Option<Cut>>) -> Cut {
    match ending.wait_for(Option::is_some).await.map(|why| *why) {
        Ok(Some(why)) => why,
        // The sender lives longer than both directions.
        _ => std::future::pending().await,
    }
}

async fn send(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}

#[cfg(test)]
#[path = "pipe_tests.rs"]
mod tests;
