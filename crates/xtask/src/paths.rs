//! Environment -> the folders and files of the tool (reads the environment, otherwise pure).

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// Environment variable with the path of the cache folder.
pub(crate) const CACHE_VARIABLE: &str = "JUPYTER_K8S_CACHE";

/// The two roots: the cache of this machine, shared by all checkouts, and this checkout.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    cache: PathBuf,
    clone: PathBuf,
}

impl Paths {
    /// Cache from `$JUPYTER_K8S_CACHE`, else `~/.cache/jupyter-k8s`. Checkout from the folder where cargo runs the tool, else where it was
    /// built: checkouts that share a target folder may share the tool as well.
    ///
    /// # Errors
    /// When the variable is not an absolute path, or neither it nor `HOME` is set.
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        let variable = |name: &str| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let home = || variable("HOME").map(|home| home.join(".cache/jupyter-k8s"));
        let cache = variable(CACHE_VARIABLE).or_else(home);
        let cache = cache.with_context(|| format!("neither {CACHE_VARIABLE} nor HOME is set"))?;
        ensure!(
            cache.is_absolute(),
            "{CACHE_VARIABLE} must be an absolute path, not `{}`",
            cache.display()
        );
        let package = variable("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        // crates/xtask -> the workspace's root
        let clone = package.ancestors().nth(2).map(Path::to_path_buf);
        Ok(Self {
            cache,
            clone: clone.context("the tool was built outside a checkout")?,
        })
    }

    /// The cache folder itself.
    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    /// The checkout's root.
    pub(crate) fn clone_root(&self) -> &Path {
        &self.clone
    }

    /// Built binaries; current ones have a plain name (`kubectl`) that links to the one named by its inputs' hash.
    pub(crate) fn bin(&self) -> PathBuf {
        self.cache.join("bin")
    }

    /// kubectl of the cluster's version.
    pub(crate) fn kubectl(&self) -> PathBuf {
        self.bin().join("kubectl")
    }

    /// Images of the local cluster as oci-archives, `<name>.tar`.
    pub(crate) fn images(&self) -> PathBuf {
        self.cache.join("images")
    }

    /// Build folders of Go components.
    pub(crate) fn go(&self) -> PathBuf {
        self.cache.join("go")
    }

    /// State of the one cluster of this machine; gone after `down`.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.cache.join("cluster")
    }

    /// Logs of builds.
    pub(crate) fn logs(&self) -> PathBuf {
        self.cache.join("logs")
    }

    /// This checkout's folder for files of the cluster in use.
    pub(crate) fn clone_cluster(&self) -> PathBuf {
        self.clone.join(".cluster")
    }

    /// Administrator's kubeconfig, mode 0600, written by each `up`.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.clone_cluster().join("kubeconfig")
    }
}
