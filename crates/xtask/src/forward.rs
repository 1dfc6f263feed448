//! TCP connections to a local address -> the same bytes to and from another address (IO).
//!
//! Part of the local cluster: it leads from the machine's loopback address into the node's network.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{
    io,
    net::{TcpListener, TcpStream},
    signal::unix,
    sync::Semaphore,
    time,
};

/// Connections at a time; further ones wait in the listener's queue.
const CONNECTIONS: usize = 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Forwards until SIGTERM or SIGINT.
///
/// # Errors
/// When `listen` cannot be bound.
pub(crate) async fn run(listen: SocketAddr, to: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("listening on {listen}"))?;
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt())?;
    tokio::select! {
        () = serve(&listener, to, CONNECTIONS) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Accepts for ever, at most `limit` connections at a time.
async fn serve(listener: &TcpListener, to: SocketAddr, limit: usize) {
    let permits = Arc::new(Semaphore::new(limit));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((client, _)) => {
                tokio::spawn(async move {
                    // Either end may close the connection at any time. This is no error.
                    let _ = pipe(client, to).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Usually "too many open files", which ends when connections end.
                eprintln!("accepting a connection: {error}");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Copies in both directions. When one direction ends, the other continues until it ends too.
async fn pipe(mut client: TcpStream, to: SocketAddr) -> io::Result<()> {
    let mut server = time::timeout(CONNECT_TIMEOUT, TcpStream::connect(to)).await??;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A listener on a free port and its address.
    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// A forwarder to `to` and the address to dial.
    async fn forwarder(to: SocketAddr, limit: usize) -> SocketAddr {
        let (front, address) = listener().await;
        tokio::spawn(async move { serve(&front, to, limit).await });
        address
    }

    #[tokio::test]
    async fn an_answer_still_arrives_after_the_client_has_ended_its_half() {
        let (back, to) = listener().await;
        let front = forwarder(to, 4).await;
        let mut client = TcpStream::connect(front).await.unwrap();
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let (mut server, _) = back.accept().await.unwrap();
        let mut question = String::new();
        server.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "question");
        let answer = vec![7; 1 << 20];
        server.write_all(&answer).await.unwrap();
        drop(server);
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, answer);
    }

    #[tokio::test]
    async fn the_client_may_go_on_after_the_server_has_ended_its_half() {
        let (back, to) = listener().await;
        let front = forwarder(to, 4).await;
        let mut client = TcpStream::connect(front).await.unwrap();
        let (mut server, _) = back.accept().await.unwrap();
        server.write_all(b"greeting").await.unwrap();
        server.shutdown().await.unwrap();
        let mut greeting = String::new();
        client.read_to_string(&mut greeting).await.unwrap();
        client.write_all(b"late").await.unwrap();
        drop(client);
        let mut late = String::new();
        server.read_to_string(&mut late).await.unwrap();
        assert_eq!((greeting.as_str(), late.as_str()), ("greeting", "late"));
    }

    #[tokio::test]
    async fn connections_over_the_limit_wait_until_one_ends() {
        let (back, to) = listener().await;
        let front = forwarder(to, 1).await;
        let first = TcpStream::connect(front).await.unwrap();
        let (held, _) = back.accept().await.unwrap();
        let mut second = TcpStream::connect(front).await.unwrap();
        second.write_all(b"2").await.unwrap();
        let early = time::timeout(Duration::from_millis(100), back.accept()).await;
        assert!(
            early.is_err(),
            "the second connection was carried beside the first"
        );
        drop((first, held));
        let (mut server, _) = back.accept().await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'2');
    }

    #[tokio::test]
    async fn a_client_is_let_go_when_nothing_answers_behind() {
        let (back, to) = listener().await;
        drop(back);
        let front = forwarder(to, 1).await;
        for _ in 0..2 {
            let mut client = TcpStream::connect(front).await.unwrap();
            let end = client.read(&mut [0; 1]).await;
            assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
        }
    }
}
