//! Arguments -> exit code (IO). The project's own tool: local cluster, images, generated files.

mod apt;
mod args;
mod cluster;
mod exec;
mod forward;
mod generate;
mod netpol;
mod paths;
mod progress;
mod run;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match run::run(args::Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
