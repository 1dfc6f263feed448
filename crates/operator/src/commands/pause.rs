//! SIGTERM -> the end of a process that does nothing else (IO).
//!
//! Pods run it that only have to be on a node.

use clap::Parser;

use crate::plan::PAUSE;

/// Name of the command, as the first argument.
pub const NAME: &str = PAUSE;

/// Waits until it is told to end.
#[derive(Clone, Debug, Parser)]
#[command(name = "jupyter-k8s-operator", version)]
pub struct Pause {
    /// The command.
    #[arg(value_parser = [NAME])]
    command: String,
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// The handlers of these signals cannot be installed.
pub async fn run(_: Pause) -> anyhow::Result<()> {
    kit::shutdown::on_signal()?.cancelled().await;
    Ok(())
}
