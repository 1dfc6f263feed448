//! Arguments -> exit code (IO). The project's own tool: local cluster, images, generated files.

mod apt;
mod args;
mod bench;
mod cluster;
mod components;
mod definitions;
mod demo;
mod exec;
mod forward;
mod generate;
mod images;
mod netpol;
mod paths;
mod progress;
mod registry;
mod release;
mod run;
mod test;
mod venv;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    run::run(args::Args::parse()).unwrap_or_else(|error| run::report(&error))
}
