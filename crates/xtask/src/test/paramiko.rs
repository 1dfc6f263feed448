//! Cache folder -> Python with paramiko, an ssh client beside OpenSSH, installed when missing (IO).

use std::path::PathBuf;

use crate::paths::Paths;
use crate::progress::Progress;
use crate::venv;

/// Below the checkout: the list with the wheels.
const REQUIREMENTS: &str = "e2e/requirements-ssh.txt";

/// Path of the Python in the cache folder. Installs it when it is missing or has other versions.
///
/// # Errors
/// When python3 cannot install a wheel.
pub(super) fn ensure(paths: &Paths, progress: &Progress) -> anyhow::Result<PathBuf> {
    Ok(venv::ensure(paths, "paramiko", REQUIREMENTS, progress)?.join("bin/python"))
}
