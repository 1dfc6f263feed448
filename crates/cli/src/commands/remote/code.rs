//! Workspace -> an address that an editor on this computer opens by ssh (IO).

use rules::names::{SSH_SUFFIX, editor_url};

use super::super::launch;
use super::destination::Destination;
use super::ssh_config::Files;
use crate::args::{Code, Connection};
use crate::cluster::kubeconfig;
use crate::console::Console;
use crate::failure::Failure;

/// Opens a folder of a workspace in an editor.
pub(super) async fn run(flags: &Connection, args: &Code, console: &mut Console<'_>) -> Result<(), Failure> {
    let files = Files::of_user()?;
    let found = Box::pin(Destination::find(
        flags,
        &args.name,
        args.waiting,
        "code",
        console,
    ))
    .await?;
    if !files.covers(&found.host) {
        return Err(Failure::Usage(format!(
            "editors do not find {} yet: run kubectl workspace ssh-config, then this command again",
            found.host
        )));
    }
    // The editor's ssh goes where ssh-config said, also if another context is current now.
    if found.host.ends_with(SSH_SUFFIX) && !files.leads_as(&kubeconfig::in_force(flags)?.flags) {
        return Err(Failure::Usage(format!(
            "editors would look for {} in another cluster, the one that was in force when kubectl workspace ssh-config ran: run it again, \
             with the flags of this command, then this command again",
            found.host
        )));
    }
    let address = editor_url(&args.editor, &found.host, &args.folder);
    let otherwise = format!(
        "The editor could not be opened. Open this address, or connect to the host {}:",
        found.host
    );
    launch::open(&address, args.print, &otherwise, console)
}
