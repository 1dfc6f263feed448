//! URL -> TCP connection to its host, to another address, or through a proxy (IO).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use kit::process::InvalidSetting;
use tokio::net::TcpStream;

use crate::oidc::https_proxy::HttpsProxy;

/// Timeout of the connection to the provider.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn parse_address(text: &str) -> Result<(String, u16), InvalidSetting> {
    let parsed = text.rsplit_once(':').and_then(|(host, port)| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some((host.to_owned(), port.parse().ok().filter(|port| *port != 0)?))
    });
    parsed
        .filter(|(host, _)| !host.is_empty() && !host.contains('/'))
        .ok_or_else(|| {
            InvalidSetting::new(
                "oidc-connect-to",
                format!("{text:?} is not host:port, without scheme and path"),
            )
        })
}

/// Opens TCP connections, with a different address for one host, and through a proxy for all others.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    /// The host that has another address.
    pub(super) instead_of: String,
    pub(super) address: Option<(String, u16)>,
    pub(super) proxy: Option<HttpsProxy>,
}

impl Dialer {
    /// The address that is used instead of the host of `uri`.
    fn instead(&self, uri: &Uri) -> Option<&(String, u16)> {
        let host = uri.host().unwrap_or_default();
        let is_issuer = host.eq_ignore_ascii_case(&self.instead_of);
        self.address.as_ref().filter(|_| is_issuer)
    }

    /// The host for messages, with the address or the proxy that is used instead.
    pub(super) fn description(&self, uri: &Uri) -> String {
        let host = uri.host().unwrap_or_default();
        match (self.instead(uri), &self.proxy) {
            (Some((address, port)), _) => format!("{host} (oidc-connect-to {address}:{port})"),
            (None, Some(proxy)) => format!("{host} (through the proxy {proxy})"),
            (None, None) => host.to_owned(),
        }
    }
}

/// Host and port of an address.
fn host_and_port(uri: &Uri) -> (String, u16) {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (host.to_owned(), uri.port_u16().unwrap_or(443))
}

async fn connect(address: (String, u16)) -> std::io::Result<TokioIo<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

/// A connection to the host of `uri` that `proxy` opened.
async fn through(proxy: HttpsProxy, uri: Uri) -> std::io::Result<TokioIo<TcpStream>> {
    let dial = tower::service_fn(|proxy: Uri| connect(host_and_port(&proxy)));
    let mut tunnel = Tunnel::new(proxy.uri, dial);
    if let Some(authorization) = proxy.authorization {
        tunnel = tunnel.with_auth(authorization);
    }
    tower::Service::call(&mut tunnel, uri)
        .await
        .map_err(std::io::Error::other)
}

impl tower::Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (instead, proxy) = (self.instead(&uri).cloned(), self.proxy.clone());
        Box::pin(async move {
            let stream = async {
                match (instead, proxy) {
                    (Some(address), _) => connect(address).await,
                    (None, Some(proxy)) => through(proxy, uri).await,
                    (None, None) => connect(host_and_port(&uri)).await,
                }
            };
            tokio::time::timeout(CONNECT_TIMEOUT, stream)
                .await
                .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialer(connect_to: Option<&str>) -> Dialer {
        Dialer {
            instead_of: "identity.example".into(),
            address: connect_to.map(|text| parse_address(text).unwrap()),
            proxy: None,
        }
    }

    #[test]
    fn only_the_issuers_host_is_dialled_elsewhere() {
        let address = |dialer: &Dialer, uri: &str| {
            let uri = uri.parse().unwrap();
            dialer
                .instead(&uri)
                .cloned()
                .unwrap_or_else(|| host_and_port(&uri))
        };
        let elsewhere = dialer(Some("proxy.system.svc:8443"));
        let issuer = "https://Identity.example:9443/token";
        assert_eq!(address(&elsewhere, issuer), ("proxy.system.svc".into(), 8443));
        assert_eq!(
            address(&elsewhere, "https://keys.example/jwks"),
            ("keys.example".into(), 443)
        );
        assert_eq!(address(&dialer(None), issuer), ("Identity.example".into(), 9443));
        assert_eq!(address(&dialer(Some("[::1]:1")), issuer), ("::1".into(), 1));
    }
}
