//! Wheels -> a separate Python environment in the cache folder, for their programs (IO).

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::apt;
use crate::exec::{Cmd, download};
use crate::paths::Paths;
use crate::progress::Progress;

/// The folder `name` in the cache, an environment with the wheels that `requirements` (below the checkout) lists with their hashes. It is
/// created again if the list has changed, or if its Python is gone.
///
/// # Errors
/// When the list cannot be read, or pip cannot install it.
pub(crate) fn ensure(
    paths: &Paths,
    name: &str,
    requirements: &str,
    progress: &Progress,
) -> anyhow::Result<PathBuf> {
    let (folder, requirements) = (paths.cache().join(name), paths.clone_root().join(requirements));
    let installed = folder.join("requirements.txt");
    let wanted =
        fs::read(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    if fs::read(&installed).is_ok_and(|present| present == wanted) && folder.join("bin/python").exists() {
        return Ok(folder);
    }
    let wheels = [
        OsStr::new("--require-hashes"),
        OsStr::new("--no-deps"),
        OsStr::new("--requirement"),
        requirements.as_os_str(),
    ];
    install(&folder, wheels, progress)?;
    // Written last, as a mark that all of it is installed.
    fs::write(&installed, wanted)?;
    Ok(folder)
}

/// Creates the environment again and lets pip install into it, with pip's own arguments.
///
/// # Errors
/// When python3 cannot create environments, or pip does not find a wheel for this machine.
pub(crate) fn install<A: AsRef<OsStr>>(
    folder: &Path,
    arguments: impl IntoIterator<Item = A>,
    progress: &Progress,
) -> anyhow::Result<()> {
    // Debian has this part of Python in its own package.
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
    let arguments: Vec<A> = arguments.into_iter().collect();
    let pip = || {
        Cmd::new(folder.join("bin/pip"))
            .args(["install", "-q", "--only-binary=:all:"])
            .args(&arguments)
            .run()
    };
    download(progress, pip).with_context(|| format!("cannot install into {}", folder.display()))
}
