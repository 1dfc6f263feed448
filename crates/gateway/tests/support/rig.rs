//! A listener with a private authority, and clients with and without its certificate.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use gateway::metrics::Metrics;
use gateway::server::{Bounds, Kind, Most, at_entrance};
use gateway::server::{Limits, Listener, Owners};
use http::HeaderMap;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kit::pki::Pair;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::support::behind_proxy::Internal;
use crate::support::chart::GATEWAY;

pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
    pub(crate) metrics: Metrics,
    internal: Internal,
}

impl Rig {
    pub(crate) async fn start(router: Router, limits: Limits) -> Self {
        Self::start_with(router, limits, Most::default()).await
    }

    pub(crate) async fn start_with(router: Router, limits: Limits, most: Most) -> Self {
        Self::start_as(at_entrance, router, limits, most).await
    }

    /// A listener whose requests are of these kinds.
    pub(crate) async fn start_as(
        kind: fn(&str, &HeaderMap) -> Kind,
        router: Router,
        limits: Limits,
        most: Most,
    ) -> Self {
        let metrics = Metrics::default();
        kit::tls::install_crypto_provider();
        let internal = Internal::new();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let stop = CancellationToken::new();
        let listener = Listener {
            name: "test",
            socket,
            tls: Some(watch::channel(internal.server_config()).1),
            limits,
            bounds: Bounds::new(most, metrics.clone()),
            kind,
            owners: Owners::default(),
            metrics: metrics.clone(),
        };
        let serving = tokio::spawn(listener.serve(move || router.clone(), stop.clone()));
        Self {
            address,
            stop,
            serving,
            metrics,
            internal,
        }
    }

    /// A connection with the proxy's certificate.
    pub(crate) async fn connect(&self, protocol: &str) -> TlsStream<TcpStream> {
        self.connect_as(protocol, Some(&self.internal.proxy))
            .await
            .unwrap()
    }

    /// The proxy as a client that speaks HTTP/2, and its connection.
    pub(crate) async fn http2(&self) -> (http2::SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
        let stream = TokioIo::new(self.connect("h2").await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        (sender, tokio::spawn(connection))
    }

    /// The proxy as a client that speaks HTTP/1.1.
    pub(crate) async fn http1(&self) -> http1::SendRequest<Body> {
        let stream = TokioIo::new(self.connect("http/1.1").await);
        let (sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// A connection with a certificate of another user's authority, or with none.
    pub(crate) async fn connect_as(
        &self,
        protocol: &str,
        client: Option<&Pair>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let connector = connector(&self.internal.authority, protocol, client);
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(GATEWAY).unwrap();
        connector.connect(name, stream).await
    }
}

/// A client that trusts `authority` alone and speaks this protocol, with a certificate or without.
pub(crate) fn connector(authority: &Pair, protocol: &str, client: Option<&Pair>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap())
        .unwrap();
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match client {
        None => builder.with_no_client_auth(),
        Some(pair) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    TlsConnector::from(Arc::new(config))
}
