//! A parsed command -> the module that does it (wiring, IO).

use std::process::ExitCode;

use crate::args::{Args, Command};
use crate::cluster;
use crate::paths::Paths;

/// Runs one command to its end and returns the process's exit code.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let paths = Paths::from_env()?;
    match args.command {
        Command::Cluster { command } => cluster::run(command, &paths),
    }
}
