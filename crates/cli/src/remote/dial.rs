//! Place -> an HTTP connection over TLS, by a proxy of the environment where one is named (IO).

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::Uri;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use k8s_openapi::jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::Place;
use crate::proxy::{Proxy, is_localhost};

/// How long one attempt to connect may take, TLS included.
const LIMIT: Duration = Duration::from_secs(15);

const REMEDY: &str = "check the address, and the network of this computer";

/// The body of a request.
pub(crate) type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Makes connections that trust the system's authorities and those of an installation.
pub(crate) struct Dialer {
    tls: TlsConnector,
}

impl Dialer {
    /// `authority`: certificates in PEM, beside those of the system (or of `$SSL_CERT_FILE`).
    pub(crate) fn new(authority: Option<&str>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        let of_system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(of_system.certs);
        for certificate in CertificateDer::pem_slice_iter(authority.unwrap_or_default().as_bytes()) {
            let added = certificate
                .map_err(anyhow::Error::from)
                .and_then(|found| Ok(roots.add(found)?));
            added.context("a certificate of the authority cannot be read: it must be in PEM")?;
        }
        if roots.is_empty() {
            bail!(
                "this system trusts no certificate authority: install ca-certificates, set $SSL_CERT_FILE, or use login --ca-file"
            );
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Connects. The connection lives as long as its requests.
    pub(crate) async fn connect(&self, to: &Place) -> anyhow::Result<SendRequest<Body>> {
        let connecting = async {
            let stream = reach(to).await?;
            let name = ServerName::try_from(to.host.clone())?;
            let secured = self.tls.connect(name, stream).await;
            let stream = secured.map_err(|error| explain_tls_error(error, to))?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection.with_upgrades());
            Ok(sender)
        };
        match tokio::time::timeout(LIMIT, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(anyhow!("{REMEDY}: no connection within {LIMIT:?}")),
        }
        .with_context(|| format!("{to} cannot be reached"))
    }
}

async fn reach(to: &Place) -> anyhow::Result<TcpStream> {
    if is_localhost(&to.host) {
        return tcp("127.0.0.1", to.port).await;
    }
    let uri: Uri = format!("https://{}:{}", to.host, to.port).parse()?;
    match Proxy::of_environment(&uri) {
        Some(proxy) => Ok(proxy.connect(uri).await?.into_inner()),
        None => tcp(&to.host, to.port).await,
    }
}

async fn tcp(host: &str, port: u16) -> anyhow::Result<TcpStream> {
    TcpStream::connect((host, port)).await.context(REMEDY)
}

/// Why TLS failed, with what to do about it.
fn explain_tls_error(error: io::Error, to: &Place) -> anyhow::Error {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let remedy = match tls {
        Some(rustls::Error::InvalidCertificate(certificate)) => match certificate {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => format!(
                "its certificate is not valid at the time of this computer's clock, which says {}: set the clock, or tell the administrator",
                Timestamp::now()
            ),
            CertificateError::UnknownIssuer => {
                "its certificate is of an authority that this system does not trust: \
                 give the authority's certificate with kubectl workspace login --ca-file FILE"
                    .to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("its certificate is not for {}: check the address", to.host)
            }
            _ => return error.into(),
        },
        _ if error.kind() == ErrorKind::UnexpectedEof => {
            "it does not speak TLS: check the address and its port".to_owned()
        }
        _ => return error.into(),
    };
    anyhow!(remedy)
}
