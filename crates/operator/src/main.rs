//! Command line -> the operator process (IO).

use std::process::ExitCode;

fn main() -> ExitCode {
    kit::process::main(operator::run::run)
}
