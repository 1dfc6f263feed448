//! The bare server that the gateway is held against: hyper alone, which answers 200 to anything (IO).

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::body::Body;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_rustls::TlsAcceptor;

use crate::announce::{Headers, Tls, announce, bind};

pub(crate) async fn serve(tls: Option<Tls>) -> anyhow::Result<()> {
    let socket = bind().await?;
    // As long as a real one.
    let tickets = BTreeMap::from(["valid", "forged", "expired"].map(|case| (case, "A".repeat(230))));
    let headers = Headers {
        authority: "lab-2500-aaaaaaaaaaaaaaaa.workspaces.localhost:8443",
        tickets: &tickets,
        http2: tls.is_some(),
    };
    announce(&socket, &headers, tls.as_ref())?;
    let answer = service_fn(async |_| Ok::<_, Infallible>(http::Response::new(Body::empty())));
    loop {
        let (stream, _) = socket.accept().await?;
        stream.set_nodelay(true)?;
        match tls.clone() {
            None => {
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
            Some(tls) => {
                tokio::spawn(async move {
                    let stream = TlsAcceptor::from(tls.config).accept(stream).await?;
                    let server = http2::Builder::new(TokioExecutor::new());
                    server.serve_connection(TokioIo::new(stream), answer).await?;
                    anyhow::Ok(())
                });
            }
        }
    }
}
