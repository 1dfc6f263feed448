//! two websocket streams -> bytes from each to the other, until one side or the right to talk ends (IO).

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::relay::frames::{self, Frames};

/// Bytes held per direction. A side that does not read stops the other one from sending.
const BUFFER: usize = 16 * 1024;
/// Time for the last frame to end and the close frame to leave.
const GRACE: Duration = Duration::from_secs(1);
/// Time for the second side to end after the first one has.
const LINGER: Duration = Duration::from_secs(5);

/// Why a socket is closed from our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The person may no longer connect.
    AccessEnded,
    /// This replica ends; another one takes over.
    Shutdown,
}

impl Cut {
    /// The close frame that the browser gets: 1008 stays closed, 1001 is tried again by Jupyter.
    fn frame(self) -> Vec<u8> {
        match self {
            Self::AccessEnded => frames::close(1008, "access ended"),
            Self::Shutdown => frames::close(1001, "the gateway restarts"),
        }
    }
}

/// Copies until a side ends (`None`) or `cut` does (`Some`): then nothing more of the client reaches the pod, and the client
/// gets a close frame behind the frame that is under way.
///
/// # Errors
/// A side broke off.
pub(super) async fn pipe(
    client: impl AsyncRead + AsyncWrite,
    pod: impl AsyncRead + AsyncWrite,
    cut: impl Future<Output = Cut>,
) -> io::Result<Option<Cut>> {
    let (mut from_client, mut to_client) = split(client);
    let (mut from_pod, mut to_pod) = split(pod);
    let (ending, ended) = watch::channel(None);
    let mut up = pin!(upwards(&mut from_client, &mut to_pod, ended.clone()));
    let mut down = pin!(downwards(&mut from_pod, &mut to_client, ended));
    let why = tokio::select! {
        copied = &mut up => return timeout(LINGER, down).await.unwrap_or(Ok(())).and(copied).map(|()| None),
        copied = &mut down => return timeout(LINGER, up).await.unwrap_or(Ok(())).and(copied).map(|()| None),
        why = cut => why,
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
    to: &mut (impl AsyncWrite + Unpin),
    mut ending: watch::Receiver<Option<Cut>>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        if ending.borrow().is_none() {
            tokio::select! {
                _ = cut(&mut ending) => {}
                written = send(to, &buffer[..count]) => written?,
            }
        }
    }
}

/// Pod to client, frame by frame, so that a close frame lands between two of them.
async fn downwards(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut ending: watch::Receiver<Option<Cut>>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut frames = Frames::default();
    loop {
        let count = tokio::select! {
            biased;
            why = cut(&mut ending), if frames.at_boundary() => {
                send(to, &why.frame()).await?;
                return to.shutdown().await;
            }
            count = from.read(&mut buffer) => count?,
        };
        if count == 0 {
            return to.shutdown().await;
        }
        let whole = if ending.borrow().is_some() {
            frames.finish(&buffer[..count])
        } else {
            frames.advance(&buffer[..count]);
            count
        };
        send(to, &buffer[..whole]).await?;
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
mod tests {
    use std::future::{pending, ready};

    use tokio::io::{DuplexStream, duplex};
    use tokio::sync::oneshot;

    use super::*;

    struct Socket {
        client: DuplexStream,
        pod: DuplexStream,
        cut: oneshot::Sender<Cut>,
        piping: tokio::task::JoinHandle<io::Result<Option<Cut>>>,
    }

    fn socket() -> Socket {
        let (client, ours) = duplex(64 * 1024);
        let (pod, theirs) = duplex(64 * 1024);
        let (cut, wait) = oneshot::channel();
        let wait = async { wait.await.unwrap_or(Cut::Shutdown) };
        Socket {
            client,
            pod,
            cut,
            piping: tokio::spawn(pipe(ours, theirs, wait)),
        }
    }

    async fn rest(stream: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_and_an_end_of_either_side_ends_both() {
        let mut socket = socket();
        socket.client.write_all(b"question").await.unwrap();
        let mut bytes = [0; 8];
        socket.pod.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"question");
        socket.pod.write_all(&[0x81, 2, b'o', b'k']).await.unwrap();
        socket.pod.shutdown().await.unwrap();
        assert_eq!(rest(&mut socket.client).await, [0x81, 2, b'o', b'k']);
        drop(socket.client);
        assert_eq!(socket.piping.await.unwrap().unwrap(), None);
    }

    #[tokio::test]
    async fn when_access_ends_the_frame_under_way_ends_first_and_nothing_more_reaches_the_pod() {
        let mut socket = socket();
        // A frame of three bytes of which one is still to come.
        socket.pod.write_all(&[0x82, 3, 1, 2]).await.unwrap();
        let mut begun = [0; 4];
        socket.client.read_exact(&mut begun).await.unwrap();
        socket.cut.send(Cut::AccessEnded).unwrap();
        tokio::task::yield_now().await;
        socket.client.write_all(b"too late").await.unwrap();
        // The end of the first frame and the whole second one arrive together.
        socket.pod.write_all(&[3, 0x82, 1, 9]).await.unwrap();
        let mut expected = vec![3];
        expected.extend(frames::close(1008, "access ended"));
        assert_eq!(rest(&mut socket.client).await, expected);
        drop(socket.client);
        assert_eq!(socket.piping.await.unwrap().unwrap(), Some(Cut::AccessEnded));
        assert_eq!(rest(&mut socket.pod).await, b"");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_cut_off_in_time() {
        let (_client, ours) = duplex(16);
        let (mut pod, theirs) = duplex(64 * 1024);
        pod.write_all(&[0x82, 100]).await.unwrap();
        pod.write_all(&[7; 100]).await.unwrap();
        let start = tokio::time::Instant::now();
        let cut = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Cut::AccessEnded
        };
        assert_eq!(pipe(ours, theirs, cut).await.unwrap(), Some(Cut::AccessEnded));
        assert!(start.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_side_that_never_ends_does_not_hold_the_other_for_ever() {
        let (client, ours) = duplex(64);
        let (_pod, theirs) = duplex(64);
        drop(client);
        assert_eq!(pipe(ours, theirs, pending()).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_stops_the_sender() {
        let (_client, ours) = duplex(1024);
        let (mut pod, theirs) = duplex(1024);
        let piping = tokio::spawn(pipe(ours, theirs, pending()));
        let endless = async {
            let mut sent = 0;
            while timeout(Duration::from_millis(200), pod.write_all(&[0; 1024]))
                .await
                .is_ok()
            {
                sent += 1024;
            }
            sent
        };
        assert!(endless.await <= 2 * 1024 + 2 * BUFFER);
        piping.abort();
    }

    #[tokio::test]
    async fn a_socket_that_is_cut_before_its_first_byte_gets_only_the_close_frame() {
        let (mut client, ours) = duplex(64);
        let (_pod, theirs) = duplex(64);
        let piping = tokio::spawn(pipe(ours, theirs, ready(Cut::Shutdown)));
        assert_eq!(
            rest(&mut client).await,
            frames::close(1001, "the gateway restarts")
        );
        drop(client);
        assert_eq!(piping.await.unwrap().unwrap(), Some(Cut::Shutdown));
    }
}
