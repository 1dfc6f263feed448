//! A chart -> its CRDs, operator and webhook, as files for `kubectl apply` (IO: runs `helm`).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::chart::NAME;
use crate::exec::Cmd;

/// Namespace of the objects.
const NAMESPACE: &str = "jupyter-k8s-system";
/// Values of the rendering, in the chart's folder.
const VALUES: &str = "ci/install-values.yaml";

/// The chart's CRDs in one file.
///
/// # Errors
/// When they cannot be read.
pub(super) fn crds(chart: &Path) -> anyhow::Result<String> {
    let folder = chart.join("crds");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<PathBuf>>>()?;
    files.sort();
    let texts = files.iter().map(|file| {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(format!("---\n{}\n", text.trim_end()))
    });
    texts.collect()
}

/// The objects of a cluster where another gateway and proxy serve workspaces: namespace, CRDs, operator and webhook.
///
/// # Errors
/// When the packaged chart does not render.
pub(super) fn install(helm: &Path, package: &Path, chart: &Path) -> anyhow::Result<String> {
    let rendered = Cmd::new(helm)
        .args(["template", NAME])
        .arg(package)
        .args([
            "--namespace",
            NAMESPACE,
            "--include-crds",
            "--no-hooks",
            "--values",
        ])
        .arg(chart.join(VALUES))
        .output()?;
    Ok(rendered + "\n")
}
