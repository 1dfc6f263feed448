//! `.cluster/provider` -> the cluster that this checkout uses (IO).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum as _;

use super::layout::{Layout, NODE_ADDRESS};
use crate::args::Provider;
use crate::exec::Cmd;
use crate::paths::Paths;

/// A cluster that `up` made usable.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    provider: Provider,
    kubeconfig: PathBuf,
    kubectl: PathBuf,
}

impl Cluster {
    pub(super) fn new(paths: &Paths, provider: Provider) -> Self {
        Self {
            provider,
            kubeconfig: paths.kubeconfig(),
            kubectl: paths.kubectl(),
        }
    }

    /// The cluster of this checkout's last `up`.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn current(paths: &Paths) -> anyhow::Result<Self> {
        Self::load(paths)?.context("no cluster is up for this checkout; run `./justw cluster up`")
    }

    /// Reads the record; `None` when there is none.
    pub(super) fn load(paths: &Paths) -> anyhow::Result<Option<Self>> {
        let path = file(paths);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let provider = Provider::from_str(&text, false).ok();
        let provider =
            provider.with_context(|| format!("{} names an unknown provider; remove it", path.display()))?;
        Ok(Some(Self::new(paths, provider)))
    }

    pub(super) fn save(&self, paths: &Paths) -> anyhow::Result<()> {
        let name = self
            .provider
            .to_possible_value()
            .map(|value| value.get_name().to_owned());
        fs::write(file(paths), name.unwrap_or_default()).context("cannot write this checkout's record")
    }

    pub(super) fn forget(paths: &Paths) -> anyhow::Result<()> {
        for path in [file(paths), paths.kubeconfig()] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The provider of the cluster.
    pub(crate) fn provider(&self) -> Provider {
        self.provider
    }

    /// The API server's audit log, if it can be read here (pure).
    pub(crate) fn audit_log(&self, paths: &Paths) -> Option<PathBuf> {
        (self.provider == Provider::Node).then(|| Layout::new(paths).file("audit/audit.log"))
    }

    /// Administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A call of kubectl as administrator.
    pub(crate) fn kubectl(&self) -> Cmd {
        let kubectl = Cmd::new(&self.kubectl).arg("--kubeconfig").arg(&self.kubeconfig);
        // A proxy in the caller's environment does not apply to the node's address.
        match self.provider {
            Provider::Node => kubectl
                .env("NO_PROXY", NODE_ADDRESS)
                .env("no_proxy", NODE_ADDRESS),
            Provider::Kind => kubectl,
        }
    }
}

fn file(paths: &Paths) -> PathBuf {
    paths.clone_cluster().join("provider")
}
