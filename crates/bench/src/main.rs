//! Servers, cluster with the product -> figures in docs/evidence/performance.md (IO).
//!
//! The modules, from top to bottom. Each imports only modules below it:
//!
//! - `stops`: when idle workspaces stop, on a cluster with fake nodes
//! - `operator`: workspaces beside a client that makes their children, on a cluster with fake nodes
//! - `ssh`: ssh into a workspace beside `kubectl exec`
//! - `click`: the portal's buttons in a browser, until a cell's result
//! - `hub`: our spawner beside `KubeSpawner`, in a real JupyterHub
//! - `servers`: gateway, webhook, portal and door beside a bare server, one processor for each side
//! - `served`: what such a server process runs
//! - `full_template`: a template that uses everything, made from a plain one
//! - `load`: a server process and h2load -> processor time and durations
//! - `page`: figures -> tables in docs/evidence/performance.md

mod click;
mod full_template;
mod hub;
mod load;
mod operator;
mod page;
mod served;
mod servers;
mod ssh;
mod stops;

use std::env;

use clap::{Parser, Subcommand, ValueEnum};

use self::page::Page;

/// Measures the product beside references, and writes docs/evidence/performance.md.
#[derive(Debug, Parser)]
struct Args {
    /// Measure this part alone; may be given more than once
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
    #[command(flatten)]
    operator: operator::Args,
    #[command(flatten)]
    ssh: ssh::Args,
    #[command(flatten)]
    stops: stops::Args,
    /// Rounds of each side; fewer to try something out
    #[arg(long, value_name = "NUMBER", default_value_t = 4)]
    rounds: usize,
    /// Print only; leave docs/evidence/performance.md as it is
    #[arg(long)]
    dry_run: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What the benchmark starts itself: one server
    #[command(hide = true)]
    Serve(served::Args),
}

/// A part of what is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Decisions of the gateway
    Gateway,
    /// Admission reviews
    Webhook,
    /// Lists of the portal
    Portal,
    /// The door of images
    Door,
    /// Spawners of JupyterHub, with an API server of their own
    Hub,
    /// Workspaces on the cluster of KUBECONFIG, which has the product and kwok
    Operator,
    /// Stops of idle workspaces there; only if `--stops` is a number
    Stops,
    /// A browser with the installation of `JUPYTER_K8S_E2E`; only if it is set
    Click,
    /// ssh into the workspace of `--ssh-host`; only if it is named
    Ssh,
}

fn main() -> anyhow::Result<()> {
    kit::tls::install_crypto_provider();
    // As in the servers: without it, what libraries trace at every step is looked at.
    kit::telemetry::init();
    let args = Args::parse();
    // One thread: each server has one processor.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if let Some(Command::Serve(args)) = args.command {
        return runtime.block_on(served::run(args));
    }
    let mut page = Page::read()?;
    let parts = Part::value_variants().iter();
    for part in parts.filter(|part| args.only.is_empty() || args.only.contains(part)) {
        let (name, figures) = match part {
            Part::Gateway => ("gateway", servers::gateway(args.rounds)?),
            Part::Webhook => ("webhook", servers::webhook(args.rounds)?),
            Part::Portal => ("portal", servers::portal(args.rounds)?),
            Part::Door => ("door", servers::door(args.rounds)?),
            Part::Hub => ("hub", hub::measure(args.rounds)?),
            Part::Click if env::var_os("JUPYTER_K8S_E2E").is_none() => continue,
            Part::Click => ("click", runtime.block_on(click::measure(args.rounds))?),
            Part::Ssh if args.ssh.is_absent() => continue,
            Part::Ssh => ("ssh", ssh::measure(&args.ssh, args.rounds)?),
            Part::Stops if args.stops.is_absent() => continue,
            Part::Stops => {
                let measured = stops::measure(&args.stops, &args.operator);
                ("stops", runtime.block_on(measured)?)
            }
            Part::Operator => {
                let measured = operator::measure(&args.operator, args.rounds);
                ("operator", runtime.block_on(measured)?)
            }
        };
        page.put(name, &figures)?;
        if !args.dry_run {
            page.write()?;
        }
    }
    Ok(())
}
