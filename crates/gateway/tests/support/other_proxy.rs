//! nginx and Caddy with the project's sample configurations, on loopback.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::chart::{GATEWAY, Ports};
use crate::support::proxy::BASE;

/// A proxy that is not Traefik.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Other {
    Nginx,
    Caddy,
}

impl Other {
    /// Its sample under deploy/samples/proxies.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Nginx => "nginx.conf",
            Self::Caddy => "Caddyfile",
        }
    }

    /// The sample as it is.
    pub(crate) fn sample(self) -> String {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples/proxies");
        fs::read_to_string(samples.join(self.file())).unwrap()
    }

    /// The sample, with loopback in place of the cluster.
    pub(crate) fn configuration(self, folder: &Path, port: u16, ports: Ports, pod: SocketAddr) -> String {
        let mut text = self.sample();
        let service = "jupyter-k8s-gateway.jupyter-k8s-system.svc";
        let own = match self {
            Self::Nginx => [
                (
                    "listen 443 ssl".to_owned(),
                    format!("listen 127.0.0.1:{port} ssl"),
                ),
                ("/etc/nginx".to_owned(), folder.display().to_string()),
            ],
            Self::Caddy => [
                (":443 {".to_owned(), format!(":{port} {{")),
                ("/etc/caddy".to_owned(), folder.display().to_string()),
            ],
        };
        let common = [
            (format!("{service}:8443"), format!("{GATEWAY}:{}", ports.verify)),
            (format!("{service}:8445"), format!("{GATEWAY}:{}", ports.pages)),
            (service.to_owned(), GATEWAY.to_owned()),
            ("workspace.team.svc:8888".to_owned(), pod.to_string()),
            ("workspaces.example.org".to_owned(), BASE.to_owned()),
        ];
        for (from, to) in common.into_iter().chain(own) {
            assert!(text.contains(&from), "{from} is not in {}", self.file());
            text = text.replace(&from, &to);
        }
        match self {
            Self::Nginx => text.replace("workspaces\\.example\\.org", &BASE.replace('.', "\\.")),
            // No second port, and nothing to steer it by.
            Self::Caddy => format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{text}"),
        }
    }

    pub(crate) fn command(self, folder: &Path) -> Command {
        let file = folder.join(self.file());
        let mut command = Command::new(self.program());
        match self {
            Self::Nginx => {
                // One process: workers outlive a master that is killed.
                let pid = format!(
                    "daemon off; master_process off; pid {}; error_log stderr;",
                    folder.join("pid").display()
                );
                command
                    .arg("-p")
                    .arg(folder)
                    .arg("-c")
                    .arg(file)
                    .args(["-g", &pid]);
            }
            Self::Caddy => {
                command
                    .args(["run", "--adapter", "caddyfile", "--config"])
                    .arg(file);
                command
                    .env("HOME", folder)
                    .env("XDG_DATA_HOME", folder)
                    .env("XDG_CONFIG_HOME", folder);
            }
        }
        command
    }

    /// Debian's, which `./justw test` installs.
    fn program(self) -> PathBuf {
        let places = match self {
            Self::Nginx => ["/usr/sbin/nginx", "/usr/bin/nginx"],
            Self::Caddy => ["/usr/bin/caddy", "/usr/local/bin/caddy"],
        };
        let found = places.into_iter().map(PathBuf::from).find(|path| path.exists());
        found.unwrap_or_else(|| panic!("{} is missing: `./justw test` installs it", places[0]))
    }
}
