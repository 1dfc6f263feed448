//! Types of the API, schema of the chart's values -> generated files (IO).
//!
//! | file | writes |
//! |---|---|
//! | `mod` | the chart's CRDs |
//! | `api_reference` | docs/api.md |
//! | `commands` | docs/kubectl-workspace.md |
//! | `reasons` | docs/reasons.md |
//! | `chart_values` | the chart's README.md |
//! | `applications` | lists of applications in values.yaml, values.schema.json, docs/images.md and docs/install.md |

mod api_reference;
mod applications;
mod chart_values;
mod commands;
mod reasons;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, bail};

use crate::paths::Paths;

const HEADER: &str = "# Generated from crates/api by `./justw gen`; do not edit.\n";
const SCHEMA: &str = "charts/jupyter-k8s/values.schema.json";
const VALUES: &str = "charts/jupyter-k8s/values.yaml";

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
    let read = |file: &str| {
        let path = paths.clone_root().join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let schema_text = applications::schema(&read(SCHEMA)?).context(SCHEMA)?;
    let values_text = applications::values(&read(VALUES)?).context(VALUES)?;
    let schema = serde_json::from_str(&schema_text).context(SCHEMA)?;
    let values = serde_saphyr::from_str(&values_text).context(VALUES)?;
    let (images_page, install_page) = ("docs/images.md", "docs/install.md");
    let crds = api::crds();
    let mut files = vec![
        ("docs/api.md".into(), api_reference::render(&crds)?),
        ("docs/reasons.md".into(), reasons::render()?),
        ("docs/kubectl-workspace.md".into(), commands::render()?),
        (
            "charts/jupyter-k8s/README.md".into(),
            chart_values::render(&schema, &values)?,
        ),
        (SCHEMA.into(), schema_text),
        (VALUES.into(), values_text),
        (
            images_page.into(),
            applications::images_page(&read(images_page)?).context(images_page)?,
        ),
        (
            install_page.into(),
            applications::install_page(&read(install_page)?).context(install_page)?,
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
