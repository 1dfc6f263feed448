//! Command line -> the gateway process (IO).

use std::process::ExitCode;

use gateway::audit::command;

fn main() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == command::NAME)
    {
        return kit::process::main(command::run);
    }
    kit::process::main(gateway::run::run)
}
