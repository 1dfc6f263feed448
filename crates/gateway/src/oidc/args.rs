//! command line and environment -> settings of the identity provider (pure).

use std::path::PathBuf;

use serde::Deserialize;

use crate::oidc::MAIN;
use crate::oidc::claims::EmailVerified;

/// An identity provider, and how its claims become Kubernetes names. Claims and prefixes mean what kube-apiserver's flags
/// of the same names mean, so that both give a user the same name. Flags and environment are about the main provider, a file lists
/// further ones with the same defaults.
#[derive(Debug, Clone, clap::Args, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Oidc {
    /// Name of the provider in addresses and cookies.
    #[arg(skip = MAIN.to_owned())]
    pub name: String,

    /// Issuer, exactly as in its discovery document; https only.
    #[arg(long = "oidc-issuer-url", env = "OIDC_ISSUER_URL")]
    pub issuer_url: String,

    /// Identifier of this client at the issuer.
    #[arg(long = "oidc-client-id", env = "OIDC_CLIENT_ID")]
    pub client_id: String,

    /// File that holds the client's secret [default: none, for a public client].
    #[arg(long = "oidc-client-secret-file", env = "OIDC_CLIENT_SECRET_FILE")]
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,

    /// Claim that becomes the user name. It must never change for a user.
    #[arg(
        long = "oidc-username-claim",
        env = "OIDC_USERNAME_CLAIM",
        default_value = "sub"
    )]
    #[serde(default = "sub")]
    pub username_claim: String,

    /// Prefix of the user name; `-` for none [default: the issuer and `#`; none when the claim is email].
    #[arg(long = "oidc-username-prefix", env = "OIDC_USERNAME_PREFIX")]
    #[serde(default)]
    pub username_prefix: Option<String>,

    /// Claim with the groups [default: groups are not used].
    #[arg(long = "oidc-groups-claim", env = "OIDC_GROUPS_CLAIM")]
    #[serde(default)]
    pub groups_claim: Option<String>,

    /// Prefix of every group.
    #[arg(long = "oidc-groups-prefix", env = "OIDC_GROUPS_PREFIX", default_value = "")]
    #[serde(default)]
    pub groups_prefix: String,

    /// Only groups whose names in the claim begin with one of these prefixes are used (repeatable) [default: all are used].
    #[arg(long = "oidc-groups-filter", env = "OIDC_GROUPS_FILTER")]
    #[serde(default)]
    pub groups_filter: Vec<String>,

    /// When the claim email may be the user name: Required, only if the provider reports it as verified; `IfPresent`, unless the
    /// provider reports it as not verified, as in kube-apiserver.
    #[arg(
        long = "oidc-email-verified",
        env = "OIDC_EMAIL_VERIFIED",
        value_enum,
        default_value_t
    )]
    #[serde(default)]
    pub email_verified: EmailVerified,

    /// Domains of e-mail addresses whose owners may sign in, without their sub-domains (repeatable; in the environment separated by
    /// commas). Only addresses that the provider reports as verified count [default: all users may].
    #[arg(
        long = "oidc-allowed-email-domains",
        env = "OIDC_ALLOWED_EMAIL_DOMAINS",
        value_delimiter = ','
    )]
    #[serde(default)]
    pub allowed_email_domains: Vec<String>,

    /// Groups whose members may sign in, by Kubernetes name, that is with the prefix (repeatable). Checked again at every renewal
    /// [default: all users may].
    #[arg(long = "oidc-allowed-groups", env = "OIDC_ALLOWED_GROUPS")]
    #[serde(default)]
    pub allowed_groups: Vec<String>,

    /// Name of the provider for users [default: its host].
    #[arg(long = "oidc-display-name", env = "OIDC_DISPLAY_NAME", default_value = "")]
    #[serde(default)]
    pub display_name: String,

    /// JSON file with a list of further providers; the fields of each are those of the chart's value oidc.others [default: none].
    #[arg(long = "oidc-providers-file", env = "OIDC_PROVIDERS_FILE")]
    #[serde(skip)]
    pub providers_file: Option<PathBuf>,

    /// File with the certificate authorities that sign the issuer's certificate, PEM [default: the system's].
    #[arg(long = "oidc-ca-file", env = "OIDC_CA_FILE")]
    #[serde(default)]
    pub ca_file: Option<PathBuf>,

    /// Scopes requested beside openid (repeatable; in the environment separated by commas). Also requested is `email`, if the user name
    /// or the admission depends on it, and `groups`, if that is the groups claim and the provider lists the scope.
    #[arg(
        long = "oidc-scopes",
        env = "OIDC_SCOPES",
        value_delimiter = ',',
        default_value = "profile"
    )]
    #[serde(default = "profile")]
    pub scopes: Vec<String>,

    /// Algorithms that may sign an ID token (repeatable; in the environment separated by commas).
    #[arg(
        long = "oidc-signing-algs",
        env = "OIDC_SIGNING_ALGS",
        value_delimiter = ',',
        default_value = "RS256"
    )]
    #[serde(default = "rs256")]
    pub signing_algs: Vec<String>,

    /// `host:port` to connect to instead of the issuer's host; TLS name and Host header stay the issuer's. For an identity provider
    /// that is reached through the proxy inside the cluster.
    #[arg(long = "oidc-connect-to", env = "OIDC_CONNECT_TO")]
    #[serde(default)]
    pub connect_to: Option<String>,

    /// HTTP proxy for all requests to identity providers, such as `http://proxy.example.com:3128`, which must allow CONNECT. Not for
    /// providers with --oidc-connect-to [default: none].
    #[arg(
        long = "oidc-https-proxy",
        env = "OIDC_HTTPS_PROXY",
        conflicts_with = "https_proxy_file"
    )]
    #[serde(skip)]
    pub https_proxy: Option<String>,

    /// File that holds the address of that proxy, with user and password: `http://user:password@proxy.example.com:3128`
    /// [default: none].
    #[arg(long = "oidc-https-proxy-file", env = "OIDC_HTTPS_PROXY_FILE")]
    #[serde(skip)]
    pub https_proxy_file: Option<PathBuf>,

    /// The authority (PEM) of the proxy's certificate, if this process made it and the issuer is behind that proxy.
    #[arg(skip)]
    #[serde(skip)]
    pub own_authority: Option<String>,
}

fn sub() -> String {
    "sub".to_owned()
}

fn profile() -> Vec<String> {
    vec!["profile".to_owned()]
}

fn rs256() -> Vec<String> {
    vec!["RS256".to_owned()]
}
