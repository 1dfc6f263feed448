//! Connections of a local program and of the gateway -> bytes both ways, until one is gone (IO).

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy, split};
use tokio::time::timeout;

/// Bytes that are read at once.
const CHUNK: usize = 16 << 10;
/// Silence of the gateway after which the network is gone: it pings after 20 s without other bytes, and waits 80 s for the answer. The
/// program, which only knows this computer, is told by the end of its connection, and connects again.
const LOST: Duration = Duration::from_secs(90);
/// How long the program may take to end after the gateway has.
const CLOSING: Duration = Duration::from_secs(10);

/// Copies bytes until one side ends, or the network is gone.
pub(crate) async fn carry(
    program: impl AsyncRead + AsyncWrite + Unpin,
    gateway: impl AsyncRead + AsyncWrite + Unpin,
) {
    let (mut from_program, mut to_program) = split(program);
    let (mut from_gateway, mut to_gateway) = split(gateway);
    let up = async {
        let _ = copy(&mut from_program, &mut to_gateway).await;
        let _ = to_gateway.shutdown().await;
    };
    let down = async {
        let mut bytes = BytesMut::with_capacity(CHUNK);
        while let Ok(Ok(1..)) = timeout(LOST, from_gateway.read_buf(&mut bytes)).await {
            if to_program.write_all_buf(&mut bytes).await.is_err() || to_program.flush().await.is_err() {
                return;
            }
            bytes.reserve(CHUNK);
        }
        let _ = to_program.shutdown().await;
    };
    tokio::pin!(up, down);
    tokio::select! {
        () = &mut down => {
            let _ = timeout(CLOSING, up).await;
        }
        () = &mut up => down.await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_the_network_is_gone_and_not_while_the_gateway_pings() {
        let (mut program, ours) = duplex(64);
        let (mut gateway, theirs) = duplex(64);
        let carried = tokio::spawn(carry(ours, theirs));
        let mut bytes = [0; 2];
        // The control: an hour of pings.
        for _ in 0..120 {
            sleep(Duration::from_secs(30)).await;
            gateway.write_all(&[0x89, 0]).await.unwrap();
            program.read_exact(&mut bytes).await.unwrap();
        }
        let since = Instant::now();
        assert_eq!(program.read(&mut bytes).await.unwrap(), 0);
        assert!(since.elapsed() <= LOST * 2, "{:?}", since.elapsed());
        drop(program);
        carried.await.unwrap();
    }

    #[tokio::test]
    async fn bytes_go_both_ways_until_either_side_ends() {
        let (mut program, ours) = duplex(8);
        let (mut gateway, theirs) = duplex(8);
        let carried = tokio::spawn(carry(ours, theirs));
        let sent = vec![7; 100_000];
        let (mut there, mut here) = (vec![0; sent.len()], vec![0; sent.len()]);
        let (mut from_program, mut to_program) = split(&mut program);
        let (mut from_gateway, mut to_gateway) = split(&mut gateway);
        tokio::try_join!(
            to_program.write_all(&sent),
            from_gateway.read_exact(&mut there),
            to_gateway.write_all(&sent),
            from_program.read_exact(&mut here),
        )
        .unwrap();
        assert!(there == sent && here == sent);
        drop(program);
        assert_eq!(gateway.read(&mut here).await.unwrap(), 0);
        drop(gateway);
        carried.await.unwrap();
    }

    #[tokio::test]
    async fn the_last_bytes_of_the_gateway_reach_the_program() {
        let (mut program, ours) = duplex(64);
        let (mut gateway, theirs) = duplex(64);
        let carried = tokio::spawn(carry(ours, theirs));
        gateway.write_all(b"bye").await.unwrap();
        drop(gateway);
        let mut said = String::new();
        program.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "bye");
        drop(program);
        carried.await.unwrap();
    }
}
