//! Wheels -> a Python environment of their own in the cache folder, for the programs in them (IO).

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Context as _;

use crate::apt;
use crate::exec::Cmd;
use crate::progress::Progress;

/// Makes the environment anew and lets pip install into it, with pip's own arguments.
///
/// # Errors
/// When python3 cannot make environments, or pip does not find a wheel for this machine.
pub(crate) fn install<A: AsRef<OsStr>>(
    folder: &Path,
    arguments: impl IntoIterator<Item = A>,
    progress: &Progress,
) -> anyhow::Result<()> {
    // Debian has this part of Python in a package of its own.
    if !Cmd::new("python3")
        .args(["-c", "import ensurepip, venv"])
        .succeeds()
    {
        apt::ensure(&["python3-venv"], progress)?;
    }
    progress.line(format_args!("installing into {}", folder.display()));
    Cmd::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(folder)
        .run()?;
    let pip = Cmd::new(folder.join("bin/pip"))
        .args(["install", "-q", "--only-binary=:all:"])
        .args(arguments);
    pip.run()
        .with_context(|| format!("cannot install into {}", folder.display()))
}
