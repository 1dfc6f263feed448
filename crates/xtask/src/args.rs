//! Command line -> typed arguments (pure).

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand, ValueEnum};

use crate::applications;

/// Stands for all images of applications.
pub(crate) const ALL: &str = "all";

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
    /// Bring up the cluster, install the product on it and create a workspace; says how to open it
    #[command(args_conflicts_with_subcommands = true)]
    Demo {
        /// Images of applications to offer beside JupyterLab, joined by commas. A running demo keeps those that it has
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        #[arg(value_parser = PossibleValuesParser::new(applications::images().into_iter().chain([ALL])))]
        with: Vec<String>,
        #[command(subcommand)]
        command: Option<DemoCommand>,
    },
    /// Run everything that must pass
    Test {
        #[command(subcommand)]
        command: Option<TestCommand>,
    },
    /// Run the checks that need no cluster
    Check,
    /// Write what is generated: the CRDs, docs/api.md, docs/reasons.md and docs/kubectl-workspace.md from the code, the chart's table of
    /// values from its schema, and the lists of applications from applications.yaml
    Gen {
        /// Change nothing; fail when a file is stale
        #[arg(long)]
        check: bool,
    },
    /// Build the images whose sources have changed, as archives in the cache folder, and print their names
    Images {
        /// Build those of a release, with the kubectl plugin, into this folder for deploy/publish.sh: optimised
        #[arg(long, value_name = "DIR")]
        release: Option<PathBuf>,
        /// Images of applications that the release does without, joined by commas
        #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "release")]
        #[arg(value_parser = PossibleValuesParser::new(applications::images()))]
        without: Vec<String>,
        /// Also those of deploy/samples/jupyterhub: JupyterHub, its proxy, and JupyterLab as its server
        #[arg(long)]
        hub: bool,
    },
}

/// What to run of the tests.
#[derive(Debug, Subcommand)]
pub(crate) enum TestCommand {
    /// Only the tests without a cluster, with the programs that they need
    Crates {
        /// Filters: tests whose path contains one of them; without Python's then [default: all]
        #[arg(value_name = "FILTER")]
        names: Vec<String>,
    },
    /// Only end-to-end tests, on what `./justw demo` has installed
    E2e {
        /// Filters: tests whose path `suite::module::name` contains one of them [default: all]
        #[arg(value_name = "FILTER")]
        names: Vec<String>,
    },
}

/// What to do with the demo.
#[derive(Debug, Subcommand)]
pub(crate) enum DemoCommand {
    /// Remove all of it, the cluster too
    Down,
}

/// What to do with the local cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Bring the cluster up, or take over the one that runs; writes .cluster/kubeconfig
    Up {
        /// Where the cluster comes from [default: the provider of the last `up` here, else `node`]
        #[arg(long)]
        provider: Option<Provider>,
    },
    /// Take the cluster down and leave nothing behind but cached binaries and images
    Down,
    /// Show the cluster's nodes
    Status,
    /// Load images that are new in the cache folder into the running cluster
    Import,
    /// Simulate nodes with kwok, on the running cluster: each that is annotated kwok.x-k8s.io/node=fake becomes live (provider `node`)
    Kwok {
        /// Fake nodes to make, tainted kwok.x-k8s.io/node=fake:NoSchedule and labelled type=kwok
        #[arg(long, default_value_t = 0)]
        nodes: u32,
    },
    /// Print a kubeconfig with a client certificate for a user
    Kubeconfig {
        /// User name as the cluster is to see it
        #[arg(long)]
        user: String,
        /// A group the user is to be in
        #[arg(long)]
        group: Option<String>,
    },
}

/// Where a cluster comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Provider {
    /// A real node in its own network namespace, built from Go modules and Debian packages (Linux, as root)
    Node,
    /// kind, in the container engine of this machine; untried by CI
    Kind,
}
