//! Command that goes through the gateway -> its requests and output (IO).
//!
//! | file | command |
//! |---|---|
//! | `login.rs`, `callback.rs` | `login`: the browser's answer -> a sign-in |
//! | `logout.rs` | `logout` |
//! | `ssh.rs` | `ssh` |
//! | `ssh_config.rs` | `ssh-config` |
//! | `code.rs` | `code` |
//! | `connect.rs`, `local.rs` | `connect`: requests to this computer -> requests to the workspace |
//! | `destination.rs` | name or URL -> a workspace and the sign-in for it |
//! | `options.rs` | what ssh is told about workspaces |

mod callback;
mod code;
mod connect;
mod destination;
mod local;
mod login;
mod logout;
mod options;
mod ssh;
mod ssh_config;

use crate::args::{Cli, Command};
use crate::console::Console;
use crate::failure::Failure;

/// Whether the command goes through the gateway.
pub(crate) fn is(command: &Command) -> bool {
    matches!(
        command,
        Command::Login(_)
            | Command::Logout(_)
            | Command::Ssh(_)
            | Command::SshConfig(_)
            | Command::Code(_)
            | Command::Connect(_)
    )
}

/// Runs the command.
pub(crate) async fn run(cli: &Cli, console: &mut Console<'_>) -> Result<(), Failure> {
    let flags = &cli.connection;
    match &cli.command {
        Command::Login(args) => login::run(flags, args, console).await,
        Command::Logout(args) => logout::run(args, console).await,
        Command::Ssh(args) => Box::pin(ssh::run(flags, args, console)).await,
        Command::SshConfig(args) => ssh_config::run(flags, args, console),
        Command::Code(args) => Box::pin(code::run(flags, args, console)).await,
        Command::Connect(args) => Box::pin(connect::run(flags, args, console)).await,
        // All others need a cluster.
        _ => Ok(()),
    }
}
