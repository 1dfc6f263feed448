//! Types of the API, schema of the chart's values -> generated files (IO).
//!
//! | file | writes |
//! |---|---|
//! | `mod` | the chart's CRDs |
//! | `api_reference` | docs/api.md |
//! | `commands` | docs/kubectl-workspace.md |
//! | `reasons` | docs/reasons.md |
//! | `chart_values` | the chart's README.md |

mod api_reference;
mod chart_values;
mod commands;
mod reasons;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, bail};

use crate::paths::Paths;

const HEADER: &str = "# Generated from crates/api by `./justw gen`; do not edit.\n";

/// Writes every generated file. With `check`, it fails and names the files that differ.
///
/// # Errors
/// When a file cannot be read or written, or `check` finds a difference.
pub(crate) fn run(paths: &Paths, check: bool) -> anyhow::Result<()> {
    let mut stale = Vec::new();
    for (path, content) in files(paths)? {
        let target = paths.clone_root().join(&path);
        if fs::read_to_string(&target).is_ok_and(|current| current == content) {
            continue;
        }
        if check {
            stale.push(path.display().to_string());
            continue;
        }
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::write(&target, content).with_context(|| format!("cannot write {}", target.display()))?;
        println!("wrote {}", path.display());
    }
    if !stale.is_empty() {
        bail!(
            "generated files are stale: {}; run `./justw gen` and commit them",
            stale.join(", ")
        );
    }
    Ok(())
}

/// Path below the checkout -> content.
fn files(paths: &Paths) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let chart = |file: &str| {
        let path = paths.clone_root().join("charts/jupyter-k8s").join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let schema = serde_json::from_str(&chart("values.schema.json")?).context("values.schema.json")?;
    let values = serde_saphyr::from_str(&chart("values.yaml")?).context("values.yaml")?;
    let crds = api::crds();
    let mut files = vec![
        ("docs/api.md".into(), api_reference::render(&crds)?),
        ("docs/reasons.md".into(), reasons::render()?),
        ("docs/kubectl-workspace.md".into(), commands::render()?),
        (
            "charts/jupyter-k8s/README.md".into(),
            chart_values::render(&schema, &values)?,
        ),
    ];
    for crd in crds {
        let path = format!("charts/jupyter-k8s/crds/{}.yaml", crd.spec.names.plural);
        // `helm show crds` prints the files in sequence.
        files.push((
            path.into(),
            format!("{HEADER}---\n{}", serde_saphyr::to_string(&crd)?),
        ));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_files_are_fresh() {
        run(&Paths::from_env().unwrap(), true).unwrap();
    }
}
