//! `xtask cluster …` -> the local cluster (IO).

use std::process::ExitCode;

use crate::args::ClusterCommand;
use crate::paths::Paths;

/// Runs one `cluster` command.
pub(crate) fn run(_command: ClusterCommand, _paths: &Paths) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not yet")
}
