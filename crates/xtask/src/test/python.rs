//! The application image's own Python -> its tests, with the packages that the image has (IO).

use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::paths::Paths;
use crate::progress::Progress;
use crate::venv;

/// Below the checkout: the image's packages.
const REQUIREMENTS: &str = "deploy/images/jupyter-uv/requirements.txt";
/// Below the checkout: what runs the tests.
pub(super) const TESTS: &str = "deploy/images/jupyter-uv/tests/run.py";

/// Python of an environment with the image's packages, made in the cache folder when it is missing or of other versions.
///
/// # Errors
/// When pip cannot install one of them on this machine.
pub(super) fn ensure(paths: &Paths, progress: &Progress) -> anyhow::Result<PathBuf> {
    let folder = paths.cache().join("application-tests");
    let requirements = paths.clone_root().join(REQUIREMENTS);
    let installed = folder.join("requirements.txt");
    let python = folder.join("bin/python");
    let wanted =
        std::fs::read(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    if std::fs::read(&installed).is_ok_and(|present| present == wanted) && python.exists() {
        return Ok(python);
    }
    let packages = [
        OsStr::new("--require-hashes"),
        OsStr::new("--no-deps"),
        OsStr::new("--requirement"),
        requirements.as_os_str(),
    ];
    venv::install(&folder, packages, progress)?;
    std::fs::write(&installed, wanted)?;
    Ok(python)
}
