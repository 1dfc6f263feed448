//! One GET over TLS to a fixed address, under any host name -> status and redirect (IO).

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Timeout of each connect, read and write.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum bytes of an answer, enough for its headers.
const READ_LIMIT: u64 = 64 * 1024;

/// The answer to a browser without cookies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// HTTP status code.
    pub(super) status: u16,
    /// The `Location` header.
    pub(super) location: Option<String>,
}

/// Requests `path` on `host` at `address`, as a page load.
///
/// # Errors
/// When nothing answers, the certificate is not one of `authority` (PEM) for this host, or the answer is not HTTP.
pub(super) fn get(address: SocketAddr, host: &str, path: &str, authority: &str) -> anyhow::Result<Answer> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned())?;
    let tcp =
        TcpStream::connect_timeout(&address, TIMEOUT).with_context(|| format!("connecting to {address}"))?;
    tcp.set_read_timeout(Some(TIMEOUT))?;
    tcp.set_write_timeout(Some(TIMEOUT))?;
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, tcp);
    let port = address.port();
    // In one piece: a server may close the connection before it reads a second one.
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/html, */*;q=0.1\r\nConnection: close\r\n\r\n"
    );
    stream
        .write_all(request.as_bytes())
        .with_context(|| format!("TLS with {host} at {address}"))?;
    let mut answer = Vec::new();
    match stream.take(READ_LIMIT).read_to_end(&mut answer) {
        Ok(_) => {}
        // Servers often close without a TLS close message. The data before it counts.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        Err(error) => return Err(error).with_context(|| format!("reading from {host} at {address}")),
    }
    parse(&String::from_utf8_lossy(&answer)).with_context(|| format!("the answer of {host} at {address}"))
}

fn parse(answer: &str) -> anyhow::Result<Answer> {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let Some(status) = status else {
        bail!("is not HTTP")
    };
    let location = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location")
            .then(|| value.trim().to_owned())
    });
    Ok(Answer { status, location })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;
    use std::time::SystemTime;

    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection};

    use super::*;
    use crate::demo::authority::{self, ServerTls};
    use crate::demo::testing::TestFolder;

    /// A server that answers each connection with `answer`; its address.
    fn server(tls: &ServerTls, answer: &'static str) -> SocketAddr {
        let certificate = CertificateDer::from_pem_slice(tls.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(tls.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = Arc::new(
            config
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key)
                .unwrap(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for tcp in listener.incoming() {
                let mut stream =
                    StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), tcp.unwrap());
                if stream.read(&mut [0; 4096]).is_ok() {
                    let _ = stream.write_all(answer.as_bytes());
                }
            }
        });
        address
    }

    #[test]
    fn an_answer_is_accepted_only_from_a_host_with_a_certificate_of_the_authority() {
        let folder = TestFolder::new("probe");
        let ensure = |name: &str, hosts: &[&str]| {
            let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
            authority::ensure(&folder.path().join(name), &hosts, SystemTime::now()).unwrap()
        };
        let (ours, theirs) = (
            ensure("ours", &["*.workspaces.localhost"]),
            ensure("theirs", &["*.workspaces.localhost"]),
        );
        let address = server(
            &ours,
            "HTTP/1.1 302 Found\r\nlocation: https://auth.workspaces.localhost/enter\r\n\r\nbody",
        );
        let answer = get(address, "lab.workspaces.localhost", "/lab", &ours.authority).unwrap();
        let location = Some("https://auth.workspaces.localhost/enter".to_owned());
        assert_eq!(
            answer,
            Answer {
                status: 302,
                location
            }
        );
        get(address, "lab.workspaces.localhost", "/", &theirs.authority).unwrap_err();
        get(address, "identity.localhost", "/", &ours.authority).unwrap_err();
    }

    #[test]
    fn what_is_not_http_is_an_error() {
        for text in ["", "SSH-2.0\r\n\r\n", "HTTP/1.1 x\r\n\r\n", "HTTP/1.1\r\n\r\n"] {
            assert_eq!(parse(text).unwrap_err().to_string(), "is not HTTP", "{text:?}");
        }
    }
}
