//! request to the identity provider -> its answer (IO), with limits of time and size.
//!
//! Redirects are not followed.

use kit::process::InvalidSetting;
use std::error::Error as StdError;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};

use crate::metrics::Metrics;
use crate::oidc::dialer::{Dialer, parse_address};
use crate::oidc::https_proxy::HttpsProxy;

/// Timeout of a whole exchange.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of an answer, in bytes.
const MAX_BODY: usize = 256 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The provider did not answer; a later attempt may succeed.
    #[error("no connection to {host}: {reason}")]
    Unreachable {
        /// Host of the request.
        host: String,
        /// What failed.
        reason: String,
    },
    /// The provider answered that it cannot answer now.
    #[error("{uri} answers {status}")]
    Later {
        /// Address of the request.
        uri: Uri,
        /// Status of the answer.
        status: StatusCode,
    },
    /// The server's certificate is not trusted.
    #[error("the certificate of {host} is not trusted: {reason}")]
    Untrusted {
        /// Host of the request.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The answer exceeds the maximum size.
    #[error("the answer of {0} is longer than {MAX_BODY} bytes")]
    TooLarge(String),
}

/// The authorities that may sign the provider's certificate.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trusted<'a> {
    /// Those of the system.
    System,
    /// Those in this PEM file alone.
    File(&'a Path),
    /// This one alone, PEM.
    Authority(&'a str),
}

type Exchange =
    dyn Fn(Request<Vec<u8>>) -> BoxFuture<'static, Result<Response<Vec<u8>>, HttpError>> + Send + Sync;

/// The purpose of a request, as a stable label.
fn call(request: &Request<Vec<u8>>) -> &'static str {
    let is = |grant: &str| {
        form_urlencoded::parse(request.body()).any(|(name, value)| name == "grant_type" && value == grant)
    };
    match *request.method() {
        Method::POST if is("authorization_code") => "login",
        Method::POST if is("refresh_token") => "renewal",
        Method::GET => "document",
        _ => "other",
    }
}

/// Sends requests to the identity provider. Clones share connections.
#[derive(Clone)]
pub struct HttpClient(Arc<Exchange>);

impl HttpClient {
    /// A client over HTTPS only. `connect_to`: address `host:port` to connect to instead of `issuer_host`; TLS name and Host header stay
    /// the issuer's. `proxy`: the proxy through which all other connections go.
    ///
    /// # Errors
    /// The authorities or the address cannot be used.
    pub(crate) fn over_tls(
        trusted: Trusted<'_>,
        issuer_host: &str,
        connect_to: Option<&str>,
        proxy: Option<HttpsProxy>,
    ) -> Result<Self, InvalidSetting> {
        let tls =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| InvalidSetting::new("oidc-ca-file", error.to_string()))?
                .with_root_certificates(roots(trusted)?)
                .with_no_client_auth();
        let dialer = Dialer {
            instead_of: issuer_host.to_ascii_lowercase(),
            address: connect_to.map(parse_address).transpose()?,
            proxy,
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_all_versions()
            .wrap_connector(dialer.clone());
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build::<_, Full<Bytes>>(connector);
        Ok(Self::new(move |request: Request<Vec<u8>>| {
            exchange(client.clone(), dialer.description(request.uri()), request)
        }))
    }

    /// A client that sends its requests through `exchange`. A "try later" status counts as no answer: whatever its body contains, nothing
    /// was decided.
    pub fn new<F, A>(exchange: F) -> Self
    where
        F: Fn(Request<Vec<u8>>) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Response<Vec<u8>>, HttpError>> + Send + 'static,
    {
        Self(Arc::new(move |request| {
            let uri = request.uri().clone();
            let answer = exchange(request);
            Box::pin(async move {
                match tokio::time::timeout(TIMEOUT, answer).await {
                    Ok(answer) => answer.and_then(|answer| match answer.status() {
                        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                            Err(HttpError::Later { uri, status })
                        }
                        _ => Ok(answer),
                    }),
                    Err(_) => Err(HttpError::Unreachable {
                        host: uri.host().unwrap_or_default().to_owned(),
                        reason: format!("no answer within {} s", TIMEOUT.as_secs()),
                    }),
                }
            })
        }))
    }

    /// The same client, with its requests counted in `metrics`.
    #[must_use]
    pub fn with_metrics(&self, metrics: Metrics) -> Self {
        let Self(inner) = self.clone();
        Self(Arc::new(move |request: Request<Vec<u8>>| {
            let (call, metrics) = (call(&request), metrics.clone());
            let answer = inner(request);
            Box::pin(async move {
                let start = Instant::now();
                let answer = answer.await;
                let outcome = match &answer {
                    Ok(response) if response.status().is_success() => "answered",
                    Err(HttpError::Later { status, .. }) if status.is_server_error() => "failed",
                    Ok(_) | Err(HttpError::Later { .. }) => "refused",
                    Err(HttpError::Unreachable { .. }) => "unreachable",
                    Err(HttpError::Untrusted { .. } | HttpError::TooLarge(_)) => "unusable",
                };
                metrics.observe_provider(call, outcome, start.elapsed());
                answer
            })
        }))
    }
}

impl openidconnect::AsyncHttpClient<'_> for HttpClient {
    type Error = HttpError;
    type Future = BoxFuture<'static, Result<Response<Vec<u8>>, HttpError>>;

    fn call(&self, request: Request<Vec<u8>>) -> Self::Future {
        (self.0)(request)
    }
}

async fn exchange(
    client: Client<HttpsConnector<Dialer>, Full<Bytes>>,
    host: String,
    request: Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, HttpError> {
    let unreachable = |reason: String| HttpError::Unreachable {
        host: host.clone(),
        reason,
    };
    let request = request.map(|body| Full::new(Bytes::from(body)));
    let answer = client
        .request(request)
        .await
        .map_err(|error| match certificate_problem(&error) {
            Some(reason) => HttpError::Untrusted {
                host: host.clone(),
                reason,
            },
            None => unreachable(innermost(&error)),
        })?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            HttpError::TooLarge(host.clone())
        } else {
            unreachable(error.to_string())
        }
    })?;
    Ok(Response::from_parts(head, body.to_bytes().to_vec()))
}

/// The text of rustls about a rejected certificate, from any error in the chain of sources.
fn certificate_problem(error: &(dyn StdError + 'static)) -> Option<String> {
    sources(error).find_map(|cause| match cause.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidCertificate(reason)) => Some(reason.to_string()),
        _ => None,
    })
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    sources(error)
        .last()
        .map_or_else(String::new, ToString::to_string)
}

/// The error and its sources. An `io::Error` does not return its inner error from `source`.
fn sources<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        let error: &'a (dyn StdError + 'static) = *error;
        let carried = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        match carried {
            Some(carried) => Some(carried as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}

fn roots(trusted: Trusted<'_>) -> Result<RootCertStore, InvalidSetting> {
    let mut roots = RootCertStore::empty();
    let (pem, origin) = match trusted {
        Trusted::System => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(roots);
        }
        Trusted::File(path) => (std::fs::read(path), path.display().to_string()),
        Trusted::Authority(pem) => (Ok(pem.into()), "the authority of the proxy".to_owned()),
    };
    let problem = |reason: String| InvalidSetting::new("oidc-ca-file", format!("{origin}: {reason}"));
    let pem = pem.map_err(|error| problem(error.to_string()))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| problem(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| problem(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(problem("holds no certificate; give PEM".into()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use openidconnect::AsyncHttpClient as _;

    #[tokio::test]
    async fn an_unknown_authority_and_an_unreachable_server_have_different_errors() {
        let authority = kit::pki::authority("test", jiff::Timestamp::now()).unwrap();
        let names = ["localhost".to_owned()];
        let pair = kit::pki::leaf(
            &authority,
            "localhost",
            &names,
            kit::pki::Purpose::Server,
            jiff::Timestamp::now(),
        );
        let certificate = kit::tls::Certificate::default();
        certificate.set(&pair.unwrap()).unwrap();
        let config = kit::tls::server_config(certificate, None).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            acceptor.accept(stream).await.is_err()
        });
        let client = HttpClient::over_tls(Trusted::System, "localhost", Some(&address), None).unwrap();
        let request = || Request::get("https://localhost/").body(Vec::new()).unwrap();
        let error = client.call(request()).await.unwrap_err();
        assert!(matches!(error, HttpError::Untrusted { .. }), "{error}");
        assert!(server.await.unwrap());
        let error = client.call(request()).await.unwrap_err();
        assert!(matches!(error, HttpError::Unreachable { .. }), "{error}");
        let dialled = format!("no connection to localhost (oidc-connect-to {address})");
        assert!(error.to_string().starts_with(&dialled), "{error}");
    }
}
