//! Local node -> a registry with a password in its network, for a test (IO); settings (pure).
//!
//! Node and machine use the same name for it. containerd uses plain HTTP for a loopback address. A forwarder carries the machine's
//! connections to that port into the node's network.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::kubeconfig::write_secret;
use super::layout::{Layout, NODE_ADDRESS};
use super::node::{self, Network};
use super::process::{Service, wait_until};
use crate::paths::Paths;
use crate::progress::Progress;

/// Its port, in the node's network and on the machine's loopback.
pub(crate) const PORT: u16 = 8500;
/// The account `release` with the password `not-a-secret`, by bcrypt. Only this machine can reach the registry. It has public content, and
/// lives as long as a test.
const ACCOUNT: &str = "release:$2b$04$Ba1dUmA7Zrxc0WjMBw2X.OCu/ho.T5Kf1YfxdnbZMH8apEwRoWbbe\n";
/// base64 of `release:not-a-secret`.
const LOGIN: &str = "cmVsZWFzZTpub3QtYS1zZWNyZXQ=";

/// A running registry.
pub(crate) struct Running {
    /// Host and port.
    pub(crate) address: String,
    /// File with credentials for it, as `docker login` writes it.
    pub(crate) credentials: PathBuf,
}

/// Writes settings and accounts of a registry that listens on `address` and keeps everything in `folder`; returns the settings' file.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write_settings(folder: &Path, address: &str) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let accounts = folder.join("accounts");
    write_secret(&accounts, ACCOUNT)?;
    let settings = json!({
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": folder.join("data")}},
        "http": {"addr": address},
        "auth": {"htpasswd": {"realm": "tests", "path": accounts}},
    });
    let file = folder.join("registry.yml");
    fs::write(&file, settings.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Credentials for registries with that account, as `docker login` writes them (pure).
pub(crate) fn credentials(addresses: &[&str]) -> Value {
    let auths: serde_json::Map<_, _> = addresses
        .iter()
        .map(|address| ((*address).to_owned(), json!({"auth": LOGIN})))
        .collect();
    json!({"auths": auths})
}

/// Starts an empty registry on the local node. It ends with the node.
///
/// The next `up` replaces a node that had one: the test removes parts that others need, and its kubelet remembers which images it pulled with
/// which password.
///
/// # Errors
/// When no local node is up, it had a registry already, the port is taken, or the registry does not listen.
pub(crate) fn start(paths: &Paths, progress: &Progress) -> anyhow::Result<Running> {
    let layout = Layout::new(paths);
    ensure!(
        !layout.registry().exists(),
        "a test emptied this node before; run `./justw demo` to replace it"
    );
    TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))
        .with_context(|| format!("port {PORT} of 127.0.0.1 is taken; free it"))?;
    let folder = layout.registry();
    let settings = write_settings(&folder, &format!(":{PORT}"))?;
    let registry = Service {
        name: "registry",
        program: "docker-registry".into(),
        args: vec!["serve".to_owned(), settings.display().to_string()],
    };
    node::start_inside(&registry, Network::Node, &layout)?;
    let forwarder = Service {
        name: "registry-forwarder",
        program: "socat".into(),
        args: vec![
            format!("TCP-LISTEN:{PORT},bind=127.0.0.1,reuseaddr,fork"),
            format!("TCP:{NODE_ADDRESS}:{PORT}"),
        ],
    };
    node::start_inside(&forwarder, Network::Machine, &layout)?;
    for address in [format!("{NODE_ADDRESS}:{PORT}"), format!("127.0.0.1:{PORT}")] {
        ensure!(
            wait_until(Duration::from_secs(10), || TcpStream::connect(&address).is_ok()),
            "the registry does not listen on {address}; see {}",
            layout.file("logs").display()
        );
    }
    let address = format!("127.0.0.1:{PORT}");
    let file = folder.join("config.json");
    write_secret(&file, &credentials(&[&address]).to_string())?;
    progress.line(format_args!("started a registry at {address}"));
    Ok(Running {
        address,
        credentials: file,
    })
}
