//! Command line -> typed arguments (pure).

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// The project's own tool: everything the `justfile` calls.
#[derive(Debug, Parser)]
#[command(name = "xtask", version, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One job of the tool.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The local cluster: one per machine, shared by all checkouts
    Cluster {
        #[command(subcommand)]
        command: ClusterCommand,
    },
    /// Write what is generated from the code: the chart's CRDs, docs/api.md
    Gen {
        /// Change nothing; fail when a file is stale
        #[arg(long)]
        check: bool,
    },
    /// Part of the local cluster: carry TCP connections from a local address into the node's network
    Forward {
        /// Address to listen on
        #[arg(long, value_name = "IP:PORT")]
        listen: SocketAddr,
        /// Address to carry connections to
        #[arg(long, value_name = "IP:PORT")]
        to: SocketAddr,
    },
    /// Part of the local cluster: enforce NetworkPolicies in the network namespace this runs in (a test fixture, not a CNI)
    NetpolEnforce {
        /// Kubeconfig that may watch network policies, pods and namespaces
        #[arg(long, value_name = "FILE")]
        kubeconfig: PathBuf,
    },
}

/// What to do with the local cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Bring the cluster up, or take over the one that runs; writes .cluster/kubeconfig
    Up {
        /// Where the cluster comes from [default: the provider of the last `up` here, else `node`]
        #[arg(long)]
        provider: Option<Provider>,
        /// Registry that images are pushed to (provider `existing`), such as registry.example.com/team
        #[arg(long, required_if_eq("provider", "existing"))]
        registry: Option<String>,
    },
    /// Take the cluster down and leave nothing behind but cached binaries and images
    Down,
    /// Say what runs; exit code 0 when up, 3 when down, 1 when broken
    Status,
}

/// Where a cluster comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Provider {
    /// A real node in its own network namespace, built from Go modules and Debian packages (Linux, as root)
    Node,
    /// The cluster that KUBECONFIG points at; images go to a registry
    Existing,
    /// kind, in the container engine of this machine
    Kind,
}
