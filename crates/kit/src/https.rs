//! TLS connections -> an axum router (IO).

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Time for the TLS handshake, and for a request's headers.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time for requests under way once the process is asked to end.
const DRAIN: Duration = Duration::from_secs(10);
/// Most connections at once; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 1024;

/// Serves `router` over TLS until `shutdown`, then lets requests under way finish.
pub async fn serve(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    router: Router,
    shutdown: CancellationToken,
) {
    let acceptor = TlsAcceptor::from(config);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = async {
                let place = places.clone().acquire_owned().await;
                (listener.accept().await, place)
            } => accepted,
        };
        let stream = match accepted.0 {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, for example: waiting lets connections end.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (acceptor, router, watcher) = (acceptor.clone(), router.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _place = accepted.1;
            let Ok(Ok(tls)) = timeout(HANDSHAKE, acceptor.accept(stream)).await else {
                return;
            };
            let mut server = auto::Builder::new(TokioExecutor::new());
            server
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(HANDSHAKE);
            server
                .http2()
                .timer(TokioTimer::new())
                .keep_alive_interval(Some(Duration::from_secs(30)));
            let service = TowerToHyperService::new(router);
            let connection = server
                .serve_connection_with_upgrades(TokioIo::new(tls), service)
                .into_owned();
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way at the end of the drain time");
    }
}
