//! Authority of the identity provider -> its users may use kubectl, with the gateway's names (IO).
//!
//! docs/sign-in.md describes the same for other clusters.

use std::fs;

use serde_json::{Value, json};

use super::site::{ADDRESS, IDENTITY_HOST, KUBECTL_CLIENT};
use crate::args::Provider;
use crate::cluster::control_plane::AUTHENTICATION;
use crate::cluster::{Cluster, write_secret};
use crate::paths::Paths;

/// Writes the file that the API server of the local node reads again when it changes. This takes up to a minute.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn trust(authority: &str, cluster: &Cluster, paths: &Paths) -> anyhow::Result<()> {
    if cluster.provider() != Provider::Node {
        return Ok(());
    }
    let file = paths.cluster().join(AUTHENTICATION.0);
    let wanted = serde_json::to_string_pretty(&configuration(authority))?;
    if fs::read_to_string(&file).is_ok_and(|now| now == wanted) {
        return Ok(());
    }
    write_secret(&file, &wanted)
}

/// The claims and prefixes of values-local.yaml; a test compares.
fn configuration(authority: &str) -> Value {
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [{
            "issuer": {
                "url": format!("https://{IDENTITY_HOST}:{}/realms/jupyter", ADDRESS.port()),
                "audiences": [KUBECTL_CLIENT],
                "certificateAuthority": authority,
            },
            "claimMappings": {
                "username": {"claim": "preferred_username", "prefix": ""},
                "groups": {"claim": "groups", "prefix": "oidc:"},
            },
            // Like the gateway: without a prefix, a user could have the name `system:admin`.
            "userValidationRules": [
                {
                    "expression": "!user.username.startsWith('system:') && !user.username.startsWith('kubeadm:')",
                    "message": "user names that begin with system: or kubeadm: are reserved",
                },
                {
                    "expression": "user.groups.all(group, !group.startsWith('system:') && !group.startsWith('kubeadm:'))",
                    "message": "groups that begin with system: or kubeadm: are reserved",
                },
            ],
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_have_the_names_that_the_gateway_gives_them() {
        let values = Paths::from_env()
            .unwrap()
            .clone_root()
            .join("charts/jupyter-k8s/values-local.yaml");
        let values: Value = serde_saphyr::from_str(&fs::read_to_string(values).unwrap()).unwrap();
        let authenticator = &configuration("PEM")["jwt"][0];
        let mappings = &authenticator["claimMappings"];
        let oidc = &values["oidc"];
        assert_eq!(mappings["username"]["claim"], oidc["usernameClaim"]);
        assert_eq!(oidc["usernamePrefix"], "-", "no prefix");
        assert_eq!(mappings["username"]["prefix"], "");
        assert_eq!(mappings["groups"]["claim"], oidc["groupsClaim"]);
        assert_eq!(mappings["groups"]["prefix"], oidc["groupsPrefix"]);
        assert_eq!(
            authenticator["issuer"]["audiences"][0],
            values["identity"]["kubectlClientId"]
        );
        assert_eq!(authenticator["issuer"]["certificateAuthority"], "PEM");
    }

    #[test]
    fn no_user_gets_a_system_name_or_group_here_or_by_the_guide() {
        let page = Paths::from_env().unwrap().clone_root().join("docs/sign-in.md");
        let page = fs::read_to_string(page).unwrap();
        let (_, guide) = page.split_once("```yaml\n").unwrap();
        let guide: Value = serde_saphyr::from_str(guide.split("```").next().unwrap()).unwrap();
        let rules = &configuration("PEM")["jwt"][0]["userValidationRules"];
        assert_eq!(rules.as_array().unwrap().len(), 2);
        assert_eq!(guide["jwt"][0]["userValidationRules"], *rules);
    }
}
