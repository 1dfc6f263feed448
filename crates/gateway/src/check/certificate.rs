//! Certificate that the proxy serves -> whether it is valid and covers every host (pure).

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use super::report::Outcome;

/// Minimum time until the end.
const LEFT: SignedDuration = SignedDuration::from_hours(24);
/// What a `*` stands for: no certificate names this host itself.
const ANY_LABEL: &str = "jupyter-k8s-check";

/// Judges the certificate for these hosts, one of which may be a wildcard. `authority` (PEM) must have signed it, if this installation makes
/// it.
pub(super) fn check(
    served: &CertificateDer<'_>,
    hosts: &[String],
    authority: Option<&str>,
    now: Timestamp,
) -> Outcome {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(served) else {
        return Outcome::Fail(
            "the proxy serves a certificate that cannot be read: renew it (proxy.tls)".into(),
        );
    };
    let time =
        |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).unwrap_or_default();
    let (from, until) = (
        time(parsed.validity().not_before),
        time(parsed.validity().not_after),
    );
    let uncovered: Vec<&str> = hosts
        .iter()
        .map(String::as_str)
        .filter(|host| !covers(served, host))
        .collect();
    let mut problems = Vec::new();
    if !uncovered.is_empty() {
        problems.push(format!(
            "it covers {} and not {}: use one that covers {} (proxy.tls)",
            names(&parsed),
            uncovered.join(", "),
            hosts.join(", ")
        ));
    }
    if now < from {
        problems.push(format!(
            "it is valid from {} on: set the node's clock, or use another (proxy.tls)",
            date(from)
        ));
    }
    if until <= now {
        problems.push(format!("it ended on {}: renew it (proxy.tls)", date(until)));
    } else if until.duration_since(now) <= LEFT {
        problems.push(format!(
            "it ends on {}, within a day: renew it (proxy.tls)",
            date(until)
        ));
    }
    let issuer = issuer(&parsed);
    let is_own = authority.map(|authority| kit::pki::is_signed_by(served, authority));
    if is_own == Some(false) {
        problems.push(
            "it is not the one that this installation made: wait two minutes until the proxy has read it, then look at the proxy's \
             log (proxy.tls.selfSigned)"
                .to_owned(),
        );
    }
    if problems.is_empty() {
        let origin = match is_own {
            Some(_) => "self-signed by this installation, so browsers warn".to_owned(),
            None => format!("from {issuer}"),
        };
        return Outcome::Ok(format!("{}, {origin}, until {}", hosts.join(", "), date(until)));
    }
    Outcome::Fail(format!(
        "the certificate of {issuer} that the proxy serves cannot be used: {}",
        problems.join("; ")
    ))
}

fn covers(served: &CertificateDer<'_>, host: &str) -> bool {
    let host = host.replacen('*', ANY_LABEL, 1);
    let (Ok(name), Ok(certificate)) = (ServerName::try_from(host), ParsedCertificate::try_from(served))
    else {
        return false;
    };
    verify_server_name(&certificate, &name).is_ok()
}

/// Names of hosts in the certificate.
fn names(certificate: &X509Certificate<'_>) -> String {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names: Vec<&str> = extension
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        "no host".to_owned()
    } else {
        names.join(", ")
    }
}

fn issuer(certificate: &X509Certificate<'_>) -> String {
    let issuer = certificate.issuer();
    let name = issuer
        .iter_common_name()
        .chain(issuer.iter_organization())
        .find_map(|name| name.as_str().ok());
    name.map_or_else(|| issuer.to_string(), str::to_owned)
}

fn date(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).date().to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use kit::pki::{LEAF_VALIDITY, Pair, Purpose, authority, leaf};
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    /// A certificate for these hosts that was issued at this time.
    pub(in crate::check) fn certificate(hosts: &[&str], issued: Timestamp) -> Pair {
        let authority = authority("letsencrypt-dns", issued).unwrap();
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        leaf(&authority, "proxy", &hosts, Purpose::Server, issued).unwrap()
    }

    pub(in crate::check) fn der(pair: &Pair) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()
    }

    fn outcome(hosts: &[&str], wanted: &[&str], age: SignedDuration) -> Outcome {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let served = der(&certificate(hosts, now - age));
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        check(&served, &wanted, None, now)
    }

    const NEW: SignedDuration = SignedDuration::ZERO;

    #[test]
    fn hosts_issuer_and_end_are_named() {
        assert_eq!(
            outcome(
                &["*.ws.example", "id.example"],
                &["*.ws.example", "id.example"],
                NEW
            ),
            Outcome::Ok("*.ws.example, id.example, from letsencrypt-dns, until 2027-02-18".into())
        );
        let folders = ["ws.example", "auth.ws.example"];
        assert!(matches!(outcome(&folders, &folders, NEW), Outcome::Ok(_)));
    }

    #[test]
    fn every_host_must_be_covered() {
        for (hosts, wanted, missing) in [
            (
                &["ws.example", "auth.ws.example"][..],
                &["*.ws.example"][..],
                "ws.example, auth.ws.example and not *.ws.example: ",
            ),
            (
                &["*.ws.example"],
                &["ws.example", "auth.ws.example"],
                "*.ws.example and not ws.example: ",
            ),
            (
                &["*.ws.example"],
                &["*.ws.example", "id.example"],
                "*.ws.example and not id.example: ",
            ),
            (&[], &["*.ws.example"], "no host and not *.ws.example: "),
        ] {
            let Outcome::Fail(text) = outcome(hosts, wanted, NEW) else {
                panic!("{hosts:?} covers {wanted:?}")
            };
            assert!(text.contains(missing), "{text}");
        }
    }

    #[test]
    fn a_certificate_that_this_installation_made_passes_and_another_one_does_not() {
        let now = Timestamp::now();
        let hosts = ["*.ws.example".to_owned()];
        let own = authority("own", now).unwrap();
        let made = leaf(&own, "proxy", &hosts, Purpose::Server, now).unwrap();
        let Outcome::Ok(text) = check(&der(&made), &hosts, Some(&own.certificate), now) else {
            panic!("refused")
        };
        let start = "*.ws.example, self-signed by this installation, so browsers warn, until ";
        assert!(text.starts_with(start), "{text}");
        let other = authority("other", now).unwrap().certificate;
        let Outcome::Fail(text) = check(&der(&made), &hosts, Some(&other), now) else {
            panic!("accepted")
        };
        assert!(
            text.contains("not the one that this installation made: wait"),
            "{text}"
        );
    }

    #[test]
    fn one_that_is_over_or_ends_within_a_day_or_is_not_valid_yet_fails() {
        let day = SignedDuration::from_hours(24);
        for (age, part) in [
            (LEAF_VALIDITY, "it ended on 2026-11-20: renew it"),
            (LEAF_VALIDITY - day, "it ends on 2026-11-21, within a day"),
            (-day, "it is valid from 2026-11-21 on"),
        ] {
            let Outcome::Fail(text) = outcome(&["*.ws.example"], &["*.ws.example"], age) else {
                panic!("{part}")
            };
            assert!(text.contains(part), "{text}");
        }
        let second = SignedDuration::from_secs(1);
        let long_enough = outcome(&["*.ws.example"], &["*.ws.example"], LEAF_VALIDITY - day - second);
        assert!(matches!(long_enough, Outcome::Ok(_)), "{long_enough:?}");
    }
}
