//! A substitute for a workspace's pod (IO).
//!
//! It is hyper alone. It answers each request with a page of 1 KiB, and echoes messages of websockets.

use std::convert::Infallible;
use std::net::IpAddr;

use anyhow::Context as _;
use bytes::Bytes;
use futures::StreamExt as _;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, UdpSocket};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::announce::print;

const PAGE: Bytes = Bytes::from_static(&[b'x'; 1024]);

/// The address by which this machine reaches others; nothing is sent. The gateway takes no pod for one that is on loopback.
async fn outward() -> anyhow::Result<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    // Of the range for documentation.
    let reached = socket.connect("198.51.100.1:9").await;
    reached.context("this machine has no address but loopback, which the gateway takes for no pod's")?;
    Ok(socket.local_addr()?.ip())
}

/// Serves for ever.
pub(crate) async fn serve() -> anyhow::Result<()> {
    let socket = TcpListener::bind((outward().await?, 0)).await?;
    print(&serde_json::json!({"address": socket.local_addr()?, "authority": null, "requests": {}}));
    loop {
        let (stream, _) = socket.accept().await?;
        stream.set_nodelay(true)?;
        let service = service_fn(async |request| Ok::<_, Infallible>(answer(request)));
        tokio::spawn(
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades(),
        );
    }
}

fn answer(mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let key = request.headers().get(SEC_WEBSOCKET_KEY);
    let Some(accept) = key.and_then(|key| derive_accept_key(key.as_bytes()).try_into().ok()) else {
        return Response::new(Full::new(PAGE));
    };
    let client = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(client) = client.await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(client), Role::Server, None).await;
        let (sink, messages) = socket.split();
        let _ = messages.forward(sink).await;
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    headers.insert(CONNECTION, http::HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, http::HeaderValue::from_static("websocket"));
    response
}
