//! Arguments -> all requests and output of a command (IO).

use crate::args::Cli;
use crate::cluster::{Cluster, Stdin};
use crate::commands;
use crate::console::Console;
use crate::failure::Failure;

/// Runs a command, with the cluster of its flags if it needs one.
pub async fn workspace(cli: &Cli, console: &mut Console<'_>) -> Result<(), Failure> {
    let outcome = if let Some(outcome) = commands::offline(cli, console).await {
        outcome
    } else {
        let stdin = if cli.command.reads_stdin() {
            Stdin::InUse
        } else {
            Stdin::Free
        };
        match Cluster::connect(&cli.connection, stdin).await {
            Ok(cluster) => return workspace_with(&cluster, cli, console).await,
            Err(failure) => Box::pin(commands::run(Err(failure), cli, console)).await,
        }
    };
    console.out.flush()?;
    outcome
}

/// Runs a command that needs a cluster, with this one.
pub async fn workspace_with(cluster: &Cluster, cli: &Cli, console: &mut Console<'_>) -> Result<(), Failure> {
    let outcome = Box::pin(commands::run(Ok(cluster), cli, console)).await;
    cluster.show_notes(&mut console.err)?;
    console.out.flush()?;
    outcome
}
