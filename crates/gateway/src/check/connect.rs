//! Address and host -> the certificate that is served there (IO).

use std::sync::Arc;
use std::time::Duration;

use kit::tls::unverified_client_config;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio_rustls::TlsConnector;

/// Timeout of the connection and of the handshake.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The certificate of the server at `address` for `host`, with whatever authority and validity. Nothing is sent to that server.
pub(super) async fn certificate(
    address: impl ToSocketAddrs,
    host: &str,
) -> Result<CertificateDer<'static>, String> {
    tokio::time::timeout(TIMEOUT, served(address, host))
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())))
}

async fn served(address: impl ToSocketAddrs, host: &str) -> Result<CertificateDer<'static>, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(Arc::new(unverified_client_config()))
        .connect(name, stream)
        .await
        .map_err(|error| error.to_string())?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let leaf = chain
        .first()
        .ok_or_else(|| "it serves no certificate".to_owned())?;
    Ok(leaf.clone().into_owned())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::check::certificate::tests::{certificate as issued, der};

    #[tokio::test]
    async fn the_served_certificate_is_returned_with_any_issuer() {
        let pair = issued(&["auth.ws.example"], jiff::Timestamp::now());
        let current = kit::tls::Certificate::default();
        current.set(&pair).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(kit::tls::server_config(current, None).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            acceptor.accept(stream).await.unwrap();
        });
        let found = certificate(address, "auth.ws.example").await.unwrap();
        assert_eq!(found, der(&pair));
        server.await.unwrap();
        let error = certificate(address, "auth.ws.example").await.unwrap_err();
        assert!(error.contains("refused"), "{error}");
    }
}
