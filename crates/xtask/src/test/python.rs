//! The Python code of the application image -> its tests, with the image's packages (IO).

use std::path::PathBuf;

use crate::paths::Paths;
use crate::progress::Progress;
use crate::venv;

/// Below the checkout: the image's packages.
const REQUIREMENTS: &str = "deploy/images/jupyter-uv/requirements.txt";
/// Below the checkout: the packages that run the tests.
pub(super) const TESTS: &str = "deploy/images/jupyter-uv/tests/run.py";

/// Python of an environment with the image's packages. It is created in the cache folder when it is missing or has other versions.
///
/// # Errors
/// When pip cannot install one of them on this machine.
pub(super) fn ensure(paths: &Paths, progress: &Progress) -> anyhow::Result<PathBuf> {
    let folder = paths.cache().join("application-tests");
    venv::ensure(&folder, &paths.clone_root().join(REQUIREMENTS), progress)?;
    Ok(folder.join("bin/python"))
}
