//! Command line -> the door's process (IO).

use std::process::ExitCode;

fn main() -> ExitCode {
    door::run::main()
}
