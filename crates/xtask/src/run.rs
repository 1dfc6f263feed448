//! A parsed command -> a call of its module (wiring, IO).

use std::process::ExitCode;

use crate::args::{Args, Command};
use crate::paths::Paths;
use crate::{cluster, demo, generate, images, test};

/// Runs one command to its end and returns the process's exit code.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let paths = Paths::from_env()?;
    match args.command {
        Command::Cluster { command } => cluster::run(command, &paths),
        Command::Demo { with, command } => demo::run(&with, command.as_ref(), &paths),
        Command::Test { command } => test::test(command.as_ref(), &paths),
        Command::Check => test::check(&paths),
        Command::Gen { check } => generate::run(&paths, check).map(|()| ExitCode::SUCCESS),
        Command::Images {
            release,
            without,
            hub,
        } => images::run(release.as_deref(), &without, hub, &paths),
    }
}

/// Prints the error with all its causes, and returns its exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
