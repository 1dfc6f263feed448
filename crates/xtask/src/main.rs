//! Command line -> exit code (IO). The tool of this project: cluster, images, tests.
//!
//! Modules from top to bottom. Each imports only from modules further down (`tests/modules.rs`):
//!
//! - `run`: a command -> a call of its module.
//! - `test`: everything that CI runs.
//! - `demo`: cluster, product and a workspace.
//! - `cluster`: the local cluster.
//! - `images`: container images.
//! - `generate`: files that are generated from the code.
//! - `args`: the command line.
//! - `applications`: the applications that the chart may offer.
//! - `helm`: helm, installed when missing.
//! - `definitions`: what tests need of other projects.
//! - `components`: programs built from Go modules.
//! - `venv`: Python packages.
//! - `apt`: Debian packages.
//! - `exec`: commands of this machine.
//! - `progress`: lines of progress.
//! - `paths`: cache folder and checkout.

mod applications;
mod apt;
mod args;
mod cluster;
mod components;
mod definitions;
mod demo;
mod exec;
mod generate;
mod helm;
mod images;
mod paths;
mod progress;
mod run;
mod test;
mod venv;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    run::run(args::Args::parse()).unwrap_or_else(|error| run::report(&error))
}
