//! `<cache>/ca` -> authority of this machine, certificate of the local hosts (IO: runs openssl).
//!
//! | file | content |
//! |---|---|
//! | `ca.crt` | the authority's certificate, for users' browsers |
//! | `ca.key` | its key (0600); it can only sign certificates for names under `localhost` |
//! | `server.crt`, `server.key` | the hosts' certificate and key (0600), renewed before it ends |

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::exec::Cmd;

/// Browsers accept at most 398 days from public authorities. This authority does the same.
const SERVER_DAYS: &str = "397";
/// Seconds before the end of the certificate at which it is renewed: 60 days.
const RENEW_BEFORE: &str = "5184000";

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

/// The certificate for `names` in `folder`. One that is good for these hosts and does not end soon is kept, so that nothing restarts. The
/// authority is created once.
pub(super) fn ensure(folder: &Path, names: &[String]) -> anyhow::Result<ServerTls> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let authority_file = folder.join("ca.crt");
    if !(authority_file.exists() && folder.join("ca.key").exists()) {
        let authority = [
            "-days=3650",
            "-keyout=ca.key",
            "-out=ca.crt",
            "-subj=/CN=jupyter-k8s local authority",
            "-addext=basicConstraints=critical,CA:TRUE,pathlen:0",
            "-addext=keyUsage=critical,keyCertSign,cRLSign",
            // Users add it to their browsers. With a stolen key, only this machine's own names can be impersonated.
            "-addext=nameConstraints=critical,permitted;DNS:localhost",
        ];
        make(folder, &authority)?;
    }
    if !is_good(folder, names) {
        let names = names.iter().map(|name| format!("DNS:{name}"));
        let names = names.collect::<Vec<_>>().join(",");
        let days = format!("-days={SERVER_DAYS}");
        let subject = format!("-addext=subjectAltName={names}");
        let server = [
            "-CA=ca.crt",
            "-CAkey=ca.key",
            &days,
            "-keyout=server.key",
            "-out=server.crt",
            "-subj=/CN=jupyter-k8s local hosts",
            "-addext=basicConstraints=critical,CA:FALSE",
            "-addext=keyUsage=critical,digitalSignature",
            "-addext=extendedKeyUsage=serverAuth",
            &subject,
        ];
        make(folder, &server)?;
    }
    let text = |name: &str| {
        let file = folder.join(name);
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    };
    Ok(ServerTls {
        authority: text("ca.crt")?,
        authority_file,
        certificate: text("server.crt")?,
        key: text("server.key")?,
    })
}

/// Makes a key and its certificate; options as `-name=value`.
fn make(folder: &Path, options: &[&str]) -> anyhow::Result<()> {
    let options = options.iter().filter_map(|option| option.split_once('='));
    Cmd::new("openssl")
        .args([
            "req",
            "-x509",
            "-sha256",
            "-noenc",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args(options.flat_map(|(name, value)| [name, value]))
        .dir(folder)
        .run()
}

/// Whether a client that trusts the authority accepts the certificate for each of these hosts, for some time.
fn is_good(folder: &Path, names: &[String]) -> bool {
    let openssl = |arguments: &[&str]| Cmd::new("openssl").args(arguments).dir(folder).succeeds();
    let for_host = |name: &String| {
        let host = name.replace('*', "x");
        openssl(&[
            "verify",
            "-CAfile",
            "ca.crt",
            "-purpose",
            "sslserver",
            "-verify_hostname",
            &host,
            "server.crt",
        ])
    };
    openssl(&["x509", "-noout", "-checkend", RENEW_BEFORE, "-in", "server.crt"]) && names.iter().all(for_host)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// An empty folder of this test.
    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn clients_that_trust_the_authority_trust_the_hosts_whose_certificate_stays_until_there_is_a_new_name() {
        let folder = folder("authority-trust");
        let hosts = names(&["workspaces.localhost", "*.workspaces.localhost"]);
        let first = ensure(&folder, &hosts).unwrap();
        let trusted = |host: &str| is_good(&folder, &names(&[host]));
        assert!(trusted("workspaces.localhost") && trusted("auth.workspaces.localhost"));
        assert!(!trusted("identity.localhost"));
        assert_eq!(ensure(&folder, &hosts).unwrap().certificate, first.certificate);
        let renewed = ensure(&folder, &names(&["identity.localhost"])).unwrap();
        assert_ne!(renewed.certificate, first.certificate);
        assert_eq!(renewed.authority, first.authority);
        for key in ["ca.key", "server.key"] {
            let mode = fs::metadata(folder.join(key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_authority_cannot_sign_for_names_outside_this_machine() {
        let folder = folder("authority-limits");
        let outside = names(&["bank.example.com"]);
        ensure(&folder, &outside).unwrap();
        assert!(!is_good(&folder, &outside));
        fs::remove_dir_all(folder).unwrap();
    }
}
