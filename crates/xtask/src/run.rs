//! A parsed command -> the module that does it (wiring, IO).

use std::process::ExitCode;

use crate::args::{Args, Command};
use crate::paths::Paths;
use crate::{cluster, forward, generate, netpol};

/// Runs one command to its end and returns the process's exit code.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let paths = Paths::from_env()?;
    match args.command {
        Command::Cluster { command } => cluster::run(command, &paths),
        Command::Forward { listen, to } => block_on(forward::run(listen, to)),
        Command::Gen { check } => generate::run(&paths, check).map(|()| ExitCode::SUCCESS),
        Command::NetpolEnforce { kubeconfig } => block_on(netpol::run(&kubeconfig)),
    }
}

/// Runs a service that needs an async runtime.
fn block_on(service: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(service)?;
    Ok(ExitCode::SUCCESS)
}
