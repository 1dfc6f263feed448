//! Cookies and an origin, or a token -> websocket to a workspace, or the refusal's status (IO).

use std::{fs, net::Ipv4Addr, sync::Arc};

use anyhow::Context as _;
use reqwest::{StatusCode, Url};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{WebSocketStream, tungstenite};

use crate::Environment;

/// An open websocket through the proxy.
pub type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Opens a websocket. The inner error is the status of a refusal.
///
/// # Errors
/// The connection fails, or the handshake fails for another reason than a refusal.
pub async fn connect(
    url: &str,
    cookies: &str,
    origin: Option<&str>,
) -> anyhow::Result<Result<Socket, StatusCode>> {
    hand_shake(tls(&host(url)?).await?, url, &of_page(cookies, origin)).await
}

/// Opens a websocket like a script with a token.
///
/// # Errors
/// The connection fails, or the handshake fails for another reason than a refusal.
pub async fn connect_with_token(url: &str, token: &str) -> anyhow::Result<Result<Socket, StatusCode>> {
    let bearer = format!("Bearer {token}");
    hand_shake(tls(&host(url)?).await?, url, &[("Authorization", &bearer)]).await
}

/// Origin of the workspace's pages.
pub(crate) fn origin(url: &str) -> anyhow::Result<String> {
    Ok(Url::parse(url)?.origin().ascii_serialization())
}

fn host(url: &str) -> anyhow::Result<String> {
    Ok(Url::parse(url)?.host_str().context("no host")?.to_owned())
}

/// Headers that a page's browser adds to a handshake.
pub(crate) fn of_page<'a>(cookies: &'a str, origin: Option<&'a str>) -> Vec<(&'static str, &'a str)> {
    let cookies = (!cookies.is_empty()).then_some(("Cookie", cookies));
    let origin = origin.map(|origin| ("Origin", origin));
    cookies.into_iter().chain(origin).collect()
}

/// A connection to the proxy, with `host` as the server name.
///
/// # Errors
/// The connection or the TLS handshake fails.
pub(crate) async fn tls(host: &str) -> anyhow::Result<TlsStream<TcpStream>> {
    let environment = Environment::get()?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&fs::read(&environment.ca_file)?) {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, environment.port)).await?;
    let name = ServerName::try_from(host.to_owned())?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
}

/// Opens a websocket on a connection. The inner error is the status of a refusal.
///
/// # Errors
/// The handshake fails for another reason than a refusal.
pub async fn hand_shake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    url: &str,
    headers: &[(&str, &str)],
) -> anyhow::Result<Result<WebSocketStream<S>, StatusCode>> {
    let parsed = Url::parse(url)?;
    let authority = match (parsed.host_str().context("no host")?, parsed.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    let mut request = http::Request::get(url)
        .header("Host", authority)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header(
            "Sec-WebSocket-Key",
            tungstenite::handshake::client::generate_key(),
        );
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    match tokio_tungstenite::client_async(request.body(())?, stream).await {
        Ok((socket, _)) => Ok(Ok(socket)),
        Err(tungstenite::Error::Http(response)) => Ok(Err(StatusCode::from_u16(response.status().as_u16())?)),
        Err(error) => Err(error.into()),
    }
}
