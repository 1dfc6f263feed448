//! PEM certificates -> rustls configurations with replaceable certificates (pure).

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
};

use crate::keys::pki::Pair;

/// Why a configuration could not be created.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The PEM text cannot be read.
    #[error("the certificate or key is not readable PEM")]
    Pem,
    /// Certificate and key do not match, or the key type is not supported.
    #[error("the certificate cannot be used: {0}")]
    Rustls(#[from] rustls::Error),
    /// The authority for client certificates cannot be used.
    #[error("the authority of client certificates cannot be used: {0}")]
    ClientAuthority(String),
}

/// Makes aws-lc-rs the TLS provider of the process. Call it first in `main`; later calls have no effect.
pub fn install_crypto_provider() {
    // It fails only if a provider is already installed, which is fine.
    let _ = aws_lc_rs::default_provider().install_default();
}

/// A server certificate that can be replaced while connections are served. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Certificate {
    current: Arc<ArcSwapOption<CertifiedKey>>,
}

impl Certificate {
    /// Serves `pair` to new connections from now on.
    pub fn set(&self, pair: &Pair) -> Result<(), Error> {
        let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| Error::Pem)?;
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(|_| Error::Pem)?;
        let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())?;
        self.current.store(Some(Arc::new(certified)));
        Ok(())
    }

    /// Serves from now on the current certificate of `other`.
    pub fn follow(&self, other: &Self) {
        self.current.store(other.current.load_full());
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}

/// A server configuration for TLS 1.2 and 1.3 with HTTP/2 and HTTP/1.1.
///
/// With `client_authority` (PEM), the handshake accepts only clients with a certificate of that authority.
pub fn server_config(
    certificate: Certificate,
    client_authority: Option<&str>,
) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?;
    let builder = match client_authority {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for authority in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(authority.map_err(|_| Error::Pem)?)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(
                Arc::new(roots),
                Arc::new(aws_lc_rs::default_provider()),
            )
            .build()
            .map_err(|error| Error::ClientAuthority(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(certificate));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A client configuration that accepts the certificate of any authority, for any name and time. The server must prove that it has the
/// private key. Use it only where something else decides which server answers, or where the certificate itself is examined.
///
/// # Panics
/// Never: it would fail for a provider without ciphers only.
pub fn unverified_client_config() -> ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(AnyCertificate(provider.clone()));
    // The provider supports every version that rustls has.
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(rustls::ALL_VERSIONS);
    let config = builder.map(|builder| {
        builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth()
    });
    #[expect(clippy::expect_used, reason = "it fails for a provider without ciphers only")]
    config.expect("the provider has ciphers")
}

/// Accepts any certificate, but requires proof of its private key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
