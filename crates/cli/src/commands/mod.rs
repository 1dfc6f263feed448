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
//! | `sharing.rs` | `share`, `unshare`, `shares` |
//! | `template/` | `template` |
//! | `set.rs`, `lint.rs`, `logs.rs`, `completion.rs` | `set`, `lint`, `logs`, `completion` |
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
mod launch;
mod lint;
mod list;
mod logs;
mod open;
pub(crate) mod remote;
mod set;
mod sharing;
mod targets;
mod template;

use ::explain::consequence::Action;

use crate::args::{Cli, Command};
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::Failure;

pub(crate) use about::version_of_client;
pub(crate) use completion::run as completion;
pub(crate) use lint::run as lint;
pub(crate) use template::offline as template_offline;

/// Checks the command line itself, before any request to a cluster.
pub(crate) fn check(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Delete(args) => change::check(Action::Delete, args),
        Command::Explain(args) => explain::check(args),
        Command::Share(args) => sharing::check_share(args),
        Command::Unshare(args) => sharing::check_unshare(args),
        Command::Template(args) => template::check(args),
        _ => Ok(()),
    }
}

/// Without a connection: what the command can do all the same, or why it needs one, where that may surprise.
pub(crate) async fn unconnected(
    command: &Command,
    failure: Failure,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    match command {
        Command::Template(args) => Err(template::unconnected(args, failure)),
        Command::Whoami(args) => about::whoami(Err(failure), args, console).await,
        _ => Err(failure),
    }
}

/// Runs the command.
pub(crate) async fn run(cluster: &Cluster, cli: &Cli, console: &mut Console<'_>) -> Result<(), Failure> {
    match &cli.command {
        Command::Create(flags) => {
            let wanted = create::Wanted::of(flags, cli.connection.namespace.as_deref())?;
            create::run(cluster, flags, &wanted, console).await
        }
        Command::List(args) => list::run(cluster, args, console).await,
        Command::Open(args) => Box::pin(open::run(cluster, args, console)).await,
        Command::Start(args) => change::run(cluster, Action::Start, args, console).await,
        Command::Stop(args) => change::run(cluster, Action::Stop, args, console).await,
        Command::Restart(args) => change::run(cluster, Action::Restart, args, console).await,
        Command::Delete(args) => change::run(cluster, Action::Delete, args, console).await,
        Command::Explain(args) => explain::run(cluster, args, console).await,
        Command::Share(args) => sharing::share(cluster, args, console).await,
        Command::Unshare(args) => sharing::unshare(cluster, args, console).await,
        Command::Shares(args) => sharing::list(cluster, args, console).await,
        Command::Set(args) => set::run(cluster, args, console).await,
        Command::Lint(args) => lint::run(args, console),
        Command::Logs(args) => logs::run(cluster, args, console).await,
        Command::Template(args) => template::run(cluster, args, console).await,
        Command::Version(args) => about::version(cluster, &args.shown, console).await,
        Command::Whoami(args) => about::whoami(Ok(cluster), args, console).await,
        Command::Completion(args) => completion::run(args, console),
        Command::Login(_)
        | Command::Logout(_)
        | Command::Ssh(_)
        | Command::SshConfig(_)
        | Command::Code(_)
        | Command::Connect(_) => remote::run(cli, console).await,
    }
}
