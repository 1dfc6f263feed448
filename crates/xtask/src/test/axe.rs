//! Cache folder -> axe-core, which checks pages in a browser, installed when missing (IO).

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::paths::Paths;
use crate::progress::Progress;
use crate::venv;

/// Below the checkout: the list with the wheel.
const REQUIREMENTS: &str = "e2e/requirements.txt";
/// Below the folder of a Python version.
const SCRIPT: &str = "site-packages/axe_playwright_python/axe.min.js";

/// Path of the script in the cache folder. Installs it when it is missing or has another version.
///
/// # Errors
/// When python3 cannot install the wheel.
pub(super) fn ensure(paths: &Paths, progress: &Progress) -> anyhow::Result<PathBuf> {
    let versions = venv::ensure(paths, "axe", REQUIREMENTS, progress)?.join("lib");
    let entries = fs::read_dir(&versions).with_context(|| format!("cannot read {}", versions.display()))?;
    let mut scripts = entries.filter_map(|version| Some(version.ok()?.path().join(SCRIPT)));
    let script = scripts.find(|script| script.exists());
    script.with_context(|| format!("the wheel of {REQUIREMENTS} has no {SCRIPT}"))
}
