//! nginx with the project's sample configuration, on loopback.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::support::chart::{GATEWAY, Ports};
use crate::support::proxy::BASE;

/// The sample under deploy/samples/proxies.
pub(crate) const FILE: &str = "nginx.conf";

/// The sample as it is.
pub(crate) fn sample() -> String {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples/proxies");
    fs::read_to_string(samples.join(FILE)).unwrap()
}

/// The sample, with loopback in place of the cluster.
pub(crate) fn configuration(folder: &Path, port: u16, ports: Ports, pod: SocketAddr) -> String {
    let mut text = sample();
    let service = "jupyter-k8s-gateway.jupyter-k8s-system.svc";
    for (from, to) in [
        (format!("{service}:8443"), format!("{GATEWAY}:{}", ports.verify)),
        (format!("{service}:8445"), format!("{GATEWAY}:{}", ports.pages)),
        (service.to_owned(), GATEWAY.to_owned()),
        ("workspace.team.svc:8888".to_owned(), pod.to_string()),
        ("workspaces.example.org".to_owned(), BASE.to_owned()),
        ("workspaces\\.example\\.org".to_owned(), BASE.replace('.', "\\.")),
        (
            "listen 443 ssl".to_owned(),
            format!("listen 127.0.0.1:{port} ssl"),
        ),
        ("/etc/nginx".to_owned(), folder.display().to_string()),
    ] {
        assert!(text.contains(&from), "{from} is not in {FILE}");
        text = text.replace(&from, &to);
    }
    text
}

/// Debian's program, which `./justw test` installs. One process: workers outlive a master that is killed.
pub(crate) fn command(folder: &Path) -> Command {
    let places = ["/usr/sbin/nginx", "/usr/bin/nginx"];
    let found = places.iter().find(|path| Path::new(path).exists());
    let program = found.unwrap_or_else(|| panic!("{} is missing: `./justw test` installs it", places[0]));
    let pid = format!(
        "daemon off; master_process off; pid {}; error_log stderr;",
        folder.join("pid").display()
    );
    let mut command = Command::new(program);
    command
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(folder.join(FILE))
        .args(["-g", &pid]);
    command
}
