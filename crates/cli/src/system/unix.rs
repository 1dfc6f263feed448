//! The user's folders, files, streams and other programs <-> Linux and macOS (IO).

use std::env;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

/// The variable with the user's home folder.
pub(crate) const HOME: &str = "HOME";
/// The variable with the folder for the state of programs.
pub(crate) const STATE: &str = "XDG_STATE_HOME";
/// Patterns of hosts that could end the quotes of `ProxyCommand`.
pub(crate) const UNSAFE_HOSTS: &str = "\"!*'*\"";

/// The folder for the state of programs, if `home` is the user's.
pub(crate) fn state_in(home: &Path) -> PathBuf {
    home.join(".local/state")
}

/// Makes a folder that only the user can read, if it is not there.
pub(crate) fn make_private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes a new file that only the user can read.
pub(crate) fn make_private_file(file: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
}

/// Permissions of a file that only the user can read.
#[expect(clippy::unnecessary_wraps, reason = "Windows has none")]
pub(crate) fn private_permissions() -> Option<Permissions> {
    Some(Permissions::from_mode(0o600))
}

/// Refuses what others can read or own. `mode`: what to set.
pub(crate) fn check_private(path: &Path, found: &Metadata, mode: u32) -> anyhow::Result<()> {
    let path = path.display();
    if found.uid() != rustix::process::geteuid().as_raw() {
        bail!(
            "{path} belongs to another user ({}), who could read your sign-in: remove it, or set $XDG_STATE_HOME to a folder of your own",
            found.uid()
        );
    }
    if found.mode() & 0o077 != 0 {
        bail!(
            "{path} must not be open to others, because it holds your sign-in; its mode is {:03o}: run chmod {mode:03o} {path}",
            found.mode() & 0o777
        );
    }
    Ok(())
}

/// Name of this computer.
pub(crate) fn computer() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Standard input without a buffer.
pub(crate) fn stdin() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Standard output without a buffer.
pub(crate) fn stdout() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Lets a program take the place of this one, so signals and exit code are its own. Returns why it does not.
pub(crate) fn become_program(mut program: Command) -> io::Error {
    program.exec()
}

/// One word of the command that ssh gives to a shell, in which ssh replaces nothing.
#[expect(clippy::unnecessary_wraps, reason = "Windows cannot quote every word")]
pub(crate) fn quote(word: &str) -> Result<String, String> {
    Ok(format!("'{}'", word.replace('\'', "'\\''").replace('%', "%%")))
}

/// The same for a word in which ssh replaces `%h`.
pub(crate) fn quote_pattern(word: &str) -> String {
    format!("'{word}'")
}

/// The desktop's program that opens an address; none: there is no desktop.
pub(crate) fn opener() -> Option<Command> {
    if cfg!(target_os = "macos") {
        return Some(Command::new("open"));
    }
    // Without a display, xdg-open would open a browser in the terminal.
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    has_display.then(|| Command::new("xdg-open"))
}
