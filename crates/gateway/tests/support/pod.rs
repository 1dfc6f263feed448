//! A pod that accepts each request and connection, and counts them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::handler::Handler;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Says its name to every request, and agrees to every upgrade: what comes next is sent back.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) address: SocketAddr,
    /// The heads of requests, as they came; empty for a connection that brought none.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Pod {
    pub(crate) async fn start(name: &'static str) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(vec![]));
        let noted = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                // Counted before anything is read, so that a dial alone shows.
                let number = {
                    let mut seen = noted.lock().unwrap();
                    seen.push(String::new());
                    seen.len() - 1
                };
                tokio::spawn(serve(stream, name, Arc::clone(&noted), number));
            }
        });
        Self { address, seen }
    }

    /// How often it was dialled.
    pub(crate) fn dials(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// The last request's head.
    pub(crate) fn last(&self) -> String {
        self.seen.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

async fn serve(mut stream: TcpStream, name: &str, noted: Arc<Mutex<Vec<String>>>, number: usize) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let lower = head.to_ascii_lowercase();
    noted.lock().unwrap()[number] = head;
    let upgrade = lower.lines().find_map(|line| line.strip_prefix("upgrade:"));
    let Some(upgrade) = upgrade else {
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{name}",
            name.len()
        );
        let _ = stream.write_all(answer.as_bytes()).await;
        return;
    };
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: {}\r\nconnection: Upgrade\r\n\r\n",
        upgrade.trim()
    );
    if stream.write_all(answer.as_bytes()).await.is_ok() {
        let (mut from, mut to) = stream.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    }
}

/// A pod that gives this answer to every request: its address.
pub(crate) async fn answering<H: Handler<T, ()>, T: 'static>(answer: H) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(socket, Router::new().fallback(answer)).await.unwrap() });
    address
}

/// A pod that closes each connection at once: its address, and the number of connections.
pub(crate) async fn counting() -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let dials = Arc::new(AtomicUsize::new(0));
    let counted = dials.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            drop(stream);
        }
    });
    (address, dials)
}
