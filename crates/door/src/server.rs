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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::application::Address;
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
/// Pause between two attempts to reach an application that starts.
const PAUSE: Duration = Duration::from_millis(20);

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

/// Waits until the application accepts connections, and listens. A readiness probe that only connects then tells the truth.
///
/// # Errors
/// The port is taken by another process that listens.
pub(crate) async fn listen(socket: TcpSocket, application: &Address) -> io::Result<TcpListener> {
    while application.connect().await.is_err() {
        tokio::time::sleep(PAUSE).await;
    }
    socket.listen(BACKLOG)
}

/// Answers connections, without end.
pub(crate) async fn serve(listener: TcpListener, router: Arc<Router>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = prepare(&stream);
                tokio::spawn(connection(stream, Arc::clone(&router), permit));
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
    use futures::FutureExt as _;
    use tokio::net::UnixListener;

    use super::*;

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
    async fn nothing_connects_before_the_application_accepts_connections() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("application.sock");
        let socket = bind(0).unwrap();
        let port = socket.local_addr().unwrap().port();
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        let application = Address::Socket(path.clone());
        let listening = listen(socket, &application);
        tokio::pin!(listening);
        assert!((&mut listening).now_or_never().is_none());
        assert!(connect().await.is_err());
        let _application = UnixListener::bind(path).unwrap();
        let _listener = listening.await.unwrap();
        connect().await.unwrap();
    }

    /// What the door adds to the start of its application.
    #[tokio::test(start_paused = true)]
    async fn it_listens_at_most_a_pause_after_the_application() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("application.sock");
        let application = Address::Socket(path.clone());
        let listening = listen(bind(0).unwrap(), &application);
        tokio::pin!(listening);
        // It has just looked in vain: the longest wait.
        assert!((&mut listening).now_or_never().is_none());
        let _application = UnixListener::bind(path).unwrap();
        let since = tokio::time::Instant::now();
        listening.await.unwrap();
        let took = since.elapsed();
        assert!(took <= PAUSE, "{took:?}");
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
