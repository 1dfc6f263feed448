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
    #[arg(long, env = "ADMIN_ADDRESS", default_value = "[::]:9090")]
    pub admin_address: SocketAddr,

    /// Workspaces that are worked on at the same time, and requests to the API server that are under way at a time.
    #[arg(long, env = "CONCURRENCY", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub concurrency: u16,

    /// Milliseconds for which nothing more of a workspace must change before it is looked at; each change begins the wait anew. More
    /// saves work, and delays each step that people see by as much.
    #[arg(long, env = "DEBOUNCE_MILLISECONDS", default_value_t = 50, value_parser = clap::value_parser!(u16).range(0..=5000))]
    pub debounce_milliseconds: u16,

    /// Objects of one answer when a watch begins and everything of a kind is listed. Less takes less memory at that moment,
    /// more takes fewer requests.
    #[arg(long, env = "WATCH_PAGE_SIZE", default_value_t = 500, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    pub watch_page_size: u32,

    /// Whether /metrics has a gauge for each workspace, with its namespace and name: one time series more per workspace.
    #[arg(long, env = "WORKSPACE_METRICS", default_value_t = true, action = clap::ArgAction::Set)]
    pub workspace_metrics: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_stop_all_work_are_refused() {
        let with = |flag: &str| Args::try_parse_from(["operator", "--namespace=a", "--pod-name=b", flag]);
        assert!(with("--concurrency=0").is_err());
        assert!(with("--debounce-milliseconds=60000").is_err());
        assert!(with("--watch-page-size=0").is_err());
        assert!(!with("--workspace-metrics=false").unwrap().workspace_metrics);
        assert_eq!(with("--concurrency=64").unwrap().concurrency, 64);
    }
}
