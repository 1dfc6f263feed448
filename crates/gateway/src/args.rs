//! command line and environment -> settings, or a sentence that names the wrong one (pure).

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

use crate::foreign::Asker;
use crate::oidc::claims::EmailVerified;

/// Signs people in and decides about every request to a workspace.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "jupyter-k8s-gateway",
    version,
    after_help = "`jupyter-k8s-gateway verify-audit <file>` checks an audit log: the gateway's standard output."
)]
pub struct Args {
    /// Namespace of this process: its Secrets and login sessions live there.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,

    /// Helm release that this process belongs to: first part of the names of its Secrets and its Service.
    #[arg(long, env = "RELEASE_NAME")]
    pub release_name: String,

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

    /// Headers of browsers that never reach a workspace, because other services say by them who signed in (repeatable; in the
    /// environment separated by commas). A name that ends in `-` stands for all that begin so.
    #[arg(long, env = "HEADER_STRIP", value_delimiter = ',')]
    pub header_strip: Vec<String>,

    /// Whether the audit log names the address that a request came from; of IPv6 the network of 64 bits.
    #[arg(long, env = "AUDIT_CLIENT_ADDRESS")]
    pub audit_client_address: bool,

    /// Proxies beside Traefik whose questions are answered (repeatable; in the environment separated by commas). What is not named
    /// here has no endpoint [default: none].
    #[arg(long, env = "FOREIGN_PROXIES", value_delimiter = ',')]
    pub foreign_proxies: Vec<Asker>,

    /// Address for the proxy's questions and for websockets (TLS).
    #[arg(long, env = "VERIFY_ADDRESS", default_value = "[::]:8443")]
    pub verify_address: SocketAddr,

    /// Address from which the proxy fetches its routes (TLS).
    #[arg(long, env = "ROUTES_ADDRESS", default_value = "[::]:8444")]
    pub routes_address: SocketAddr,

    /// Address of the pages, of signing in above all (TLS).
    #[arg(long, env = "PAGES_ADDRESS", default_value = "[::]:8445")]
    pub pages_address: SocketAddr,

    /// Address of /livez, /readyz and /metrics (plain HTTP).
    #[arg(long, env = "ADMIN_ADDRESS", default_value = "[::]:9090")]
    pub admin_address: SocketAddr,

    /// File that says how pages look, JSON: productName, accentColor, accentColorDark, logo, helpUrl, helpText, notice
    /// [default: plain pages].
    #[arg(long, env = "PAGES_FILE")]
    pub pages_file: Option<PathBuf>,

    /// File with the logo of the pages, PNG or SVG of at most 24 KiB, in place of the logo in the file above [default: none].
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
    pub bearer: Bearer,

    /// Limits on requests.
    #[command(flatten)]
    pub limits: RequestLimits,
}

/// How often pages of the sign-in host may be asked for, per minute; half of it at once. Each thing is counted for itself:
/// beginning a login or entering a workspace, ending it, starting a workspace, signing out. More is answered with 429.
#[derive(Debug, Clone, clap::Args)]
pub struct RequestLimits {
    /// Requests per minute of an address (of IPv6 a network of 64 bits) that is not signed in; 0: no limit. Everybody behind one
    /// address shares it.
    #[arg(long, env = "ADDRESS_REQUESTS_PER_MINUTE", default_value_t = 600)]
    pub address_requests_per_minute: u32,

    /// Requests per minute of a session; 0: no limit.
    #[arg(long, env = "SESSION_REQUESTS_PER_MINUTE", default_value_t = 120)]
    pub session_requests_per_minute: u32,

    /// Messages of the identity provider that somebody signed out, per minute and address; 0: no limit.
    #[arg(long, env = "PROVIDER_REQUESTS_PER_MINUTE", default_value_t = 6000)]
    pub provider_requests_per_minute: u32,

    /// Networks (`10.0.0.0/8`) of proxies before ours whose word about the client's address counts (repeatable; in the
    /// environment separated by commas) [default: none].
    #[arg(long, env = "TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<String>,
}

/// Requests that carry a token (`Authorization: Bearer`) in place of a browser's cookie.
#[derive(Debug, Clone, Default, clap::Args)]
#[expect(clippy::struct_field_names, reason = "clap names the flags after them")]
pub struct Bearer {
    /// Whether tokens count: those of service accounts whose one audience is the sign-in host's origin (`https://auth.<domain>`),
    /// and people's, if audiences are named. The gateway then needs the right to create tokenreviews.
    #[arg(long, env = "BEARER_ENABLED")]
    pub bearer_enabled: bool,

    /// Audiences of people's tokens that count, of every identity provider (repeatable; in the environment separated by commas).
    /// Never the client that people sign in with [default: people's tokens do not count].
    #[arg(long, env = "BEARER_AUDIENCES", value_delimiter = ',')]
    pub bearer_audiences: Vec<String>,

    /// Issuers of the cluster's service account tokens (repeatable; in the environment separated by commas) [default: the issuer of
    /// this process's own token].
    #[arg(long, env = "BEARER_ISSUERS", value_delimiter = ',')]
    pub bearer_issuers: Vec<String>,
}

/// How long people stay signed in.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::struct_field_names, reason = "clap names the flags after them")]
pub struct SessionLimits {
    /// Minutes after which a person signs in anew, whatever happens; at most 1440.
    #[arg(long, env = "SESSION_LIFETIME_MINUTES", default_value_t = 12 * 60)]
    pub session_lifetime_minutes: u32,

    /// Minutes without a request after which a session is over. The last use is noted to within an eighth of this.
    #[arg(long, env = "SESSION_IDLE_MINUTES", default_value_t = 2 * 60)]
    pub session_idle_minutes: u32,

    /// Minutes for which a session admits without the provider having vouched for it: while the provider cannot be reached, and
    /// at all where it gives no refresh tokens.
    #[arg(long, env = "SESSION_MAX_UNREFRESHED_MINUTES", default_value_t = 60)]
    pub session_max_unrefreshed_minutes: u32,

    /// Seconds for which a workspace's cookie is good, 60 to 900. Requests renew it for as long as the session lasts; one that was
    /// copied ends with this.
    #[arg(long, env = "SESSION_TICKET_SECONDS", default_value_t = 900)]
    pub session_ticket_seconds: u32,
}

/// The identity provider, and how its claims become Kubernetes names. Claims and prefixes mean what kube-apiserver's flags
/// of the same names mean, so that both give a person the same name.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::struct_field_names, reason = "clap names the flags after them")]
pub struct Oidc {
    /// Issuer, exactly as in its discovery document; https only.
    #[arg(long, env = "OIDC_ISSUER_URL")]
    pub oidc_issuer_url: String,

    /// Identifier of this client at the issuer.
    #[arg(long, env = "OIDC_CLIENT_ID")]
    pub oidc_client_id: String,

    /// File that holds the client's secret [default: none, for a public client].
    #[arg(long, env = "OIDC_CLIENT_SECRET_FILE")]
    pub oidc_client_secret_file: Option<PathBuf>,

    /// Claim that becomes the user name. It must never change for a person.
    #[arg(long, env = "OIDC_USERNAME_CLAIM", default_value = "sub")]
    pub oidc_username_claim: String,

    /// Put before the user name; `-` for none [default: the issuer and `#`; none when the claim is email].
    #[arg(long, env = "OIDC_USERNAME_PREFIX")]
    pub oidc_username_prefix: Option<String>,

    /// Claim that holds the groups [default: groups are not used].
    #[arg(long, env = "OIDC_GROUPS_CLAIM")]
    pub oidc_groups_claim: Option<String>,

    /// Put before every group.
    #[arg(long, env = "OIDC_GROUPS_PREFIX", default_value = "")]
    pub oidc_groups_prefix: String,

    /// Groups whose names in the claim begin like this count, all others are left out (repeatable) [default: all count].
    #[arg(long, env = "OIDC_GROUPS_FILTER")]
    pub oidc_groups_filter: Vec<String>,

    /// When the claim email may be the user name: Required, only where the provider says that it is verified; `IfPresent`, unless
    /// it says that it is not, as kube-apiserver has it.
    #[arg(long, env = "OIDC_EMAIL_VERIFIED", value_enum, default_value_t)]
    pub oidc_email_verified: EmailVerified,

    /// Domains of e-mail addresses whose owners may sign in, without their sub-domains (repeatable; in the environment separated by
    /// commas). Only addresses that the provider calls verified count [default: everybody may].
    #[arg(long, env = "OIDC_ALLOWED_EMAIL_DOMAINS", value_delimiter = ',')]
    pub oidc_allowed_email_domains: Vec<String>,

    /// Groups whose members may sign in, by Kubernetes name, that is with the prefix (repeatable). Looked at again at every renewal
    /// [default: everybody may].
    #[arg(long, env = "OIDC_ALLOWED_GROUPS")]
    pub oidc_allowed_groups: Vec<String>,

    /// What people call the provider [default: its host].
    #[arg(long, env = "OIDC_DISPLAY_NAME", default_value = "")]
    pub oidc_display_name: String,

    /// JSON file with a list of further providers; the fields of each are those of the chart's value oidc.others [default: none].
    #[arg(long, env = "OIDC_PROVIDERS_FILE")]
    pub oidc_providers_file: Option<PathBuf>,

    /// File with the certificate authorities that vouch for the issuer, PEM [default: the system's].
    #[arg(long, env = "OIDC_CA_FILE")]
    pub oidc_ca_file: Option<PathBuf>,

    /// Scopes asked for beside openid (repeatable; in the environment separated by commas).
    #[arg(long, env = "OIDC_SCOPES", value_delimiter = ',', default_value = "profile")]
    pub oidc_scopes: Vec<String>,

    /// Algorithms that may sign an ID token (repeatable; in the environment separated by commas).
    #[arg(
        long,
        env = "OIDC_SIGNING_ALGS",
        value_delimiter = ',',
        default_value = "RS256"
    )]
    pub oidc_signing_algs: Vec<String>,

    /// `host:port` that is dialled in place of the issuer's host; TLS name and Host header stay the issuer's. For an identity
    /// provider that is reached through the proxy inside the cluster.
    #[arg(long, env = "OIDC_CONNECT_TO")]
    pub oidc_connect_to: Option<String>,
}
