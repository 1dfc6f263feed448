//! Certificate that the proxy serves -> whether it is valid and covers every host (IO).

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use kit::tls::unverified_client_config;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio_rustls::TlsConnector;

/// Timeout of the connection and of the handshake.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Minimum time until the end.
const LEFT: SignedDuration = SignedDuration::from_hours(24);

/// The certificate of the server at `address` for `host`, with whatever authority and validity. Nothing is sent to that server.
pub(super) async fn fetch(
    address: impl ToSocketAddrs,
    host: &str,
) -> Result<CertificateDer<'static>, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let connected = async {
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(unverified_client_config()))
            .connect(name, stream)
            .await
    };
    let stream = tokio::time::timeout(TIMEOUT, connected)
        .await
        .map_err(|_| format!("no answer within {} s", TIMEOUT.as_secs()))?
        .map_err(|error| error.to_string())?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let leaf = chain.first().ok_or("it serves no certificate")?;
    Ok(leaf.clone().into_owned())
}

/// Checks the certificate for these hosts, one of which may be a wildcard. `authority` (PEM) must have signed it, if this installation
/// makes it.
pub(super) fn check(
    served: &CertificateDer<'_>,
    hosts: &[String],
    authority: Option<&str>,
    now: Timestamp,
) -> Result<String, String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(served)
        .map_err(|_| "the proxy serves a certificate that cannot be read: renew it (proxy.tls)")?;
    let until = Timestamp::from_second(parsed.validity().not_after.timestamp()).unwrap_or_default();
    let end = until.to_zoned(TimeZone::UTC).date();
    let uncovered = hosts.iter().filter(|host| !covers(served, host));
    let uncovered: Vec<&str> = uncovered.map(String::as_str).collect();
    let mut problems = Vec::new();
    if !uncovered.is_empty() {
        problems.push(format!(
            "it does not cover {}: use one that covers {} (proxy.tls)",
            uncovered.join(", "),
            hosts.join(", ")
        ));
    }
    if until.duration_since(now) <= LEFT {
        problems.push(format!(
            "it must be valid for another day, and ends on {end}: renew it (proxy.tls)"
        ));
    }
    let is_own = authority.map(|authority| kit::pki::is_signed_by(served, authority));
    if is_own == Some(false) {
        problems.push(
            "it is not the one that this installation made: wait two minutes until the proxy has read it, then look at the proxy's log \
             (proxy.tls.selfSigned)"
                .to_owned(),
        );
    }
    let issuer = parsed.issuer();
    if !problems.is_empty() {
        return Err(format!(
            "the certificate of {issuer} that the proxy serves cannot be used: {}",
            problems.join("; ")
        ));
    }
    let origin = match is_own {
        Some(_) => "self-signed by this installation, so browsers warn".to_owned(),
        None => format!("from {issuer}"),
    };
    Ok(format!("{}, {origin}, until {}", hosts.join(", "), end))
}

fn covers(served: &CertificateDer<'_>, host: &str) -> bool {
    // No certificate names this label.
    let host = host.replacen('*', "jupyter-k8s-check", 1);
    let (Ok(name), Ok(certificate)) = (ServerName::try_from(host), ParsedCertificate::try_from(served))
    else {
        return false;
    };
    verify_server_name(&certificate, &name).is_ok()
}

#[cfg(test)]
mod tests {
    use kit::pki::{LEAF_VALIDITY, Purpose, authority, leaf};
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    /// The result for a certificate for `hosts` of this age. `own`: whether the installation made it, if it makes one.
    fn result(
        hosts: &[&str],
        wanted: &[&str],
        age: SignedDuration,
        own: Option<bool>,
    ) -> Result<String, String> {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let strings = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let issuer = authority("letsencrypt-dns", now - age).unwrap();
        let pair = leaf(&issuer, "proxy", &strings(hosts), Purpose::Server, now - age).unwrap();
        let served = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
        let expected = match own {
            Some(false) => authority("other", now).unwrap(),
            _ => issuer,
        };
        let expected = own.is_some().then_some(expected.certificate.as_str());
        check(&served, &strings(wanted), expected, now)
    }

    const HOSTS: &[&str] = &["*.ws.example", "id.example"];
    const NEW: SignedDuration = SignedDuration::ZERO;

    #[test]
    fn a_valid_certificate_for_every_host_passes_with_its_issuer_and_end() {
        assert_eq!(
            result(HOSTS, HOSTS, NEW, None).unwrap(),
            "*.ws.example, id.example, from CN=letsencrypt-dns, until 2027-02-18"
        );
        let text = result(HOSTS, HOSTS, NEW, Some(true)).unwrap();
        assert!(
            text.contains("self-signed by this installation, so browsers warn"),
            "{text}"
        );
    }

    #[test]
    fn each_fault_is_named_with_its_remedy() {
        for (hosts, age, own, part) in [
            (
                &["ws.example"][..],
                NEW,
                None,
                "it does not cover *.ws.example, id.example: use one that covers",
            ),
            (HOSTS, LEAF_VALIDITY, None, "ends on 2026-11-20: renew it"),
            (HOSTS, LEAF_VALIDITY - LEFT, None, "ends on 2026-11-21: renew it"),
            (
                HOSTS,
                NEW,
                Some(false),
                "not the one that this installation made: wait",
            ),
        ] {
            let text = result(hosts, HOSTS, age, own).unwrap_err();
            assert!(text.contains(part), "{text}");
        }
    }
}
