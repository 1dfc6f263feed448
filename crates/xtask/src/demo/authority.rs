//! `<cache>/ca` -> certificate authority of this machine and certificate of the local hosts (IO).
//!
//! | file | content |
//! |---|---|
//! | `ca.crt` | the authority's certificate, for users' browsers |
//! | `ca.key` | its key (0600); it can only sign certificates for names under `localhost` |
//! | `server.crt`, `server.key` | the hosts' certificate and key (0600), renewed before it ends |
//! | `server.json` | the hosts' names and the certificate's end, which decide about the renewal |

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use serde::{Deserialize, Serialize};

use crate::cluster::write_secret;

const DAY: Duration = Duration::from_hours(24);
const AUTHORITY_LIFE: Duration = DAY.saturating_mul(3650);
/// Browsers accept at most 398 days from public authorities. This authority does the same.
const SERVER_LIFE: Duration = DAY.saturating_mul(397);
const RENEW_BEFORE: Duration = DAY.saturating_mul(60);

/// The certificate of the local hosts.
#[derive(Debug, Clone)]
pub(super) struct ServerTls {
    /// Certificate of the authority, as PEM.
    pub(super) authority: String,
    /// File that holds it.
    pub(super) authority_file: PathBuf,
    /// Certificate of the hosts, as PEM.
    pub(super) certificate: String,
    /// Its key, as PEM.
    pub(super) key: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Issued {
    names: Vec<String>,
    /// Seconds since 1970.
    ends: u64,
}

/// The certificate for `names` in `folder`. An existing one is kept while it names exactly these hosts and does not end soon, so that
/// nothing restarts. The authority is created once.
pub(super) fn ensure(folder: &Path, names: &[String], now: SystemTime) -> anyhow::Result<ServerTls> {
    let file = |name: &str| folder.join(name);
    let text = |name: &str| fs::read_to_string(file(name)).ok();
    let authority_file = file("ca.crt");

    let (authority, authority_key) = if let (Some(authority), Some(key)) = (text("ca.crt"), text("ca.key")) {
        let key = KeyPair::from_pem(&key).with_context(|| format!("reading {}", file("ca.key").display()))?;
        (authority, key)
    } else {
        let (authority, key) = new_authority(now)?;
        write_secret(&file("ca.key"), &key.serialize_pem())?;
        write_secret(&authority_file, &authority)?;
        // A certificate from a replaced authority is useless.
        let _ = fs::remove_file(file("server.json"));
        (authority, key)
    };

    let record: Option<Issued> = text("server.json").and_then(|text| serde_json::from_str(&text).ok());
    let fresh = record.is_some_and(|last| last.names == names && last.ends > seconds(now + RENEW_BEFORE));
    if let (true, Some(certificate), Some(key)) = (fresh, text("server.crt"), text("server.key")) {
        return Ok(ServerTls {
            authority,
            authority_file,
            certificate,
            key,
        });
    }

    let issuer = Issuer::from_ca_cert_pem(&authority, authority_key)
        .with_context(|| format!("reading {}", authority_file.display()))?;
    let key = KeyPair::generate()?;
    let certificate = server_params(names, now)?.signed_by(&key, &issuer)?.pem();
    let key = key.serialize_pem();
    write_secret(&file("server.key"), &key)?;
    write_secret(&file("server.crt"), &certificate)?;
    let record = Issued {
        names: names.to_vec(),
        ends: seconds(now + SERVER_LIFE),
    };
    // Written last: until then the certificate counts as missing.
    write_secret(&file("server.json"), &serde_json::to_string(&record)?)?;
    Ok(ServerTls {
        authority,
        authority_file,
        certificate,
        key,
    })
}

fn new_authority(now: SystemTime) -> anyhow::Result<(String, KeyPair)> {
    let key = KeyPair::generate()?;
    let mut params = params("jupyter-k8s local authority", Vec::new(), now, AUTHORITY_LIFE)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Users add it to their browsers. With a stolen key, only this machine's own names can be impersonated.
    let permitted_subtrees = vec![GeneralSubtree::DnsName("localhost".into())];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees,
        excluded_subtrees: Vec::new(),
    });
    Ok((params.self_signed(&key)?.pem(), key))
}

fn server_params(names: &[String], now: SystemTime) -> anyhow::Result<CertificateParams> {
    let mut params = params("jupyter-k8s local hosts", names.to_vec(), now, SERVER_LIFE)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn params(
    common_name: &str,
    names: Vec<String>,
    now: SystemTime,
    life: Duration,
) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    // One day earlier, for clocks that are behind.
    params.not_before = (now - DAY).into();
    params.not_after = (now + life).into();
    Ok(params)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};

    use super::*;
    use crate::demo::testing::TestFolder;

    fn names() -> Vec<String> {
        [
            "workspaces.localhost",
            "*.workspaces.localhost",
            "identity.localhost",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn trusted(tls: &ServerTls, host: &str, at: SystemTime) -> bool {
        let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(der(&tls.authority)).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
        let now = UnixTime::since_unix_epoch(at.duration_since(UNIX_EPOCH).unwrap());
        verifier
            .verify_server_cert(
                &der(&tls.certificate),
                &[],
                &ServerName::try_from(host).unwrap(),
                &[],
                now,
            )
            .is_ok()
    }

    #[test]
    fn clients_that_trust_the_authority_trust_the_hosts() {
        let folder = TestFolder::new("authority-trust");
        let now = SystemTime::now();
        let tls = ensure(folder.path(), &names(), now).unwrap();
        for host in [
            "workspaces.localhost",
            "auth.workspaces.localhost",
            "identity.localhost",
        ] {
            assert!(trusted(&tls, host, now), "{host}");
        }
        assert!(!trusted(&tls, "other.localhost", now));
        assert!(!trusted(&tls, "identity.localhost", now + SERVER_LIFE + DAY));
    }

    #[test]
    fn the_authority_cannot_sign_for_names_outside_this_machine() {
        let folder = TestFolder::new("authority-limits");
        let now = SystemTime::now();
        let outside = ensure(folder.path(), &["bank.example.com".to_owned()], now).unwrap();
        assert!(!trusted(&outside, "bank.example.com", now));
    }

    #[test]
    fn a_second_run_changes_nothing_and_a_new_name_or_a_near_end_renews_under_the_same_authority() {
        let folder = TestFolder::new("authority-renewal");
        let now = SystemTime::now();
        let first = ensure(folder.path(), &names(), now).unwrap();
        let again = ensure(folder.path(), &names(), now + DAY).unwrap();
        assert_eq!((&first.certificate, &first.key), (&again.certificate, &again.key));
        let late = now + SERVER_LIFE - RENEW_BEFORE + DAY;
        let renewed = ensure(folder.path(), &names(), late).unwrap();
        assert_ne!(first.certificate, renewed.certificate);
        let other = ensure(folder.path(), &names()[..2], late).unwrap();
        assert_ne!(renewed.certificate, other.certificate);
        assert_eq!(first.authority, other.authority);
        assert!(trusted(&other, "auth.workspaces.localhost", late));
    }

    #[test]
    fn keys_are_for_their_owner_only() {
        let folder = TestFolder::new("authority-modes");
        ensure(folder.path(), &names(), SystemTime::now()).unwrap();
        for name in ["ca.key", "server.key"] {
            let mode = fs::metadata(folder.path().join(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o777;
            assert_eq!(mode, 0o600, "{name}");
        }
    }
}
