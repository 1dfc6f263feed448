//! Listening socket -> connections, a bounded number (IO).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::permit::ConnectionPermit;
use crate::router::Router;

/// Largest number of connections. More wait until one ends.
const CONNECTIONS: usize = 1024;
/// Largest head of a request, in bytes.
const HEAD: usize = 64 * 1024;
/// How long a client may take for the head of a request, and how long a connection may be unused. Proxies keep theirs for 90 seconds.
const IDLE: Duration = Duration::from_mins(2);
/// Silence after which the other side is probed, and the pause between the probes. A node that fails sends no end of its connections, and a
/// shell that waits for input writes nothing by which that would show.
const PROBE: Duration = Duration::from_secs(30);

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Takes a port of all addresses. Nothing can connect to it yet.
///
/// # Errors
/// The port is taken, or may not be used.
pub(crate) fn bind(port: u16) -> anyhow::Result<TcpSocket> {
    let bound = match bind_to(TcpSocket::new_v6, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
        // Nodes may have IPv6 disabled.
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            bind_to(TcpSocket::new_v4, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        }
        bound => bound,
    };
    bound.with_context(|| {
        format!("port {port} cannot be listened on; JUPYTER_PORT must be a port that no other process of the pod has")
    })
}

fn bind_to(socket: fn() -> io::Result<TcpSocket>, address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = socket()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Answers connections while the application answers, without end. Otherwise it does not listen, and a readiness probe that only connects
/// tells the truth. Connections that are open stay open.
///
/// # Errors
/// The port is taken by another process that listens.
pub(crate) async fn serve(
    mut socket: TcpSocket,
    router: Arc<Router>,
    mut answers: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let port = socket.local_addr()?.port();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        answers.wait_for(|answers| *answers).await?;
        let listener = socket.listen(BACKLOG)?;
        tokio::select! {
            () = accept(&listener, &router, &places) => return Ok(()),
            silent = answers.wait_for(|answers| !answers) => silent.map(drop)?,
        }
        drop(listener);
        socket = bind(port)?;
    }
}

async fn accept(listener: &TcpListener, router: &Arc<Router>, places: &Arc<Semaphore>) {
    loop {
        let Ok(permit) = Arc::clone(places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = prepare(&stream);
                tokio::spawn(connection(stream, Arc::clone(router), permit));
            }
            // No file descriptors are left, or the client is gone already.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Sends small packets at once, and notices within two minutes that the other side is gone.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let probes = TcpKeepalive::new()
        .with_time(PROBE)
        .with_interval(PROBE)
        .with_retries(2);
    SockRef::from(stream).set_tcp_keepalive(&probes)
}

/// Answers the requests of one connection.
pub(crate) async fn connection<S>(stream: S, router: Arc<Router>, permit: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let permit = ConnectionPermit::from(permit);
    let service = service_fn(move |mut request| {
        let router = Arc::clone(&router);
        request.extensions_mut().insert(permit.clone());
        async move { Ok::<_, std::convert::Infallible>(router.answer(request).await) }
    });
    // An error is the end of a connection, which is not of interest.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::router::tests::{BASE, Door};

    #[tokio::test]
    async fn a_side_that_is_gone_is_probed() {
        let listener = bind(0).unwrap().listen(BACKLOG).unwrap();
        let port = listener.local_addr().unwrap().port();
        let _client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(!socket.keepalive().unwrap());
        prepare(&stream).unwrap();
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), PROBE);
    }

    #[tokio::test]
    async fn it_listens_while_the_application_answers_and_open_connections_stay() {
        let door = Door::new(true).with_application();
        let socket = bind(0).unwrap();
        let port = socket.local_addr().unwrap().port();
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        let (sender, answers) = watch::channel(false);
        tokio::spawn(serve(socket, Arc::clone(&door.router), answers));
        assert!(connect().await.is_err());
        let request = format!("GET {BASE}jupyter-k8s/ready HTTP/1.1\r\nhost: a\r\n\r\n");
        let mut open = None;
        for is_answering in [true, false, true] {
            sender.send_replace(is_answering);
            while connect().await.is_ok() != is_answering {
                tokio::task::yield_now().await;
            }
            if open.is_none() {
                open = Some(connect().await.unwrap());
            }
            let open = open.as_mut().unwrap();
            open.write_all(request.as_bytes()).await.unwrap();
            let mut answer = BytesMut::new();
            while !answer.ends_with(b"\r\n\r\n") {
                assert_ne!(open.read_buf(&mut answer).await.unwrap(), 0);
            }
            assert!(answer.starts_with(b"HTTP/1.1 204"), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named() {
        let other = bind(0).unwrap().listen(BACKLOG).unwrap();
        let port = other.local_addr().unwrap().port();
        let error = bind(port).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("port {port} cannot be listened on")),
            "{error}"
        );
    }
}
