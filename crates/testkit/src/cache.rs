//! Environment -> the cache folder of the project's tool (reads the environment, otherwise pure).

use std::env;
use std::path::PathBuf;

/// `$JUPYTER_K8S_CACHE`, else `~/.cache/jupyter-k8s`; an empty path without either variable.
pub fn folder() -> PathBuf {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let home = || Some(PathBuf::from(variable("HOME")?).join(".cache/jupyter-k8s"));
    let cache = variable("JUPYTER_K8S_CACHE").map(PathBuf::from);
    cache.or_else(home).unwrap_or_default()
}
