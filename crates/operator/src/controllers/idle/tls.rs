//! Connection to a pod -> the same with TLS, whatever its certificate (IO).
//!
//! The address decides which pod answers, and the API server reports it as the pod's own. No authority issues certificates for such
//! addresses. The request holds no secret, and the answer affects only the workspace itself.

use std::{io, net::IpAddr, sync::Arc};

use kit::tls::unverified_client_config;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Makes TLS connections.
#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

impl Tls {
    pub(super) fn new() -> Self {
        Self(TlsConnector::from(Arc::new(unverified_client_config())))
    }

    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        address: IpAddr,
    ) -> io::Result<TlsStream<TcpStream>> {
        self.0
            .connect(ServerName::IpAddress(address.into()), stream)
            .await
    }
}
