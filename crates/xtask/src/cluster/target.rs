//! `.cluster/cluster.json` -> the cluster that this checkout uses (IO).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::{images, kind};
use crate::args::Provider;
use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;
use crate::registry::Registries;

/// A cluster that `up` made usable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Cluster {
    provider: Provider,
    /// Registry to push images to and pull from; provider `existing` only.
    registry: Option<String>,
    kubeconfig: PathBuf,
    kubectl: PathBuf,
}

impl Cluster {
    pub(super) fn new(paths: &Paths, provider: Provider, registry: Option<String>) -> anyhow::Result<Self> {
        if provider == Provider::Existing && registry.is_none() {
            bail!("provider `existing` needs --registry: the cluster pulls our images from there");
        }
        let registry = registry.map(|registry| registry.trim_end_matches('/').to_owned());
        Ok(Self {
            provider,
            registry,
            kubeconfig: paths.kubeconfig(),
            kubectl: paths.kubectl(),
        })
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
        match fs::read_to_string(&path) {
            Ok(text) => {
                let read = serde_json::from_str(&text);
                Ok(Some(read.with_context(|| {
                    format!("cannot read {}; remove it and run `up` again", path.display())
                })?))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    pub(super) fn save(&self, paths: &Paths) -> anyhow::Result<()> {
        fs::create_dir_all(paths.clone_cluster())?;
        fs::write(file(paths), serde_json::to_vec_pretty(self)?)
            .context("cannot write this checkout's record")
    }

    pub(super) fn forget(paths: &Paths) -> anyhow::Result<()> {
        for path in [file(paths), paths.kubeconfig(), paths.delivered_images()] {
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

    /// Registry that images are pushed to, for provider `existing`.
    pub(crate) fn registry(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    /// The API server's audit log, if it can be read here (pure).
    pub(crate) fn audit_log(&self, paths: &Paths) -> Option<PathBuf> {
        let log = || Layout::new(paths).file("audit/audit.log");
        (self.provider == Provider::Node).then(log)
    }

    /// Administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A call of kubectl as administrator.
    pub(crate) fn kubectl(&self) -> Cmd {
        let kubectl = Cmd::new(&self.kubectl).arg("--kubeconfig").arg(&self.kubeconfig);
        if self.provider == Provider::Node {
            // A proxy in the caller's environment does not apply to the node's address.
            return kubectl
                .env("NO_PROXY", super::layout::NODE_ADDRESS)
                .env("no_proxy", super::layout::NODE_ADDRESS);
        }
        kubectl
    }

    /// The name under which the cluster finds an image that is called `local` in the cache (pure).
    pub(crate) fn image(&self, local: &str) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", local.rsplit('/').next().unwrap_or(local)),
            None => local.to_owned(),
        }
    }

    pub(super) fn deliver_images(&self, paths: &Paths, progress: &Progress) -> anyhow::Result<()> {
        let folder = paths.images();
        if self.provider == Provider::Node {
            return images::import(&Layout::new(paths), &folder, progress);
        }
        let mut archives = images::archives(&folder)?;
        archives.retain(|archive| !images::is_of_node(archive));
        images::deliver(
            archives,
            &paths.delivered_images(),
            progress,
            |archive, names| match names.first() {
                Some(first) if self.registry.is_some() => {
                    Registries::default().push_archive(archive, &self.image(first), progress)
                }
                _ => kind::load(archive, names),
            },
        )
    }
}

fn file(paths: &Paths) -> PathBuf {
    paths.clone_cluster().join("cluster.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(provider: Provider, registry: Option<&str>) -> anyhow::Result<Cluster> {
        Cluster::new(
            &Paths::new("/cache", "/clone"),
            provider,
            registry.map(str::to_owned),
        )
    }

    #[test]
    fn an_image_goes_by_its_last_part_in_a_registry_and_by_its_own_name_elsewhere() {
        let name = "localhost/jupyter-k8s/operator:dev-1";
        let existing = cluster(Provider::Existing, Some("registry.example.com/team/")).unwrap();
        assert_eq!(existing.image(name), "registry.example.com/team/operator:dev-1");
        assert_eq!(cluster(Provider::Node, None).unwrap().image(name), name);
    }

    #[test]
    fn an_existing_cluster_needs_a_registry() {
        let error = cluster(Provider::Existing, None).unwrap_err().to_string();
        assert!(error.contains("--registry"), "{error}");
    }

    #[test]
    fn the_record_is_read_back_and_forgotten() {
        let clone = std::env::temp_dir().join(format!("xtask-target-{}", std::process::id()));
        let paths = Paths::new("/cache", &clone);
        let cluster = Cluster::new(&paths, Provider::Existing, Some("r.example.com".to_owned())).unwrap();
        cluster.save(&paths).unwrap();
        assert_eq!(Cluster::current(&paths).unwrap(), cluster);
        Cluster::forget(&paths).unwrap();
        let error = Cluster::current(&paths).unwrap_err().to_string();
        fs::remove_dir_all(&clone).unwrap();
        assert!(error.contains("cluster up"), "{error}");
    }
}
