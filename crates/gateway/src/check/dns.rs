//! Hosts of the installation -> whether they lead to the proxy's Service (IO).

use std::collections::BTreeSet;
use std::net::SocketAddr;

use rustls::pki_types::CertificateDer;
use tokio::net::lookup_host;

use super::certificate;
use super::installation::Installation;
use crate::tokens::random::random;

/// Checks that the sign-in host and hosts of workspaces lead to servers with a right certificate. `target` names the Service.
pub(super) async fn check(
    installation: &Installation,
    target: &str,
    is_right: impl Fn(&CertificateDer<'_>, &str) -> bool,
) -> Result<String, String> {
    let mut hosts = vec![installation.domain().auth_host(), installation.workspace_host()];
    hosts.extend(installation.portal_host());
    // A label that no workspace has.
    let random = random::<4>().map_err(|error| error.to_string())?;
    let label = format!("check-{:08x}", u32::from_be_bytes(random));
    let (mut servers, mut problems) = (BTreeSet::new(), Vec::new());
    for shown in &hosts {
        let host = shown.replacen('*', &label, 1);
        let followed = match lookup_host((host.as_str(), installation.port)).await {
            Ok(addresses) => follow(addresses, &host, &is_right).await,
            Err(error) => Err(format!("does not resolve in pods ({error})")),
        };
        match followed {
            Ok(found) => servers.extend(found),
            Err(problem) => problems.push(format!("{shown} {problem}")),
        }
    }
    if problems.is_empty() {
        let servers: Vec<_> = servers.into_iter().collect();
        return Ok(format!(
            "{} lead to {target} ({})",
            hosts.join(" and "),
            servers.join(", ")
        ));
    }
    Err(format!(
        "{}: let its DNS record lead to the address of {target}",
        problems.join("; ")
    ))
}

/// The addresses that answer: at least one, and all with a right certificate.
async fn follow(
    addresses: impl IntoIterator<Item = SocketAddr>,
    host: &str,
    is_right: &impl Fn(&CertificateDer<'_>, &str) -> bool,
) -> Result<Vec<String>, String> {
    let (mut servers, mut silent) = (Vec::new(), "has no address".to_owned());
    for address in addresses {
        let ip = address.ip().to_string();
        match certificate::fetch(address, host).await {
            Ok(served) if is_right(&served, host) => servers.push(ip),
            Ok(_) => {
                return Err(format!(
                    "leads to {ip}, where another certificate is served (if that is a front that ends TLS: set proxy.tls.selfSigned, \
                     with which any valid certificate of the front passes, or let front and proxy use the same Secret)"
                ));
            }
            Err(error) => silent = format!("leads to {ip}, which does not answer ({error})"),
        }
    }
    if servers.is_empty() {
        Err(silent)
    } else {
        Ok(servers)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kit::pki::{Purpose, authority, leaf};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    #[tokio::test]
    async fn one_server_must_answer_and_all_that_do_must_have_a_right_certificate() {
        let now = jiff::Timestamp::now();
        let own = authority("own", now).unwrap();
        let pair = leaf(&own, "proxy", &["ws.example".to_owned()], Purpose::Server, now).unwrap();
        let current = kit::tls::Certificate::default();
        current.set(&pair).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(kit::tls::server_config(current, None).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                acceptor.accept(stream).await.unwrap();
            }
        });
        let silent = SocketAddr::from(([127, 0, 0, 2], address.port()));
        let is_own = |found: &CertificateDer<'_>, _: &str| kit::pki::is_signed_by(found, &own.certificate);
        let servers = follow([silent, address], "ws.example", &is_own).await.unwrap();
        assert_eq!(servers, ["127.0.0.1"]);
        let problem = follow([silent], "ws.example", &is_own).await.unwrap_err();
        assert!(
            problem.starts_with("leads to 127.0.0.2, which does not answer ("),
            "{problem}"
        );
        let other = follow([address], "ws.example", &|_, _| false).await.unwrap_err();
        assert!(
            other.starts_with("leads to 127.0.0.1, where another certificate is served ("),
            "{other}"
        );
        assert_eq!(
            follow([], "ws.example", &is_own).await.unwrap_err(),
            "has no address"
        );
    }
}
