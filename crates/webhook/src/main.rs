//! Arguments -> the running admission webhook (IO).

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    kit::tls::install_crypto_provider();
    kit::telemetry::init();
    match Box::pin(webhook::run::run(webhook::args::Args::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the webhook ends");
            ExitCode::FAILURE
        }
    }
}
