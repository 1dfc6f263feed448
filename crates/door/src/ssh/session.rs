//! An open websocket and a process -> bytes both ways, until one of them ends (IO).

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pair;
use std::process::Stdio;
use std::time::Duration;

use assertion::names::SshRefusal;
use bytes::{Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use super::places::Place;
use crate::activity::Activity;

/// Largest frame and message, in bytes. Clients send what they read at once, some 64 KiB.
const MAX_MESSAGE: usize = 1024 * 1024;
/// Bytes of the process in one frame.
const PIECE: usize = 32 * 1024;
/// How long a process may take to end after its connection.
const GRACE: Duration = Duration::from_secs(5);

/// Starts a process. Its input and output are the other end of the stream.
///
/// # Errors
/// The program cannot be run.
pub(super) fn start(command: &mut Command) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = Pair::pair()?;
    ours.set_nonblocking(true)?;
    let stream = UnixStream::from_std(ours)?;
    let input = OwnedFd::from(theirs.try_clone()?);
    command
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(OwnedFd::from(theirs)));
    let child = command.kill_on_drop(true).spawn();
    // The command holds their end until it is replaced. With it open, the stream would never end.
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Ok((child?, stream))
}

/// Ends a connection, and says why.
pub(super) async fn refuse<S>(socket: S, refusal: SshRefusal)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut socket = server(socket).await;
    let closed = async {
        let _ = socket.close(Some(close_frame(refusal))).await;
        // The client may have sent its first bytes. It closes next.
        while let Some(Ok(_)) = socket.next().await {}
    };
    let _ = timeout(GRACE, closed).await;
}

fn close_frame(refusal: SshRefusal) -> CloseFrame {
    CloseFrame {
        code: (refusal as u16).into(),
        reason: "".into(),
    }
}

/// The server's side of an open websocket.
async fn server<S>(socket: S) -> WebSocketStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = WebSocketConfig::default()
        .read_buffer_size(PIECE)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MAX_MESSAGE)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    WebSocketStream::from_raw_socket(socket, Role::Server, Some(limits)).await
}

/// Copies bytes until the client or the process ends, or the place is given up; then ends the other one.
pub(super) async fn run<S>(
    socket: S,
    mut stream: UnixStream,
    mut process: Child,
    activity: &Activity,
    place: &Place,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut client, mut frames) = server(socket).await.split();
    let (mut output, mut input) = stream.split();
    let from_client = async {
        // Pings are answered by the library.
        while let Some(Ok(message)) = frames.next().await {
            match message {
                Message::Binary(bytes) => {
                    activity.ssh_used();
                    place.used();
                    if input.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
                Message::Close(_) | Message::Text(_) => break,
                _ => {}
            }
        }
    };
    let to_client = async {
        let mut buffer = BytesMut::with_capacity(PIECE);
        let mut is_silent = true;
        while let Ok(1..) = output.read_buf(&mut buffer).await {
            activity.ssh_used();
            place.used();
            is_silent = false;
            let bytes = Bytes::from(buffer.split());
            if client.send(Message::Binary(bytes)).await.is_err() {
                break;
            }
            buffer.reserve(PIECE);
        }
        // All bytes are sent: the process has ended.
        let frame = is_silent.then(|| close_frame(SshRefusal::Failed));
        let _ = timeout(GRACE, client.send(Message::Close(frame))).await;
    };
    tokio::select! {
        () = from_client => {}
        () = to_client => {}
        () = place.given_up() => {}
    }
    drop(stream);
    if timeout(GRACE, process.wait()).await.is_err() {
        // It may have ended just now.
        let _ = process.kill().await;
    }
}
