//! Arguments -> all requests and output of a command (IO).

use crate::args::{Cli, Command, CreateArgs, DryRun};
use crate::cluster::Cluster;
use crate::commands;
use crate::commands::create::Wanted;
use crate::console::Console;
use crate::failure::Failure;

/// Runs `kubectl create workspace`.
pub async fn create(args: &CreateArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let wanted = Wanted::of(&args.flags, args.connection.namespace.as_deref())?;
    if args.flags.dry_run == DryRun::Client {
        return commands::create::print_manifest(&args.flags, &wanted, console);
    }
    let cluster = Cluster::connect(&args.connection).await?;
    let outcome = commands::create::run(&cluster, &args.flags, &wanted, console).await;
    finish(&cluster, outcome, console)
}

/// The same, with a cluster that is connected.
pub async fn create_with(
    cluster: &Cluster,
    args: &CreateArgs,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let wanted = Wanted::of(&args.flags, args.connection.namespace.as_deref())?;
    let outcome = commands::create::run(cluster, &args.flags, &wanted, console).await;
    finish(cluster, outcome, console)
}

/// Runs `kubectl workspace`.
pub async fn workspace(cli: &Cli, console: &mut Console<'_>) -> Result<(), Failure> {
    if let Command::Create(flags) = &cli.command {
        let args = CreateArgs {
            flags: flags.as_ref().clone(),
            connection: cli.connection.clone(),
        };
        return create(&args, console).await;
    }
    if let Command::Lint(args) = &cli.command {
        return commands::lint(args, console);
    }
    if let Command::Template(args) = &cli.command
        && let Some(outcome) = commands::template_offline(args, console).await
    {
        return outcome;
    }
    if let Command::Version(args) = &cli.command
        && args.client
    {
        return commands::version_of_client(args, console);
    }
    if let Command::Completion(args) = &cli.command {
        return commands::completion(args, console);
    }
    if commands::remote::is(&cli.command) {
        let outcome = commands::remote::run(cli, console).await;
        console.out.flush()?;
        return outcome;
    }
    commands::check(&cli.command)?;
    match Cluster::connect(&cli.connection).await {
        Ok(cluster) => workspace_with(&cluster, cli, console).await,
        Err(failure) => {
            let outcome = commands::unconnected(&cli.command, failure, console).await;
            console.out.flush()?;
            outcome
        }
    }
}

/// The part of [`workspace`] that talks to a cluster.
pub async fn workspace_with(cluster: &Cluster, cli: &Cli, console: &mut Console<'_>) -> Result<(), Failure> {
    let outcome = Box::pin(commands::run(cluster, cli, console)).await;
    finish(cluster, outcome, console)
}

fn finish(cluster: &Cluster, outcome: Result<(), Failure>, console: &mut Console<'_>) -> Result<(), Failure> {
    cluster.show_notes(&mut console.err)?;
    console.out.flush()?;
    outcome
}
