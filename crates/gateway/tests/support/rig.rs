//! A listener with a private authority, and clients with and without its certificate.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use gateway::metrics::Metrics;
use gateway::server::{Bounds, Kind, Most, at_entrance};
use gateway::server::{Limits, Listener, Owners};
use http::HeaderMap;
use kit::pki::{Pair, Purpose, authority, leaf};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

pub(crate) const NAME: &str = "gateway.test";

pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
    pub(crate) metrics: Metrics,
    authority: Pair,
    proxy: Pair,
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
        let now = jiff::Timestamp::now();
        let names = [NAME.to_owned()];
        let authority = authority("test", now).unwrap();
        let server = leaf(&authority, NAME, &names, Purpose::Server, now).unwrap();
        let proxy = leaf(&authority, "proxy", &[], Purpose::Client, now).unwrap();
        let certificate = kit::tls::Certificate::default();
        certificate.set(&server).unwrap();
        let config = Arc::new(kit::tls::server_config(certificate, Some(&authority.certificate)).unwrap());
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let stop = CancellationToken::new();
        let listener = Listener {
            name: "test",
            socket,
            tls: Some(watch::channel(config).1),
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
            authority,
            proxy,
        }
    }

    /// A connection with the proxy's certificate.
    pub(crate) async fn connect(&self, protocol: &str) -> TlsStream<TcpStream> {
        self.connect_as(protocol, Some(&self.proxy)).await.unwrap()
    }

    /// A connection with a certificate of another user's authority, or with none.
    pub(crate) async fn connect_as(
        &self,
        protocol: &str,
        client: Option<&Pair>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.authority.certificate.as_bytes()).unwrap())
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
        let stream = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from(NAME).unwrap(), stream)
            .await
    }
}
