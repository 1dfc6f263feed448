//! Command line -> typed arguments (pure).

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
    /// Bring up the cluster, install the product on it and create a workspace; says how to open it
    Demo {
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
    /// Write what is generated: the CRDs, docs/api.md, docs/reasons.md and docs/kubectl-workspace.md from the code, and the chart's table
    /// of values from its schema
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
    },
    /// Measure what a decision of the gateway costs, beside a bare server; writes docs/performance.md
    BenchGateway,
    /// Measure requests, websockets and changes of routes through Traefik, with the gateway and without; writes docs/performance.md
    BenchProxy(BenchProxy),
    /// Measure what the operator costs at scale, beside bare objects, on a control plane of its own with fake nodes; writes
    /// docs/performance.md
    BenchOperator(BenchOperator),
    /// Measure what an admission review costs the webhook, beside a bare server, on an API server of its own; writes
    /// docs/performance.md
    BenchWebhook(BenchWebhook),
    /// Measure what the portal and the plugin cost with many workspaces, on an API server of its own; writes docs/performance.md
    BenchPortal(BenchPortal),
}

/// What to run of the tests.
#[derive(Debug, Subcommand)]
pub(crate) enum TestCommand {
    /// Only end-to-end tests, on what `./justw demo` has installed
    E2e {
        /// Filters: tests whose path `suite::module::name` contains one of them [default: all]
        #[arg(value_name = "FILTER")]
        names: Vec<String>,
    },
}

/// How much to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchOperator {
    /// Workspaces of a round; given more than once, so many rounds; 0: no such round
    #[arg(long = "count", value_name = "NUMBER", default_values_t = [200, 1000])]
    pub(crate) counts: Vec<usize>,
    /// Stopped workspaces of the last round, of which only memory is measured; 0: no such round
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    pub(crate) stopped: usize,
    /// Seconds for which nothing is to happen after the workspaces were made; fewer to try something out
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) idle_seconds: u64,
    /// Measure this program in place of a release build made now
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
    /// One more argument for the operator, such as --operator-arg=--concurrency=16
    #[arg(long = "operator-arg", value_name = "ARGUMENT", allow_hyphen_values = true)]
    pub(crate) operator_args: Vec<String>,
    /// Print only; leave docs/performance.md as it is
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Set by the benchmark when it runs itself again in its own network namespace
    #[arg(long, hide = true)]
    pub(crate) inside: bool,
}

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchProxy {
    /// Rounds per figure; fewer to try something out
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Use this build of the gateway's benches in place of a release build made now
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
    /// Print only; leave docs/performance.md as it is
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchWebhook {
    /// Measure this program in place of a release build made now
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
    /// Print only; leave docs/performance.md as it is
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Set by the benchmark when it runs itself again in its own network namespace
    #[arg(long, hide = true)]
    pub(crate) inside: bool,
    /// Set by itself: the load generator
    #[arg(long, hide = true)]
    pub(crate) generator: Option<PathBuf>,
    /// Set by itself: the measured core
    #[arg(long, hide = true, default_value_t = 0)]
    pub(crate) processor: usize,
}

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchPortal {
    /// Workspaces, and shares; fewer to try something out
    #[arg(long, value_name = "NUMBER", default_value_t = 5_000)]
    pub(crate) workspaces: usize,
    /// Namespaces that they are in
    #[arg(long, value_name = "NUMBER", default_value_t = 200)]
    pub(crate) namespaces: usize,
    /// Open lists
    #[arg(long, value_name = "NUMBER", default_value_t = 200)]
    pub(crate) streams: usize,
    /// Seconds for which lists are open without changes, and then with changes
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    pub(crate) seconds: u64,
    /// Rounds per page
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Measure this program in place of a release build made now
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
    /// Measure this plugin in place of a release build made now
    #[arg(long, value_name = "FILE")]
    pub(crate) plugin: Option<PathBuf>,
    /// Use this build of the portal's benches in place of a release build made now
    #[arg(long, value_name = "FILE")]
    pub(crate) generator: Option<PathBuf>,
    /// Measure this part alone
    #[arg(long, value_enum, value_name = "PART", requires = "dry_run")]
    pub(crate) only: Option<BenchPortalPart>,
    /// Print only; leave docs/performance.md as it is
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Set by the benchmark when it runs itself again in its own network namespace
    #[arg(long, hide = true)]
    pub(crate) inside: bool,
}

/// A part of what is measured of the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum BenchPortalPart {
    /// The server's part of pages
    Pages,
    /// Checks of a form
    Forms,
    /// Lists in a browser
    Browser,
    /// Many open lists
    Lists,
    /// The plugin
    Plugin,
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
