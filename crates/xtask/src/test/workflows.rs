//! Workflows of CI -> findings of actionlint and zizmor, installed when missing (IO).

use super::Run;
use crate::components::ACTIONLINT;
use crate::venv;

/// Below the checkout: the workflows.
const WORKFLOWS: &str = ".github/workflows";
/// Below the checkout: the wheel of zizmor.
const REQUIREMENTS: &str = "crates/xtask/components/zizmor/requirements.txt";

/// Checks syntax and expressions, and that nothing is unpinned, has needless permissions or runs text of others.
///
/// # Errors
/// When a tool cannot be installed, or finds something.
pub(super) fn check(run: &mut Run<'_>) -> anyhow::Result<()> {
    let actionlint = ACTIONLINT.ensure(run.paths, &run.progress)?;
    // Without the programs that it runs only where they happen to be installed.
    let alike = ["-shellcheck=", "-pyflakes="];
    run.stream(&actionlint.display().to_string(), &alike, &[])?;
    let folder = venv::ensure(run.paths, "zizmor", REQUIREMENTS, &run.progress)?;
    let zizmor = folder.join("bin/zizmor").display().to_string();
    let arguments = [
        "--offline",
        "--no-progress",
        "--persona=pedantic",
        "--strict-collection",
        WORKFLOWS,
    ];
    run.stream(&zizmor, &arguments, &[])
}
