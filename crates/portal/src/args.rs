//! Command line and environment -> arguments (pure).

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Pages for users: their workspaces, and changes that the API server makes as them.
#[derive(Debug, Clone, Parser)]
#[command(name = "jupyter-k8s-portal", version)]
pub struct Args {
    /// Namespace of this process.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,

    /// Helm release that this process belongs to.
    #[arg(long, env = "RELEASE_NAME")]
    pub release_name: String,

    /// The only namespace whose workspaces are shown [default: all namespaces].
    #[arg(long, env = "WATCH_NAMESPACE")]
    pub watch_namespace: Option<String>,

    /// WorkspaceManager that names the base domain [default: the one default manager].
    #[arg(long, env = "MANAGER")]
    pub manager: Option<String>,

    /// How requests reach the API server as the user: Constrained needs Kubernetes 1.36; Any is impersonation without bounds, for older
    /// API servers; Token: each request carries the user's own ID token, which the gateway sends along; Off: pages are shown, and every change is shown as a command.
    #[arg(long, env = "IMPERSONATION", value_enum, default_value_t)]
    pub impersonation: Impersonation,

    /// Namespaces in which the portal's account may act for users. In others, every change is shown as a command (repeatable; in the
    /// environment separated by commas) [default: all namespaces].
    #[arg(long, env = "ACTS_IN", value_delimiter = ',')]
    pub acts_in: Vec<String>,

    /// File with the installation's defaults for workspaces. Read once, at start.
    #[arg(long, env = "SETTINGS_FILE", default_value = "/etc/jupyter-k8s/settings.yaml")]
    pub settings_file: PathBuf,

    /// JSON Web Key Set with the gateway's public keys. Read again when it changes.
    #[arg(
        long,
        env = "ASSERTION_KEYS_FILE",
        default_value = "/etc/jupyter-k8s/assertion-keys/jwks.json"
    )]
    pub assertion_keys_file: PathBuf,

    /// Folder with `tls.crt`, `tls.key`, and `ca.crt`, the authority of the proxy's client certificate. Read again when it changes.
    #[arg(long, env = "TLS_DIR", default_value = "/etc/jupyter-k8s/tls")]
    pub tls_dir: PathBuf,

    /// What names begin with.
    #[command(flatten)]
    pub prefixes: Prefixes,

    /// JSON file with the theme of pages, as the gateway's [default: plain pages].
    #[arg(long, env = "PAGES_FILE")]
    pub pages_file: Option<PathBuf>,

    /// File with the logo of the pages, which replaces the logo in the file above [default: none].
    #[arg(long, env = "PAGES_LOGO_FILE")]
    pub pages_logo_file: Option<PathBuf>,

    /// Address of the pages (TLS).
    #[arg(long, env = "LISTEN_ADDRESS", default_value = "[::]:8443")]
    pub listen_address: SocketAddr,

    /// Address of /livez, /readyz and /metrics (plain HTTP).
    #[arg(long, env = "ADMIN_ADDRESS", default_value = "[::]:9090")]
    pub admin_address: SocketAddr,
}

/// What names of users and groups begin with. Forms propose it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Prefixes {
    /// Beginning of the names of an identity provider's users, such as oidc:; may be given several times [default: none].
    #[arg(long = "user-prefix", value_name = "PREFIX")]
    pub users: Vec<String>,

    /// Beginning of the names of an identity provider's groups; may be given several times [default: none].
    #[arg(long = "group-prefix", value_name = "PREFIX")]
    pub groups: Vec<String>,
}

/// How requests reach the API server as the user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum Impersonation {
    /// Constrained impersonation: within the user's rights, and within those of the portal's account.
    #[default]
    Constrained,
    /// Impersonation of any user and group.
    Any,
    /// No impersonation: the user's own ID token.
    Token,
    /// None.
    Off,
}
