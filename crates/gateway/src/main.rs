//! Command line -> the running gateway (IO).

use std::process::ExitCode;

fn main() -> ExitCode {
    kit::tls::install_crypto_provider();
    gateway::run::main()
}
