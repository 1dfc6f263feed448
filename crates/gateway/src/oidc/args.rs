//! command line and environment -> settings of the identity provider (pure).

use std::path::PathBuf;

use crate::oidc::claims::EmailVerified;

/// The identity provider, and how its claims become Kubernetes names. Claims and prefixes mean what kube-apiserver's flags
/// of the same names mean, so that both give a user the same name.
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

    /// Claim that becomes the user name. It must never change for a user.
    #[arg(long, env = "OIDC_USERNAME_CLAIM", default_value = "sub")]
    pub oidc_username_claim: String,

    /// Prefix of the user name; `-` for none [default: the issuer and `#`; none when the claim is email].
    #[arg(long, env = "OIDC_USERNAME_PREFIX")]
    pub oidc_username_prefix: Option<String>,

    /// Claim with the groups [default: groups are not used].
    #[arg(long, env = "OIDC_GROUPS_CLAIM")]
    pub oidc_groups_claim: Option<String>,

    /// Prefix of every group.
    #[arg(long, env = "OIDC_GROUPS_PREFIX", default_value = "")]
    pub oidc_groups_prefix: String,

    /// Only groups whose names in the claim begin with one of these prefixes are used (repeatable) [default: all are used].
    #[arg(long, env = "OIDC_GROUPS_FILTER")]
    pub oidc_groups_filter: Vec<String>,

    /// When the claim email may be the user name: Required, only if the provider reports it as verified; `IfPresent`, unless the
    /// provider reports it as not verified, as in kube-apiserver.
    #[arg(long, env = "OIDC_EMAIL_VERIFIED", value_enum, default_value_t)]
    pub oidc_email_verified: EmailVerified,

    /// Domains of e-mail addresses whose owners may sign in, without their sub-domains (repeatable; in the environment separated by
    /// commas). Only addresses that the provider reports as verified count [default: all users may].
    #[arg(long, env = "OIDC_ALLOWED_EMAIL_DOMAINS", value_delimiter = ',')]
    pub oidc_allowed_email_domains: Vec<String>,

    /// Groups whose members may sign in, by Kubernetes name, that is with the prefix (repeatable). Checked again at every renewal
    /// [default: all users may].
    #[arg(long, env = "OIDC_ALLOWED_GROUPS")]
    pub oidc_allowed_groups: Vec<String>,

    /// Name of the provider for users [default: its host].
    #[arg(long, env = "OIDC_DISPLAY_NAME", default_value = "")]
    pub oidc_display_name: String,

    /// JSON file with a list of further providers; the fields of each are those of the chart's value oidc.others [default: none].
    #[arg(long, env = "OIDC_PROVIDERS_FILE")]
    pub oidc_providers_file: Option<PathBuf>,

    /// File with the certificate authorities that sign the issuer's certificate, PEM [default: the system's].
    #[arg(long, env = "OIDC_CA_FILE")]
    pub oidc_ca_file: Option<PathBuf>,

    /// Scopes requested beside openid (repeatable; in the environment separated by commas). Also requested is `email`, if the user name
    /// or the admission depends on it, and `groups`, if that is the groups claim and the provider lists the scope.
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

    /// `host:port` to connect to instead of the issuer's host; TLS name and Host header stay the issuer's. For an identity provider
    /// that is reached through the proxy inside the cluster.
    #[arg(long, env = "OIDC_CONNECT_TO")]
    pub oidc_connect_to: Option<String>,

    /// HTTP proxy for all requests to identity providers, such as `http://proxy.example.com:3128`, which must allow CONNECT. Not for
    /// providers with --oidc-connect-to [default: none].
    #[arg(long, env = "OIDC_HTTPS_PROXY", conflicts_with = "oidc_https_proxy_file")]
    pub oidc_https_proxy: Option<String>,

    /// File that holds the address of that proxy, with user and password: `http://user:password@proxy.example.com:3128`
    /// [default: none].
    #[arg(long, env = "OIDC_HTTPS_PROXY_FILE")]
    pub oidc_https_proxy_file: Option<PathBuf>,

    /// The authority (PEM) of the proxy's certificate, if this process made it and the issuer is behind that proxy.
    #[arg(skip)]
    pub own_authority: Option<String>,
}
