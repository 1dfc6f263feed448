//! a cookie, an origin -> a websocket to a workspace, or the status that refused it (IO).

use std::{fs, net::Ipv4Addr, sync::Arc};

use anyhow::Context as _;
use reqwest::{StatusCode, Url};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{WebSocketStream, tungstenite};

use crate::Environment;

/// An open websocket through the proxy.
pub type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Opens a websocket; the inner error is the status of a refusal.
///
/// # Errors
/// When the connection or the handshake fails other than by a refusal.
pub async fn connect(
    url: &str,
    cookies: &str,
    origin: Option<&str>,
) -> anyhow::Result<Result<Socket, StatusCode>> {
    let environment = Environment::get()?;
    let parsed = Url::parse(url)?;
    let host = parsed.host_str().context("no host")?.to_owned();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&fs::read(&environment.ca_file)?) {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, environment.port)).await?;
    let tls = TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from(host.clone())?, stream)
        .await?;
    let mut request = http::Request::get(url)
        .header("Host", format!("{host}:{}", environment.port))
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header(
            "Sec-WebSocket-Key",
            tungstenite::handshake::client::generate_key(),
        );
    if !cookies.is_empty() {
        request = request.header("Cookie", cookies);
    }
    if let Some(origin) = origin {
        request = request.header("Origin", origin);
    }
    match tokio_tungstenite::client_async(request.body(())?, tls).await {
        Ok((socket, _)) => Ok(Ok(socket)),
        Err(tungstenite::Error::Http(response)) => Ok(Err(StatusCode::from_u16(response.status().as_u16())?)),
        Err(error) => Err(error.into()),
    }
}
