//! Names and validity -> certificates of a private authority, as PEM (pure except for randomness).

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::extensions::GeneralName;

/// Validity of a certificate authority.
pub const AUTHORITY_VALIDITY: SignedDuration = SignedDuration::from_hours(24 * 3650);
/// Validity of a leaf certificate.
pub const LEAF_VALIDITY: SignedDuration = SignedDuration::from_hours(24 * 90);
/// Certificates are valid from this much earlier, because clocks may differ.
const BACKDATE: SignedDuration = SignedDuration::from_mins(10);

/// Why a certificate could not be created or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// These parameters give no valid certificate or key.
    #[error("the certificate cannot be made: {0}")]
    Generate(#[from] rcgen::Error),
    /// The PEM text contains no readable certificate.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// A certificate cannot express this time.
    #[error("the validity is out of range")]
    Validity,
}

/// A certificate and its private key, both PEM. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub key: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pair(..)")
    }
}

/// The purpose of a leaf certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// TLS server.
    Server,
    /// TLS client.
    Client,
}

/// Creates a new certificate authority.
pub fn authority(common_name: &str, now: Timestamp) -> Result<Pair, Error> {
    signing(common_name, None, now)
}

/// Creates a new certificate authority whose certificates are valid only for TLS servers in these domains and for hosts below them, so
/// that a browser can trust it without trusting it for other sites, for e-mail or for programs.
pub fn authority_of(common_name: &str, domains: &[String], now: Timestamp) -> Result<Pair, Error> {
    let constraints = NameConstraints {
        permitted_subtrees: domains.iter().cloned().map(GeneralSubtree::DnsName).collect(),
        // A list of domains does not limit addresses.
        excluded_subtrees: vec![
            GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])),
            GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])),
        ],
    };
    signing(common_name, Some(constraints), now)
}

fn signing(common_name: &str, constraints: Option<NameConstraints>, now: Timestamp) -> Result<Pair, Error> {
    let mut params = params(common_name, &[], now, AUTHORITY_VALIDITY)?;
    if constraints.is_some() {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    }
    params.name_constraints = constraints;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// Creates a leaf certificate signed by `authority`.
pub fn leaf(
    authority: &Pair,
    common_name: &str,
    dns_names: &[String],
    purpose: Purpose,
    now: Timestamp,
) -> Result<Pair, Error> {
    let mut params = params(common_name, dns_names, now, LEAF_VALIDITY)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match purpose {
        Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
        Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
    }];
    params.use_authority_key_identifier_extension = true;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)?;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// Whether a certificate must be renewed: less than a third of its life is left, or it cannot be read.
pub fn needs_renewal(certificate_pem: &str, now: Timestamp) -> bool {
    validity(certificate_pem).is_none_or(|(from, until)| now.as_second() >= until - (until - from) / 3)
}

/// End of a certificate's validity, in Unix seconds. 0 if the certificate cannot be read.
pub fn ends(certificate_pem: &str) -> i64 {
    validity(certificate_pem).map_or(0, |(_, until)| until)
}

/// Whether `authority` signed the certificate and its names are exactly `dns_names`.
pub fn is_for(certificate_pem: &str, authority_pem: &str, dns_names: &[String]) -> bool {
    hosts(certificate_pem) == Some(in_order(dns_names))
        && der(certificate_pem).is_some_and(|certificate| is_signed_by(&certificate, authority_pem))
}

/// Whether the certificate can be read and has other names than these.
pub fn is_for_others(certificate_pem: &str, dns_names: &[String]) -> bool {
    hosts(certificate_pem).is_some_and(|hosts| hosts != in_order(dns_names))
}

/// The names of a certificate, in order. None: it cannot be read.
fn hosts(certificate_pem: &str) -> Option<Vec<String>> {
    let der = der(certificate_pem)?;
    let (_, leaf) = x509_parser::parse_x509_certificate(&der).ok()?;
    let extension = leaf.subject_alternative_name().ok()?;
    Some(names_of(
        extension.iter().flat_map(|found| &found.value.general_names),
    ))
}

/// Whether `authority` signed the certificate.
pub fn is_signed_by(certificate: &CertificateDer<'_>, authority_pem: &str) -> bool {
    let Some(authority) = der(authority_pem) else {
        return false;
    };
    let parse = x509_parser::parse_x509_certificate;
    let (Ok((_, leaf)), Ok((_, authority))) = (parse(certificate), parse(&authority)) else {
        return false;
    };
    leaf.verify_signature(Some(authority.public_key())).is_ok()
}

/// Whether the authority is one of [`authority_of`] for exactly these domains.
pub fn is_authority_of(authority_pem: &str, domains: &[String]) -> bool {
    permitted_domains(authority_pem) == Some(in_order(domains))
}

/// The domains of an authority, in order. None: it has no limits, or cannot be read.
fn permitted_domains(authority_pem: &str) -> Option<Vec<String>> {
    let der = der(authority_pem)?;
    let (_, authority) = x509_parser::parse_x509_certificate(&der).ok()?;
    let constraints = authority.name_constraints().ok().flatten()?;
    let permitted = constraints.value.permitted_subtrees.as_ref()?;
    Some(names_of(permitted.iter().map(|subtree| &subtree.base)))
}

/// The names of hosts among these, in order.
fn names_of<'a>(names: impl Iterator<Item = &'a GeneralName<'a>>) -> Vec<String> {
    let names: Vec<String> = names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect();
    in_order(&names)
}

fn in_order(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

fn params(
    common_name: &str,
    dns_names: &[String],
    now: Timestamp,
    validity: SignedDuration,
) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(dns_names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time(now - BACKDATE)?;
    params.not_after = date_time(now + validity)?;
    Ok(params)
}

fn date_time(at: Timestamp) -> Result<time::OffsetDateTime, Error> {
    time::OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|_| Error::Validity)
}

fn der(pem: &str) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).ok()
}

/// Start and end of the validity, in Unix seconds.
fn validity(certificate_pem: &str) -> Option<(i64, i64)> {
    let der = der(certificate_pem)?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    let validity = certificate.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_leaf_is_recognised_by_authority_and_names() {
        let (ours, theirs) = (
            authority("ours", now()).unwrap(),
            authority("theirs", now()).unwrap(),
        );
        let dns = names(&["b.example", "a.example"]);
        let pair = leaf(&ours, "a.example", &dns, Purpose::Server, now()).unwrap();
        assert!(is_for(
            &pair.certificate,
            &ours.certificate,
            &names(&["a.example", "b.example"])
        ));
        assert!(!is_for(&pair.certificate, &theirs.certificate, &dns));
        assert!(!is_for(
            &pair.certificate,
            &ours.certificate,
            &names(&["a.example"])
        ));
        assert!(!is_for("nonsense", &ours.certificate, &dns));
    }

    #[test]
    fn an_authority_of_domains_may_sign_for_servers_alone() {
        let usages = |authority: Pair| {
            let der = der(&authority.certificate).unwrap();
            let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
            let usage = parsed.extended_key_usage().unwrap()?.value.clone();
            Some((
                usage.server_auth,
                usage.any || usage.client_auth || usage.code_signing || usage.email_protection,
            ))
        };
        let limited = authority_of("ours", &names(&["ws.example"]), now()).unwrap();
        assert_eq!(usages(limited), Some((true, false)));
        // It also signs certificates of clients.
        assert_eq!(usages(authority("ours", now()).unwrap()), None);
    }

    #[test]
    fn an_authority_of_domains_is_trusted_only_for_hosts_in_them() {
        use rustls::client::WebPkiServerVerifier;
        use rustls::client::danger::ServerCertVerifier as _;
        use rustls::pki_types::{ServerName, UnixTime};

        let domains = names(&["ws.example", "id.example"]);
        let authority = authority_of("ours", &domains, now()).unwrap();
        assert!(is_authority_of(
            &authority.certificate,
            &names(&["id.example", "ws.example"])
        ));
        assert!(!is_authority_of(&authority.certificate, &names(&["ws.example"])));
        assert!(!is_authority_of(
            &super::authority("x", now()).unwrap().certificate,
            &[]
        ));

        let mut roots = rustls::RootCertStore::empty();
        roots.add(der(&authority.certificate).unwrap()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
            .build()
            .unwrap();
        let is_believed = |host: &'static str, certified: &[&str]| {
            let pair = leaf(&authority, "proxy", &names(certified), Purpose::Server, now()).unwrap();
            let at =
                UnixTime::since_unix_epoch(std::time::Duration::from_secs(now().as_second().unsigned_abs()));
            let certificate = der(&pair.certificate).unwrap();
            assert!(is_signed_by(&certificate, &authority.certificate));
            let host = ServerName::try_from(host).unwrap();
            verifier
                .verify_server_cert(&certificate, &[], &host, &[], at)
                .is_ok()
        };
        let ours = ["ws.example", "*.ws.example", "id.example"];
        for host in ["ws.example", "auth.ws.example", "id.example"] {
            assert!(is_believed(host, &ours), "{host}");
        }
        assert!(!is_believed("bank.example", &["bank.example"]));
        assert!(!is_believed("192.0.2.1", &["192.0.2.1"]));
    }

    #[test]
    fn a_leaf_is_renewed_in_its_last_third() {
        let authority = authority("ours", now()).unwrap();
        let pair = leaf(&authority, "a", &names(&["a"]), Purpose::Client, now()).unwrap();
        let after = |hours| now() + SignedDuration::from_hours(hours);
        assert!(!needs_renewal(&pair.certificate, now()));
        assert!(!needs_renewal(&pair.certificate, after(24 * 59)));
        assert!(needs_renewal(&pair.certificate, after(24 * 61)));
        assert!(needs_renewal("nonsense", now()));
        assert_eq!(ends(&pair.certificate), (now() + LEAF_VALIDITY).as_second());
        assert_eq!(ends("nonsense"), 0);
    }

    #[test]
    fn debug_shows_no_key() {
        let pair = authority("ours", now()).unwrap();
        assert_eq!(format!("{pair:?}"), "Pair(..)");
    }
}
