//! Command line -> the portal process (IO).

use std::process::ExitCode;

fn main() -> ExitCode {
    kit::process::main(portal::run::run)
}
