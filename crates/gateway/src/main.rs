//! Command line -> the gateway process (IO).

use std::process::ExitCode;

fn main() -> ExitCode {
    kit::process::main(gateway::run::run)
}
