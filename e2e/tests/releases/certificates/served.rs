//! Host and certificate authorities -> the certificate that the proxy serves, and websockets (IO).

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::Context as _;
use e2e::{
    Environment,
    http::{HttpSession, socket},
};
use futures::{SinkExt as _, StreamExt as _};
use reqwest::Url;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

/// A new connection to the proxy. The certificate must be of one of these authorities (PEM), and for this host.
async fn connection(host: &str, authorities: &str) -> anyhow::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, Environment::get()?.port)).await?;
    let name = ServerName::try_from(host.to_owned())?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
}

/// The certificate that the proxy serves for a host.
pub(crate) async fn certificate(host: &str, authorities: &str) -> anyhow::Result<CertificateDer<'static>> {
    let stream = connection(host, authorities).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(chain.first().context("no certificate")?.clone().into_owned())
}

/// A websocket to the echo server of a workspace, which stays open.
pub(crate) struct OpenSocket(WebSocketStream<TlsStream<TcpStream>>);

impl OpenSocket {
    pub(crate) async fn open(session: &HttpSession, url: &str, authorities: &str) -> anyhow::Result<Self> {
        let parsed = Url::parse(url)?;
        let stream = connection(parsed.host_str().context("no host")?, authorities).await?;
        let origin = parsed.origin().ascii_serialization();
        let cookies = session.cookies(url)?;
        let headers = [("Cookie", cookies.as_str()), ("Origin", &origin)];
        let target = format!("{}ws", url.replacen("https", "wss", 1));
        let opened = socket::hand_shake(stream, &target, &headers).await?;
        let mut opened = opened.map_err(|status| anyhow::anyhow!("the websocket was refused: {status}"))?;
        // The handshake, as the server saw it.
        opened.next().await.context("no greeting")??;
        Ok(Self(opened))
    }

    /// Sends a text, and gets it back.
    pub(crate) async fn echoes(&mut self, text: &str) -> anyhow::Result<()> {
        self.0.send(Message::text(text.to_owned())).await?;
        let answer = self.0.next().await.context("the websocket has ended")??;
        anyhow::ensure!(answer == Message::text(text.to_owned()), "{answer:?}");
        Ok(())
    }
}
