//! Workspace -> an address that an editor on this computer opens by ssh (IO).

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::super::launch::launch;
use super::destination::Destination;
use super::ssh_config::Files;
use crate::args::{Code, Connection};
use crate::console::Console;
use crate::failure::Failure;

/// What a path in an address must not hold as it is.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`');

/// Opens a folder of a workspace in an editor.
pub(super) async fn run(flags: &Connection, args: &Code, console: &mut Console<'_>) -> Result<(), Failure> {
    let files = Files::of_user()?;
    let waiting = (args.start, args.timeout);
    let found = Box::pin(Destination::find(flags, &args.name, waiting, "code", console)).await?;
    if !files.covers(&found.host) {
        return Err(Failure::Usage(format!(
            "editors do not find {} yet: run kubectl workspace ssh-config, then this command again",
            found.host
        )));
    }
    let folder = utf8_percent_encode(&args.folder, PATH);
    let address = format!(
        "{}://vscode-remote/ssh-remote+{}{folder}",
        args.editor, found.host
    );
    if !args.print && launch(&address) {
        writeln!(console.err, "Opening {address}")?;
        return Ok(());
    }
    if !args.print {
        writeln!(
            console.err,
            "The editor could not be opened. Open this address, or connect to the host {}:",
            found.host
        )?;
    }
    Ok(writeln!(console.out, "{address}")?)
}
