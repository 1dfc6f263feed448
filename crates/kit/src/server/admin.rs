//! Readiness and metrics -> `/livez`, `/readyz`, `/metrics` on a plain port (IO).
//!
//! The limits are hand-written because they count connections. The layers of tower see requests only.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use prometheus_client::{encoding::text, registry::Registry};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::bind::bind;
use super::readiness::Readiness;

/// Maximum number of open connections. Further ones wait in the kernel's queue.
/// The kubelet and each metrics scraper need one connection.
const CONNECTIONS: usize = 64;
/// Timeout for the headers of a request, and for idle time between requests.
const HEADERS: Duration = Duration::from_secs(10);
/// Maximum lifetime of a connection, so that a slow reader does not occupy it for ever.
const LIFE: Duration = Duration::from_mins(2);
/// Maximum size of the request headers, in bytes.
const HEADER_BYTES: usize = 16 * 1024;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Builds the router of the endpoints. Tests use it without a socket.
pub fn router(readiness: Readiness, registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(move || std::future::ready(ready(&readiness))))
        .route("/metrics", get(metrics).with_state(registry))
}

/// Serves the endpoints until `shutdown`.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    readiness: Readiness,
    registry: Arc<Registry>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let listener = bind(address).await?;
    tokio::select! {
        () = accept(listener, router(readiness, registry)) => {}
        () = shutdown.cancelled() => {}
    }
    Ok(())
}

/// Accepts connections for ever. Shutdown waits for no request: answers are short and come from memory.
async fn accept(listener: TcpListener, router: Router) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    let _ = timeout(LIFE, serve_one(stream, router)).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // This happens, for example, without free file descriptors. Closing connections frees some.
                tracing::warn!(%error, "a connection for metrics or probes cannot be accepted");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_one(stream: TcpStream, router: Router) {
    let mut server = auto::Builder::new(TokioExecutor::new()).http1_only();
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(HEADER_BYTES);
    let service = TowerToHyperService::new(router);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection for metrics or probes ended early");
    }
}

fn ready(readiness: &Readiness) -> Response {
    let missing = readiness.missing();
    if missing.is_empty() {
        return match readiness.problem() {
            Some(set_problem) => format!("ready, but {set_problem}\n").into_response(),
            None => "ready\n".into_response(),
        };
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("waiting for {}\n", missing.join(", ")),
    )
        .into_response()
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut body = String::new();
    match text::encode(&mut body, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tower::ServiceExt as _;

    use super::*;

    async fn status(router: &Router, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn is_alive_before_it_is_ready() {
        let readiness = Readiness::default();
        let gate = readiness.gate("the cache");
        let router = router(readiness, Arc::default());
        assert_eq!(status(&router, "/livez").await, StatusCode::OK);
        assert_eq!(status(&router, "/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
        gate.open();
        assert_eq!(status(&router, "/readyz").await, StatusCode::OK);
        assert_eq!(status(&router, "/metrics").await, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_ready_process_reports_its_problem() {
        let readiness = Readiness::default();
        let text = async || {
            let request = Request::get("/readyz").body(Body::empty()).unwrap();
            let answer = router(readiness.clone(), Arc::default())
                .oneshot(request)
                .await
                .unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            axum::body::to_bytes(answer.into_body(), 1024).await.unwrap()
        };
        readiness.set_problem(Some("the definitions are old".to_owned()));
        assert_eq!(text().await, "ready, but the definitions are old\n");
        readiness.set_problem(None);
        assert_eq!(text().await, "ready\n");
    }

    async fn listening() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, router(Readiness::default(), Arc::default())));
        address
    }

    async fn ask(address: SocketAddr, headers: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn slow_or_oversized_requests_do_not_block_other_clients() {
        let address = listening().await;
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        // The request waits until one of the silent connections is dropped.
        assert!(ask(address, "").await.starts_with("HTTP/1.1 200"));
        let long = format!("x: {}\r\n", "y".repeat(2 * HEADER_BYTES));
        assert!(!ask(address, &long).await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "").await.starts_with("HTTP/1.1 200"));
    }
}
