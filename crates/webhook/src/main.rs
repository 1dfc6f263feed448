//! Command line -> the webhook process (IO).

use std::process::ExitCode;

fn main() -> ExitCode {
    kit::process::main(webhook::run::run)
}
