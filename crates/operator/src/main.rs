//! Command line -> the operator process (IO).

use std::process::ExitCode;

fn main() -> ExitCode {
    kit::process::main_on_one_thread(operator::run::run)
}
