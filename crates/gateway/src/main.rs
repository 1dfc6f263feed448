//! Command line -> the gateway process (IO).

use std::process::ExitCode;

use gateway::{check, run};

fn main() -> ExitCode {
    match std::env::args_os().nth(1) {
        Some(first) if first == check::NAME => kit::process::main(check::run),
        _ => kit::process::main(run::run),
    }
}
