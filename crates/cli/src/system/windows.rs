//! The user's folders, files, streams and other programs <-> Windows (IO).
//!
//! Files in the user's profile inherit its access list, which admits the user, administrators and the system.

use std::env;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::windows::io::AsHandle as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

/// The variable with the user's home folder.
pub(crate) const HOME: &str = "USERPROFILE";
/// The variable with the folder for the state of programs.
pub(crate) const STATE: &str = "LOCALAPPDATA";
/// Patterns of hosts that could end the quotes of `ProxyCommand`, or that a shell would run: the ssh of Git for Windows has one.
pub(crate) const UNSAFE_HOSTS: &str = "\"!* *\" \"!*\t*\" !*$* !*`* !*;* !*&* !*|*";

/// The folder for the state of programs, if `home` is the user's.
pub(crate) fn state_in(home: &Path) -> PathBuf {
    home.join("AppData").join("Local")
}

/// Makes a folder in the user's profile, if it is not there.
pub(crate) fn make_private_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// Makes a new file in the user's profile.
pub(crate) fn make_private_file(file: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(file)
}

/// The folder's access list counts.
pub(crate) fn private_permissions() -> Option<Permissions> {
    None
}

/// The profile's access list counts.
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
pub(crate) fn check_private(_: &Path, _: &Metadata, _: u32) -> anyhow::Result<()> {
    Ok(())
}

/// Name of this computer.
pub(crate) fn computer() -> String {
    let name = env::var_os("COMPUTERNAME").unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Standard input without a buffer.
pub(crate) fn stdin() -> io::Result<File> {
    Ok(File::from(io::stdin().as_handle().try_clone_to_owned()?))
}

/// Standard output without a buffer.
pub(crate) fn stdout() -> io::Result<File> {
    Ok(File::from(io::stdout().as_handle().try_clone_to_owned()?))
}

/// Runs a program and ends with its exit code. Returns why it does not run.
pub(crate) fn become_program(mut program: Command) -> io::Error {
    match program.status() {
        Ok(status) => process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}

/// One word of a program's command line, in which ssh replaces nothing.
pub(crate) fn quote(word: &str) -> Result<String, String> {
    // A backslash before the last quote would escape it. The ssh of Git for Windows passes the line to a shell.
    if word.contains(['"', '$', '`']) || word.ends_with('\\') {
        return Err(format!(
            "{word} must have no quote, `$` or backtick, and no backslash at its end"
        ));
    }
    Ok(format!("\"{}\"", word.replace('%', "%%")))
}

/// The same for a word in which ssh replaces `%h`.
pub(crate) fn quote_pattern(word: &str) -> String {
    format!("\"{word}\"")
}

/// The desktop's program that opens an address.
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
pub(crate) fn opener() -> Option<Command> {
    let mut command = Command::new("rundll32");
    command.arg("url.dll,FileProtocolHandler");
    Some(command)
}
