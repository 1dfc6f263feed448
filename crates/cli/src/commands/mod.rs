//! Arguments of one command -> its requests and output (IO).
//!
//! | file | command |
//! |---|---|
//! | `create.rs` | `create` |
//! | `list.rs` | `list` |
//! | `open.rs` | `open` |
//! | `available.rs` | name of a workspace -> its URL, started first if asked |
//! | `launch.rs` | address -> the desktop's program for it |
//! | `remote/` | `login`, `logout`, `ssh`, `ssh-config`, `code`, `connect` |
//! | `change.rs` | `start`, `stop`, `restart`, `delete` |
//! | `explain/` | `explain` |
//! | `keep.rs` | `keep` |
//! | `sharing.rs` | `share`, `unshare`, `shares` |
//! | `template.rs` | `template` |
//! | `import.rs` | `import` |
//! | `set.rs`, `logs.rs`, `completion.rs` | `set`, `logs`, `completion` |
//! | `about.rs` | `version`, `whoami` |
//! | `targets.rs` | which workspaces a command is about -> these workspaces |
//! | `identity.rs` | the user, as the API server knows them |

mod about;
mod available;
mod change;
mod completion;
pub(crate) mod create;
mod explain;
mod identity;
mod import;
mod keep;
mod launch;
mod list;
mod logs;
mod open;
pub(crate) mod remote;
mod set;
mod sharing;
mod targets;
mod template;

use ::explain::consequence::Action;

use crate::args::{Cli, Command, DryRun, Start};
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::Failure;

/// Runs a command that needs no cluster; `None`: this one does.
pub(crate) async fn offline(cli: &Cli, console: &mut Console<'_>) -> Option<Result<(), Failure>> {
    Some(match &cli.command {
        Command::Create(flags) if flags.dry_run == DryRun::Client => {
            create::print_manifest(flags, cli.connection.namespace.as_deref(), console)
        }
        Command::Version(args) if args.client => about::version_of_client(args, console),
        Command::Completion(args) => completion::run(args, console),
        Command::Import(args) => import::run(args, console),
        Command::Remote(command) => Box::pin(remote::run(&cli.connection, command, console)).await,
        _ => return None,
    })
}

/// Runs a command. `cluster`: or why there is no connection, which some commands do without or explain.
pub(crate) async fn run(
    cluster: Result<&Cluster, Failure>,
    cli: &Cli,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    match &cli.command {
        Command::Create(flags) => {
            create::run(cluster, flags, cli.connection.namespace.as_deref(), console).await
        }
        Command::List(args) => list::run(cluster?, args, console).await,
        Command::Open(args) => Box::pin(open::run(cluster?, args, console)).await,
        Command::Start(Start { recovery, change }) => {
            let action = if *recovery { Action::Recover } else { Action::Start };
            change::run(cluster?, action, change, console).await
        }
        Command::Stop(args) => change::run(cluster?, Action::Stop, args, console).await,
        Command::Restart(args) => change::run(cluster?, Action::Restart, args, console).await,
        Command::Delete(args) => change::run(cluster?, Action::Delete, args, console).await,
        Command::Explain(args) => Box::pin(explain::run(cluster?, args, console)).await,
        Command::Keep(args) => keep::run(cluster?, args, console).await,
        Command::Share(args) => sharing::share(cluster?, args, console).await,
        Command::Unshare(args) => sharing::unshare(cluster?, args, console).await,
        Command::Shares(args) => sharing::list(cluster?, args, console).await,
        Command::Set(args) => set::run(cluster?, args, console).await,
        Command::Logs(args) => logs::run(cluster?, args, console).await,
        Command::Template(args) => template::run(cluster?, args, console).await,
        Command::Version(args) => about::version(cluster?, &args.shown, console).await,
        Command::Whoami(args) => about::whoami(cluster, args, console).await,
        // These need no cluster.
        Command::Completion(_) | Command::Import(_) | Command::Remote(_) => Ok(()),
    }
}
