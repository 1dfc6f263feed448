//! Requests of a browser to this computer -> the code of the gateway, once (IO: a local socket).

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

use crate::remote::secret;

/// Connections at the same time: a browser opens a few, and other programs of this computer have no business here.
const CONNECTIONS: usize = 8;
/// Bytes of a request's head at most: hyper's least.
const HEAD: usize = 8 << 10;

/// Waits for the request that carries the state of this sign-in. Other requests get an error, and change nothing.
pub(super) async fn code(listener: TcpListener, state: &str) -> anyhow::Result<String> {
    let port = listener.local_addr()?.port();
    let (found, mut codes) = mpsc::channel(1);
    let state: Arc<str> = state.into();
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = async {
            let permit = permits.clone().acquire_owned().await?;
            Ok::<_, anyhow::Error>((permit, listener.accept().await?))
        };
        let (permit, (stream, _)) = tokio::select! {
            code = codes.recv() => return code.context("no code came"),
            accepted = accepted => accepted?,
        };
        let (found, state) = (found.clone(), state.clone());
        let service = service_fn(move |request| {
            let answer = answer(&request, port, &state, &found);
            async move { Ok::<_, Infallible>(answer) }
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .max_buf_size(HEAD)
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            let _ = serving.await;
            drop(permit);
        });
    }
}

fn answer(
    request: &Request<Incoming>,
    port: u16,
    state: &str,
    found: &mpsc::Sender<String>,
) -> Response<Full<Bytes>> {
    let own = format!("127.0.0.1:{port}");
    let is_own = request.headers().get(HOST).is_some_and(|host| *host == *own);
    if request.method() != Method::GET || request.uri().path() != "/" || !is_own {
        return page(StatusCode::NOT_FOUND, "There is nothing here.");
    }
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let value = |name: &str| {
        let mut pairs = form_urlencoded::parse(query);
        pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    };
    if !value("state").is_some_and(|other| secret::same(&other, state)) {
        return page(
            StatusCode::BAD_REQUEST,
            "This is no answer to the sign-in that waits here. Run the command again.",
        );
    }
    match value("code").filter(|code| !code.is_empty()) {
        Some(code) => {
            // A second answer has no place, and is not needed.
            let _ = found.try_send(code);
            page(
                StatusCode::OK,
                "Go back to the terminal. You may close this page.",
            )
        }
        None => page(
            StatusCode::BAD_REQUEST,
            "The answer has no code. Run the command again.",
        ),
    }
}

fn page(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let html = format!("<!doctype html><meta charset=utf-8><title>kubectl workspace</title><p>{text}</p>");
    let mut response = Response::new(Full::from(html));
    *response.status_mut() = status;
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (CONNECTION, "close"),
    ] {
        response
            .headers_mut()
            .insert(name, http::HeaderValue::from_static(value));
    }
    response
}
