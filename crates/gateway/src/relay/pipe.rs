//! two websocket streams -> bytes copied both ways, until a side or the access ends (IO).

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::relay::frames::{self, CloseReason, Frames};
use crate::relay::heartbeat::{self, Side};

/// Buffered bytes per direction. A side that does not read stops the other one from sending.
const BUFFER: usize = 16 * 1024;
/// Time to finish the last frame and to send the close frame.
const GRACE: Duration = Duration::from_secs(1);
/// Time for the second side to close after the first one has.
const LINGER: Duration = Duration::from_secs(5);

/// Copies until a side closes (`None`), or until `cut` returns or a side is gone (`Some`). Then no more bytes of the client reach
/// the pod, and the client gets a close frame after the frame in progress. A silent side gets pings. `limit`: how long
/// the client may leave one unanswered.
///
/// # Errors
/// A connection broke.
pub(super) async fn pipe(
    client: impl AsyncRead + AsyncWrite,
    pod: impl AsyncRead + AsyncWrite,
    cut: impl Future<Output = CloseReason>,
    limit: Duration,
) -> io::Result<Option<CloseReason>> {
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
        why = heartbeat::dead(&client, &pod, limit) => why,
    };
    ending.send_replace(Some(why));
    // A side that does not read the close frame in time loses the connection anyway.
    let _ = timeout(GRACE, async { tokio::join!(up, down) }).await;
    Ok(Some(why))
}

/// Client to pod. When the gateway closes the socket, the pod's side is abandoned and the client's last bytes are discarded.
/// Closing a connection with unread bytes may lose the client's close frame.
async fn upwards(
    from: &mut (impl AsyncRead + Unpin),
    mut way: Way<'_, impl AsyncWrite + Unpin>,
    mut ending: watch::Receiver<Option<CloseReason>>,
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

/// Pod to client, frame by frame, so that a close frame is inserted between two of them.
async fn downwards(
    from: &mut (impl AsyncRead + Unpin),
    mut way: Way<'_, impl AsyncWrite + Unpin>,
    mut ending: watch::Receiver<Option<CloseReason>>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let at_boundary = way.frames.at_boundary();
        let count = tokio::select! {
            biased;
            why = cut(&mut ending), if at_boundary => {
                if !way.frames.is_closed() {
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

/// One direction: frames of one side to the other side.
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

    /// Passes on the bytes that were read. If a ping is due, it is inserted after the first frame that ends in them: in heavy
    /// traffic no read may end where a frame does.
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
        self.giver.is_heard_by_peer(!self.frames.at_boundary());
        Ok(())
    }

    /// Sends a ping to the receiving side, between two frames. After a close frame no frame may follow; there the side must close.
    async fn ask(&mut self) -> io::Result<()> {
        self.taker.was_asked();
        if self.frames.is_closed() {
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

async fn cut(ending: &mut watch::Receiver<Option<CloseReason>>) -> CloseReason {
    match ending.wait_for(Option::is_some).await.map(|why| *why) {
        Ok(Some(why)) => why,
        // The sender outlives both directions.
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
