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

use crate::args::{Connection, Remote};
use crate::console::Console;
use crate::failure::Failure;

/// Runs the command.
pub(crate) async fn run(
    flags: &Connection,
    command: &Remote,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    match command {
        Remote::Login(args) => login::run(flags, args, console).await,
        Remote::Logout(args) => logout::run(args, console).await,
        Remote::Ssh(args) => Box::pin(ssh::run(flags, args, console)).await,
        Remote::SshConfig(args) => ssh_config::run(flags, args, console),
        Remote::Code(args) => Box::pin(code::run(flags, args, console)).await,
        Remote::Connect(args) => Box::pin(connect::run(flags, args, console)).await,
    }
}
