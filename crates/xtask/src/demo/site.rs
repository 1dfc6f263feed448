//! Nothing -> names of the demo, the same as in the chart's values-local.yaml (pure).

use std::net::{Ipv4Addr, SocketAddr};

/// Parent domain of the workspaces' hosts.
pub(super) const BASE_DOMAIN: &str = "workspaces.localhost";
/// Host of the identity provider.
pub(super) use crate::cluster::layout::IDENTITY_HOST;
/// Client of the identity provider for kubectl.
pub(super) const KUBECTL_CLIENT: &str = "kubectl";
/// HTTPS on this machine, and in every URL.
pub(super) const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8443);
/// Page that the identity provider serves when it is up.
pub(super) const DISCOVERY: &str = "/realms/jupyter/.well-known/openid-configuration";
/// Name of the Helm release.
pub(super) const RELEASE: &str = "jupyter-k8s";
/// Namespace of the product's own pods.
pub(super) const SYSTEM_NAMESPACE: &str = "jupyter-k8s-system";
/// Namespace of the users.
pub(super) const USER_NAMESPACE: &str = "team-demo";
/// Users with an account at the identity provider; the first owns the workspace.
pub(super) const USERS: [&str; 3] = ["alice", "bob", ADMINISTRATOR];
/// The one who administers the workspaces of all.
pub(super) const ADMINISTRATOR: &str = "ruth";
/// The group by which the values make her one.
pub(super) const ADMINISTRATORS: &str = "oidc:platform";
/// The workspace to open.
pub(super) const WORKSPACE: &str = "alice-lab";
/// Its template.
pub(super) const TEMPLATE: &str = "jupyterlab";

/// Hosts that the proxy's certificate names.
pub(super) fn hosts() -> Vec<String> {
    vec![
        BASE_DOMAIN.to_owned(),
        format!("*.{BASE_DOMAIN}"),
        IDENTITY_HOST.to_owned(),
    ]
}

/// Name of one of the release's Secrets.
pub(super) fn secret(part: &str) -> String {
    format!("{RELEASE}-{part}")
}
