//! command line and environment -> settings, or a message that names the wrong one (pure).

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

use crate::oidc::args::Oidc;
use crate::server::throttle::RequestLimits;
use crate::session::SessionLimits;
use crate::verify::adapters::ProxyKind;
use crate::verify::bearer::settings::BearerArgs;

/// Signs users in and decides about every request to a workspace.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "jupyter-k8s-gateway",
    version,
    after_help = "`jupyter-k8s-gateway check` checks an installation, as `helm test` does."
)]
pub struct Args {
    /// Namespace of this process: its Secrets and login sessions live there.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,

    /// Helm release that this process belongs to: first part of the names of its Secrets and its Service.
    #[arg(long, env = "RELEASE_NAME")]
    pub release_name: String,

    /// The only namespace whose workspaces are served. Rights are then asked by `LocalSubjectAccessReview`, and scripts have no tokens: the
    /// API server judges neither for an account without rights on the cluster [default: all namespaces].
    #[arg(long, env = "WATCH_NAMESPACE", conflicts_with = "bearer_enabled")]
    pub watch_namespace: Option<String>,

    /// WorkspaceManager whose workspaces are served [default: the one default manager].
    #[arg(long, env = "MANAGER")]
    pub manager: Option<String>,

    /// Seconds for which decisions are made from an index that may lag behind the API server, 10 to 600. After that requests are
    /// answered with 503; open websockets stay for twice as long.
    #[arg(long, env = "MAX_STALENESS_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..=600))]
    pub max_staleness_seconds: u64,

    /// Cookies whose name begins like this never reach a workspace (repeatable; in the environment separated by commas).
    /// Meant for a company's single sign-on.
    #[arg(long, env = "COOKIE_STRIP", value_delimiter = ',')]
    pub cookie_strip: Vec<String>,

    /// Request headers that never reach a workspace, because other services name the signed-in user in them (repeatable; in the
    /// environment separated by commas). A name that ends in `-` is a prefix.
    #[arg(long, env = "HEADER_STRIP", value_delimiter = ',')]
    pub header_strip: Vec<String>,

    /// Whether the audit log names the address that a request came from; of IPv6 the network of 64 bits.
    #[arg(long, env = "AUDIT_CLIENT_ADDRESS")]
    pub audit_client_address: bool,

    /// Proxies beside Traefik whose auth requests are answered (repeatable; in the environment separated by commas). A proxy that
    /// is not named here has no endpoint [default: none].
    #[arg(long, env = "FOREIGN_PROXIES", value_delimiter = ',')]
    pub foreign_proxies: Vec<ProxyKind>,

    /// Hosts of the certificate that the proxy serves to browsers. This process then makes it, signs it with an authority of its own, and
    /// keeps it in the Secret `<release>-proxy-self-signed` (repeatable; in the environment separated by commas) [default: none, the
    /// certificate comes from elsewhere].
    #[arg(long, env = "SELF_SIGNED_HOSTS", value_delimiter = ',')]
    pub self_signed_hosts: Vec<String>,

    /// Whether there is a portal: the host `portal.<base domain>` is then open to every signed-in user, and this process makes the
    /// certificate by which the portal serves the proxy, in the Secret `<release>-portal-tls`.
    #[arg(long, env = "PORTAL_ENABLED")]
    pub portal_enabled: bool,

    /// Namespaces in which the portal changes workspaces for users, `*` for all (repeatable; in the environment separated by commas).
    /// There the page of a stopped workspace leads its owner to the portal [default: none, the page has a button that starts it].
    #[arg(long, env = "PORTAL_ACTS_IN", value_delimiter = ',')]
    pub portal_acts_in: Vec<String>,

    /// Whether the portal acts with users' ID tokens: requests to it then carry the user's newest ID token, and sessions are renewed
    /// before that expires.
    #[arg(long, env = "PORTAL_ID_TOKENS", requires = "portal_enabled")]
    pub portal_id_tokens: bool,

    /// Address for the proxy's auth requests and for websockets (TLS).
    #[arg(long, env = "VERIFY_ADDRESS", default_value = "[::]:8443")]
    pub verify_address: SocketAddr,

    /// Address from which the proxy fetches its routes (TLS).
    #[arg(long, env = "ROUTES_ADDRESS", default_value = "[::]:8444")]
    pub routes_address: SocketAddr,

    /// Address of the pages, mainly for sign-in (TLS).
    #[arg(long, env = "PAGES_ADDRESS", default_value = "[::]:8445")]
    pub pages_address: SocketAddr,

    /// Address of /livez, /readyz and /metrics (plain HTTP).
    #[arg(long, env = "ADMIN_ADDRESS", default_value = "[::]:9090")]
    pub admin_address: SocketAddr,

    /// JSON file with the theme of pages: productName, accentColor, accentColorDark, logo, helpUrl, helpText, notice [default:
    /// plain pages].
    #[arg(long, env = "PAGES_FILE")]
    pub pages_file: Option<PathBuf>,

    /// File with the logo of the pages, PNG or SVG of at most 24 KiB, which replaces the logo in the file above [default: none].
    #[arg(long, env = "PAGES_LOGO_FILE")]
    pub pages_logo_file: Option<PathBuf>,

    /// Identity provider.
    #[command(flatten)]
    pub oidc: Oidc,

    /// Login sessions.
    #[command(flatten)]
    pub session: SessionLimits,

    /// Requests of scripts.
    #[command(flatten)]
    pub bearer: BearerArgs,

    /// Limits on requests.
    #[command(flatten)]
    pub limits: RequestLimits,
}
