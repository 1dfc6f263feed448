//! Command line and environment -> arguments (pure).

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

use crate::review::Enforcement;

/// Admission webhook for the objects of workspaces: sets owners and finalizers, and refuses what breaks rules or
/// exceeds rights.
#[derive(Debug, Parser)]
#[command(name = "jupyter-k8s-webhook", version)]
pub struct Args {
    /// Namespace of this installation: of its Service and of the Secret with the serving certificate.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,

    /// Name of the Helm release. Service and webhook configurations are named <release>-webhook.
    #[arg(long, env = "RELEASE_NAME")]
    pub release_name: String,

    /// File with the installation's defaults for workspaces. Read once, at start.
    #[arg(long, env = "SETTINGS_FILE", default_value = "/etc/jupyter-k8s/settings.yaml")]
    pub settings_file: PathBuf,

    /// User name of the operator's service account. It may change finalizers and spec.desiredStatus.
    #[arg(long, env = "OPERATOR_SERVICE_ACCOUNT", value_parser = service_account)]
    pub operator_service_account: String,

    /// User name of the gateway's service account. It may start a stopped workspace and note for whom [default: there is no gateway].
    #[arg(long, env = "GATEWAY_SERVICE_ACCOUNT", value_parser = service_account)]
    pub gateway_service_account: Option<String>,

    /// User names of the cluster's own controllers (garbage collector, namespace controller), comma-separated. They may delete objects,
    /// and change finalizers and owner references.
    #[arg(
        long,
        env = "CONTROLLER_USERS",
        value_delimiter = ',',
        default_values = [
            "system:serviceaccount:kube-system:generic-garbage-collector",
            "system:serviceaccount:kube-system:namespace-controller",
            "system:kube-controller-manager",
        ]
    )]
    pub controller_users: Vec<String>,

    /// What happens to a workspace outside of its template's bounds: Refuse, or Warn (it is stored with a warning per
    /// broken rule and gets no pod). Everything else is refused in both.
    #[arg(long, env = "ENFORCEMENT", value_enum, default_value_t)]
    pub enforcement: Enforcement,

    /// Where the API server's requests arrive (HTTPS).
    #[arg(long, env = "LISTEN_ADDRESS", default_value = "[::]:9443")]
    pub listen_address: SocketAddr,

    /// Where /livez, /readyz and /metrics are served (plain HTTP).
    #[arg(long, env = "ADMIN_ADDRESS", default_value = "[::]:9090")]
    pub admin_address: SocketAddr,
}

fn service_account(name: &str) -> Result<String, String> {
    let parts: Vec<_> = name.split(':').collect();
    match parts.as_slice() {
        ["system", "serviceaccount", namespace, account] if !namespace.is_empty() && !account.is_empty() => {
            Ok(name.to_owned())
        }
        _ => Err("expected system:serviceaccount:<namespace>:<name>".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn bounds_are_enforced_by_default() {
        let args = |more: &[&str]| {
            let given = [
                "webhook",
                "--namespace=n",
                "--release-name=r",
                "--operator-service-account=system:serviceaccount:n:o",
                "--gateway-service-account=system:serviceaccount:n:g",
            ];
            Args::try_parse_from(given.iter().chain(more)).map(|args| args.enforcement)
        };
        assert_eq!(args(&[]).unwrap(), Enforcement::Refuse);
        assert_eq!(args(&["--enforcement=Warn"]).unwrap(), Enforcement::Warn);
        assert!(args(&["--enforcement=warn"]).is_err());
    }

    #[test]
    fn a_service_account_is_named_in_full() {
        assert!(service_account("system:serviceaccount:ns:op").is_ok());
        for name in [
            "op",
            "system:serviceaccount:ns",
            "system:serviceaccount::op",
            "system:serviceaccount:ns:op:x",
        ] {
            assert!(service_account(name).is_err(), "{name}");
        }
    }
}
