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

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;

    use super::*;
    use crate::paths::Paths;

    fn chart_file(name: &str) -> Value {
        let path = Paths::from_env()
            .unwrap()
            .clone_root()
            .join("charts/jupyter-k8s")
            .join(name);
        serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn the_charts_local_values_say_the_same() {
        let values = chart_file("values-local.yaml");
        assert_eq!(values["routing"]["baseDomain"], BASE_DOMAIN);
        assert_eq!(values["routing"]["port"], ADDRESS.port());
        assert_eq!(values["identity"]["host"], IDENTITY_HOST);
        assert_eq!(values["proxy"]["tls"]["secretName"], secret("proxy-tls"));
        assert_eq!(values["oidc"]["caSecretName"], secret("proxy-tls"));
        let names = |list: &Value, key: &str| -> Vec<String> {
            list.as_array()
                .unwrap()
                .iter()
                .map(|one| one[key].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names(&values["identity"]["accounts"], "username"), USERS);
        assert_eq!(names(&values["userNamespaces"], "name"), [USER_NAMESPACE]);
        assert_eq!(
            values["userNamespaces"][0]["users"],
            serde_json::json!(USERS[..2])
        );
        assert_eq!(
            values["administrators"]["users"],
            serde_json::json!([ADMINISTRATOR])
        );
        assert!(chart_file("values.yaml")["templates"][TEMPLATE].is_object());
    }
}
