//! Address -> the program of the desktop that opens it (IO: a process).

use std::process::Stdio;

use crate::console::Console;
use crate::failure::Failure;
use crate::system;

/// Opens the address, or prints it: where that is asked, and after `otherwise` where it cannot be opened.
pub(super) fn open(
    address: &str,
    is_printed: bool,
    otherwise: &str,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    if !is_printed {
        if launch(address) {
            return Ok(writeln!(console.err, "Opening {address}")?);
        }
        writeln!(console.err, "{otherwise}")?;
    }
    Ok(writeln!(console.out, "{address}")?)
}

/// Asks the desktop to open an address; `false`: it has no way to.
pub(super) fn launch(address: &str) -> bool {
    let Some(mut program) = system::opener() else {
        return false;
    };
    let status = program
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
