//! Address -> the program of the desktop that opens it (IO: a process).

use std::process::{Command, Stdio};

use crate::console::Console;
use crate::failure::Failure;

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
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    // Without a display, xdg-open would open a browser in the terminal.
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if program == "xdg-open" && !has_display {
        return false;
    }
    let status = Command::new(program)
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
