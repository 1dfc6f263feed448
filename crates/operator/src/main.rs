//! Command line -> the operator process, or one of its maintenance commands (IO).

use std::process::ExitCode;

use operator::commands::{apply_crds, pause, prepare_uninstall};

fn main() -> ExitCode {
    match std::env::args_os()
        .nth(1)
        .as_deref()
        .and_then(|first| first.to_str())
    {
        Some(apply_crds::NAME) => kit::process::main_on_one_thread(apply_crds::run),
        Some(prepare_uninstall::NAME) => kit::process::main_on_one_thread(prepare_uninstall::run),
        Some(pause::NAME) => kit::process::main_on_one_thread(pause::run),
        _ => kit::process::main_on_one_thread(operator::run::run),
    }
}
