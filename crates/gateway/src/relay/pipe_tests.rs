//! Unit tests of `pipe`: two streams in memory -> bytes copied, close frames (in memory).

use std::future::{pending, ready};

use tokio::io::{DuplexStream, duplex};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::*;
use crate::relay::heartbeat::{LIMIT, SILENCE, SSH_LIMIT};

struct Socket {
    client: DuplexStream,
    pod: DuplexStream,
    cut: oneshot::Sender<CloseReason>,
    piping: tokio::task::JoinHandle<io::Result<Option<CloseReason>>>,
}

fn socket() -> Socket {
    socket_with(LIMIT)
}

fn socket_with(limit: Duration) -> Socket {
    let (client, ours) = duplex(64 * 1024);
    let (pod, theirs) = duplex(64 * 1024);
    let (cut, wait) = oneshot::channel();
    let wait = async { wait.await.unwrap_or(CloseReason::Shutdown) };
    Socket {
        client,
        pod,
        cut,
        piping: tokio::spawn(pipe(ours, theirs, wait, limit)),
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
    // A frame of three bytes, one of which is missing.
    socket.pod.write_all(&[0x82, 3, 1, 2]).await.unwrap();
    let mut started = [0; 4];
    socket.client.read_exact(&mut started).await.unwrap();
    socket.cut.send(CloseReason::AccessEnded).unwrap();
    tokio::task::yield_now().await;
    socket.client.write_all(b"too late").await.unwrap();
    // The end of the first frame and the whole second one arrive together.
    socket.pod.write_all(&[3, 0x82, 1, 9]).await.unwrap();
    let mut expected = vec![3];
    expected.extend(frames::close(1008, "access ended"));
    assert_eq!(rest(&mut socket.client).await, expected);
    drop(socket.client);
    assert_eq!(
        socket.piping.await.unwrap().unwrap(),
        Some(CloseReason::AccessEnded)
    );
    assert_eq!(rest(&mut socket.pod).await, b"");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_cut_off_in_time() {
    let (_client, ours) = duplex(16);
    let (mut pod, theirs) = duplex(64 * 1024);
    pod.write_all(&[0x82, 100]).await.unwrap();
    pod.write_all(&[7; 100]).await.unwrap();
    let start = Instant::now();
    let cut = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        CloseReason::AccessEnded
    };
    assert_eq!(
        pipe(ours, theirs, cut, LIMIT).await.unwrap(),
        Some(CloseReason::AccessEnded)
    );
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_side_that_never_ends_does_not_hold_the_other_for_ever() {
    let (client, ours) = duplex(64);
    let (_pod, theirs) = duplex(64);
    drop(client);
    assert_eq!(pipe(ours, theirs, pending(), LIMIT).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_stops_the_sender() {
    let (_client, ours) = duplex(1024);
    let (mut pod, theirs) = duplex(1024);
    let piping = tokio::spawn(pipe(ours, theirs, pending(), LIMIT));
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
    let piping = tokio::spawn(pipe(ours, theirs, ready(CloseReason::Shutdown), LIMIT));
    assert_eq!(
        rest(&mut client).await,
        frames::close(1012, "the gateway restarts")
    );
    drop(client);
    assert_eq!(piping.await.unwrap().unwrap(), Some(CloseReason::Shutdown));
}

/// The frames that the test's side received. All of them must be short and unmasked.
fn split_frames(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while bytes.len() >= 2 {
        let end = (2 + usize::from(bytes[1])).min(bytes.len());
        let (frame, rest) = bytes.split_at(end);
        found.push(frame);
        bytes = rest;
    }
    found
}

/// A side that answers every `ping` with `answer`, until the socket or its own time ends. Returns the times between pings.
async fn answering(
    mut stream: DuplexStream,
    ping: &'static [u8],
    answer: &'static [u8],
    life: Duration,
) -> Vec<Duration> {
    let (mut seen, mut last, mut times) = (Vec::<u8>::new(), Instant::now(), Vec::new());
    let end = Instant::now() + life;
    let mut bytes = [0; 64];
    while let Ok(Ok(count @ 1..)) = timeout_at(end, stream.read(&mut bytes)).await {
        seen.extend(&bytes[..count]);
        // Other frames may have come with it.
        if seen.windows(ping.len()).any(|frame| frame == ping) {
            seen.clear();
            times.push(last.elapsed());
            last = Instant::now();
            if stream.write_all(answer).await.is_err() {
                break;
            }
        }
    }
    times
}

const CLIENTS_PONG: &[u8] = &[0x8A, 0x80, 1, 2, 3, 4];
const SERVERS_PONG: &[u8] = &[0x8A, 0];

#[tokio::test(start_paused = true)]
async fn an_idle_socket_carries_something_every_half_minute_and_stays() {
    let socket = socket();
    let (start, hour) = (Instant::now(), Duration::from_hours(1));
    let client = tokio::spawn(answering(socket.client, frames::SERVERS_PING, CLIENTS_PONG, hour));
    let pod = tokio::spawn(answering(socket.pod, frames::CLIENTS_PING, SERVERS_PONG, hour));
    let both = [client.await.unwrap(), pod.await.unwrap()];
    assert!(start.elapsed() >= hour, "ended after {:?}", start.elapsed());
    for times in both {
        assert!(times.len() >= 100, "{times:?}");
        let range = SILENCE..=SILENCE * 2;
        assert!(times.iter().all(|time| range.contains(time)), "{times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unresponsive_client_is_disconnected() {
    let mut socket = socket();
    let start = Instant::now();
    let pod = tokio::spawn(answering(
        socket.pod,
        frames::CLIENTS_PING,
        SERVERS_PONG,
        SILENCE * 10,
    ));
    assert_eq!(
        socket.piping.await.unwrap().unwrap(),
        Some(CloseReason::ClientGone)
    );
    let took = start.elapsed();
    assert!(took >= SILENCE * 4 && took <= SILENCE * 6, "{took:?}");
    assert!(!pod.await.unwrap().is_empty());
    // One ping, however long the silence, and finally the reason.
    let got = rest(&mut socket.client).await;
    let end = frames::close(1011, "the client did not answer");
    let pings = split_frames(&got)
        .into_iter()
        .filter(|frame| *frame == frames::SERVERS_PING);
    assert_eq!(pings.count(), 1, "{got:?}");
    assert!(got.ends_with(&end), "{got:?}");
}

/// A laptop that sleeps: its network takes what it is sent, and delivers it later.
#[tokio::test(start_paused = true)]
async fn ssh_outlives_ten_minutes_of_silence_of_its_network_and_a_browser_does_not() {
    let sleep = Duration::from_mins(10);
    for (limit, stays) in [(SSH_LIMIT, true), (LIMIT, false)] {
        let mut socket = socket_with(limit);
        let pod = tokio::spawn(answering(
            socket.pod,
            frames::CLIENTS_PING,
            SERVERS_PONG,
            sleep * 4,
        ));
        tokio::time::sleep(sleep).await;
        assert_eq!(!socket.piping.is_finished(), stays);
        if stays {
            socket.client.write_all(CLIENTS_PONG).await.unwrap();
            tokio::time::sleep(limit.saturating_sub(SILENCE)).await;
            assert!(!socket.piping.is_finished());
        }
        // Its place is free in the end.
        assert_eq!(
            socket.piping.await.unwrap().unwrap(),
            Some(CloseReason::ClientGone)
        );
        pod.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn an_unresponsive_pod_is_disconnected_and_the_browser_is_asked_to_reconnect() {
    let mut socket = socket();
    let client = async {
        let mut got = Vec::new();
        let mut bytes = [0; 64];
        loop {
            let count = socket.client.read(&mut bytes).await.unwrap();
            if count == 0 {
                return got;
            }
            got.extend(&bytes[..count]);
            if bytes[..count].ends_with(frames::SERVERS_PING) {
                socket.client.write_all(CLIENTS_PONG).await.unwrap();
            }
        }
    };
    let got = client.await;
    assert!(
        got.ends_with(&frames::close(1011, "the workspace's server did not answer")),
        "{got:?}"
    );
    drop(socket.client);
    assert_eq!(socket.piping.await.unwrap().unwrap(), Some(CloseReason::PodGone));
    // Each pong of the client, and one ping between two of its frames.
    let got = rest(&mut socket.pod).await;
    assert!(
        got.chunks(6)
            .all(|frame| [frames::CLIENTS_PING, CLIENTS_PONG].contains(&frame)),
        "{got:?}"
    );
    assert_eq!(
        got.chunks(6)
            .filter(|frame| *frame == frames::CLIENTS_PING)
            .count(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_never_sent_inside_a_frame() {
    let mut socket = socket();
    // No written piece ends where a frame does.
    socket.pod.write_all(&[0x82]).await.unwrap();
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        socket.pod.write_all(&[2, 7, 7, 0x82]).await.unwrap();
    }
    socket.pod.write_all(&[0]).await.unwrap();
    socket.pod.shutdown().await.unwrap();
    let got = rest(&mut socket.client).await;
    let frames = split_frames(&got);
    let pings = frames
        .iter()
        .filter(|frame| **frame == frames::SERVERS_PING)
        .count();
    assert_eq!(pings, 1, "{got:?}");
    assert_eq!(
        frames.iter().filter(|frame| **frame == [0x82, 2, 7, 7]).count(),
        60
    );
    assert_eq!((frames.len(), frames.last().unwrap()), (62, &&[0x82, 0][..]));
}

#[tokio::test(start_paused = true)]
async fn no_ping_follows_a_close_frame_and_an_open_connection_is_cut() {
    let mut socket = socket();
    let bye = frames::close(1000, "");
    socket.pod.write_all(&bye).await.unwrap();
    let start = Instant::now();
    let pod = tokio::spawn(answering(
        socket.pod,
        frames::CLIENTS_PING,
        SERVERS_PONG,
        SILENCE * 10,
    ));
    let got = rest(&mut socket.client).await;
    assert!(got.starts_with(&bye), "{got:?}");
    // Bytes that this pod sends after its close frame are its own.
    assert!(!split_frames(&got).contains(&frames::SERVERS_PING), "{got:?}");
    assert!(start.elapsed() >= SILENCE * 4);
    drop(socket.client);
    assert_eq!(
        socket.piping.await.unwrap().unwrap(),
        Some(CloseReason::ClientGone)
    );
    pod.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_neither_reads_nor_sends_is_disconnected() {
    let (_client, ours) = duplex(1024);
    let (mut pod, theirs) = duplex(1024);
    let start = Instant::now();
    let piping = tokio::spawn(pipe(ours, theirs, pending(), LIMIT));
    let endless =
        tokio::spawn(async move { while pod.write_all(&[0x82, 2, 7, 7].repeat(256)).await.is_ok() {} });
    assert_eq!(piping.await.unwrap().unwrap(), Some(CloseReason::ClientGone));
    endless.await.unwrap();
    let took = start.elapsed();
    assert!(took >= SILENCE * 4 && took <= SILENCE * 6, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_but_does_not_read_stays() {
    let (mut client, ours) = duplex(1024);
    let (mut pod, theirs) = duplex(1024);
    let piping = tokio::spawn(pipe(ours, theirs, pending(), LIMIT));
    let (mut from_pod, mut to_pod) = split(&mut pod);
    let endless = async { while to_pod.write_all(&[0x82, 2, 7, 7].repeat(256)).await.is_ok() {} };
    let swallow = async {
        let mut bytes = [0; 64];
        while from_pod.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    };
    let speak = async {
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            client.write_all(CLIENTS_PONG).await.unwrap();
        }
    };
    tokio::select! {
        () = endless => panic!("the socket ended"),
        () = swallow => panic!("the socket ended"),
        () = speak => {}
    }
    assert!(!piping.is_finished());
    piping.abort();
}
