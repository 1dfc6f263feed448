//! Command line and environment -> arguments (pure).

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;

/// Turns Workspaces into pods, disks, services and network policies, and says in their status what became of them.
#[derive(Clone, Debug, Parser)]
#[command(name = "jupyter-k8s-operator", version)]
pub struct Args {
    /// Namespace in which the operator runs: its lease lies there, and proxy and gateway are let in from there.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,

    /// Name of this pod: its identity in the election of a leader, and the source of its events.
    #[arg(long, env = "POD_NAME")]
    pub pod_name: String,

    /// Helm release: prefix of the lease's name, and label of the proxy and gateway that are let in.
    #[arg(long, env = "RELEASE_NAME", default_value = "jupyter-k8s")]
    pub release_name: String,

    /// File with the installation's settings, in YAML.
    #[arg(long, env = "SETTINGS_FILE", default_value = "/etc/jupyter-k8s/settings.yaml")]
    pub settings_file: PathBuf,

    /// Address of /livez, /readyz and /metrics, without TLS.
    #[arg(long, env = "ADMIN_ADDRESS", default_value = "0.0.0.0:9090")]
    pub admin_address: SocketAddr,
}
