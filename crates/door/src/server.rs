//! Listening socket -> connections, a bounded number (IO).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::permit::ConnectionPermit;
use crate::router::Router;

/// Largest number of connections. More wait until one ends.
const CONNECTIONS: usize = 1024;
/// Largest head of a request, in bytes.
const HEAD: usize = 64 * 1024;
/// How long a client may take for the head of a request, and how long a connection may be unused. Proxies keep theirs for 90 seconds.
const IDLE: Duration = Duration::from_mins(2);

/// Listens on a port of all addresses.
///
/// # Errors
/// The port is taken, or may not be used.
pub(crate) async fn bind(port: u16) -> anyhow::Result<TcpListener> {
    let all = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let bound = match TcpListener::bind(all).await {
        // Nodes may have IPv6 disabled.
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
        }
        bound => bound,
    };
    bound.with_context(|| {
        format!("port {port} cannot be listened on; JUPYTER_PORT must be a port that no other process of the pod has")
    })
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
                let _ = stream.set_nodelay(true);
                tokio::spawn(connection(stream, Arc::clone(&router), permit));
            }
            // No file descriptors are left, or the client is gone already.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
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
