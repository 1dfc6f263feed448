//! Arguments of one command -> its requests and output (IO).
//!
//! | file | command |
//! |---|---|
//! | `create.rs` | `create` |
//! | `list.rs` | `list` |
//! | `open.rs` | `open` |
//! | `change.rs` | `start`, `stop`, `restart`, `delete` |
//! | `targets.rs` | which workspaces a command is about -> these workspaces |
//! | `identity.rs` | who asks, as the API server knows them |

mod change;
pub(crate) mod create;
mod identity;
mod list;
mod open;
mod targets;

use crate::args::{Cli, Command};
use crate::cluster::Cluster;
use crate::consequence::Action;
use crate::failure::Failure;
use crate::run::Console;

/// Runs the command.
pub(crate) async fn run(cluster: &Cluster, cli: &Cli, console: &mut Console<'_>) -> Result<(), Failure> {
    match &cli.command {
        Command::Create(flags) => {
            create::run(cluster, flags, cli.connection.namespace.as_deref(), console).await
        }
        Command::List(args) => list::run(cluster, args, console).await,
        Command::Open(args) => open::run(cluster, args, console).await,
        Command::Start(args) => change::run(cluster, Action::Start, args, console).await,
        Command::Stop(args) => change::run(cluster, Action::Stop, args, console).await,
        Command::Restart(args) => change::run(cluster, Action::Restart, args, console).await,
        Command::Delete(args) => change::run(cluster, Action::Delete, args, console).await,
    }
}
