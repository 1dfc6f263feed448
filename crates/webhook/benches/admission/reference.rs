//! A bare hyper server with TLS on one thread: reads the whole review and allows every request (IO).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::text;

const ANSWER: &[u8] = br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"00000000-0000-0000-0000-000000000000","allowed":true}}"#;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    address: SocketAddr,
    /// PEM.
    certificate: PathBuf,
    key: PathBuf,
}

/// Serves until the process is killed.
pub(crate) fn run(plan: &Plan) -> anyhow::Result<()> {
    let served = kit::tls::Certificate::default();
    served.set(&kit::pki::Pair {
        certificate: text(&plan.certificate)?,
        key: text(&plan.key)?,
    })?;
    let acceptor = TlsAcceptor::from(Arc::new(kit::tls::server_config(served, None)?));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(plan.address, acceptor))
}

async fn serve(address: SocketAddr, acceptor: TlsAcceptor) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            let stream = acceptor.accept(stream).await?;
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await?;
            anyhow::Ok(())
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    request.into_body().collect().await?;
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Ok(response)
}
