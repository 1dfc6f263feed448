//! Command line -> the operator process (IO).

use clap::Parser as _;
use operator::{args::Args, run};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is already installed"))?;
    kit::telemetry::init();
    run::run(Args::parse()).await
}
