//! Bare servers, with which the gateway is compared (IO).
//!
//! They are hyper alone and answer each request with 200. One sends no headers of its own. The other sends constant
//! headers, as many and as long as those of the gateway's answer.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::body::Body;
use http::header::{CACHE_CONTROL, COOKIE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_rustls::TlsAcceptor;

use crate::announce::{Headers, Tls, announce, bind, cookies};

/// Bytes of an assertion.
const ASSERTION: usize = 400;

pub(crate) async fn serve(tls: Option<Tls>, with_headers: bool) -> anyhow::Result<()> {
    let socket = bind().await?;
    // As long as a real one.
    let tickets = BTreeMap::from(["valid", "forged", "expired"].map(|case| (case, "A".repeat(230))));
    let headers = Headers {
        authority: "lab-2500-aaaaaaaaaaaaaaaa.workspaces.localhost:8443",
        tickets: &tickets,
        http2: tls.is_some(),
    };
    announce(&socket, &headers, tls.as_ref())?;
    let headers = if with_headers {
        answered()
    } else {
        HeaderMap::new()
    };
    let answer = service_fn(move |_: http::Request<hyper::body::Incoming>| {
        let mut response = http::Response::new(Body::empty());
        response.headers_mut().clone_from(&headers);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    loop {
        let (stream, _) = socket.accept().await?;
        stream.set_nodelay(true)?;
        match tls.clone() {
            None => {
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer.clone()));
            }
            Some(tls) => {
                let answer = answer.clone();
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

/// The headers of the gateway's answer, with an assertion that stays the same.
fn answered() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let cookies = cookies(None).join("; ");
    let values = [
        (COOKIE, cookies),
        (
            HeaderName::from_static(api::names::ASSERTION_HEADER),
            "A".repeat(ASSERTION),
        ),
    ];
    for (name, value) in values {
        if let Ok(mut value) = HeaderValue::from_str(&value) {
            // Written out in full in each answer, as the gateway's are.
            value.set_sensitive(name != COOKIE);
            headers.insert(name, value);
        }
    }
    headers
}
