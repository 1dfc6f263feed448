//! Roots -> every path and address of the local node (pure).

use std::path::{Path, PathBuf};

use crate::paths::Paths;

/// The node's name.
pub(crate) const NODE: &str = "node";
/// Host's end of the link to the node, named so in `node.sh`.
pub(crate) const LINK: &str = "jk8s-node";
/// Host's address on the link.
pub(crate) const HOST_ADDRESS: &str = "10.250.0.1";
/// The node's address: API server and host ports of pods.
pub(crate) const NODE_ADDRESS: &str = "10.250.0.2";
/// Host of the demo's identity provider, from which the API server reads keys. It is reached at the node's address.
pub(crate) const IDENTITY_HOST: &str = "identity.localhost";
/// Range that Services get their addresses from.
pub(crate) const SERVICE_RANGE: &str = "10.96.0.0/16";
/// First address of the range: the Service `kubernetes`.
pub(crate) const API_SERVICE: &str = "10.96.0.1";
/// Address of the cluster's DNS.
pub(crate) const DNS_SERVICE: &str = "10.96.0.10";
/// Range of all pods.
pub(crate) const POD_RANGE: &str = "10.244.0.0/16";
/// Range of this node's pods.
pub(crate) const NODE_POD_RANGE: &str = "10.244.0.0/24";
/// Port at which the proxy is reached, on the host's loopback and on the node.
pub(crate) const PROXY_PORT: u16 = 8443;
/// Name of the parent control group of all pods, made by `node.sh`.
pub(crate) const CGROUP: &str = "jupyter-k8s";

/// Where a node's files lie.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    state: PathBuf,
    containerd_root: PathBuf,
}

impl Layout {
    /// The layout below this machine's cache folder.
    pub(crate) fn new(paths: &Paths) -> Self {
        Self::of_cache(paths.cache())
    }

    /// The layout of a node whose cache folder is known.
    pub(crate) fn of_cache(cache: &Path) -> Self {
        Self {
            state: cache.join("cluster"),
            containerd_root: cache.join("containerd"),
        }
    }

    /// State folder: everything of a running node; removed by `down`.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// A file or folder in the state folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }

    /// A file or folder in the state folder, as text for a configuration.
    pub(crate) fn text(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    /// Log of one process.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.state.join("logs").join(format!("{name}.log"))
    }

    /// Kubeconfig of one process of the node, or of the administrator.
    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.state.join(format!("{user}.kubeconfig"))
    }

    /// Folder of the registry that a test starts. A node that has it is replaced by the next `up`.
    pub(crate) fn registry(&self) -> PathBuf {
        self.file("registry")
    }

    /// containerd's images and snapshots; outlives the node.
    pub(crate) fn containerd_root(&self) -> &Path {
        &self.containerd_root
    }
}

/// The API server's address.
pub(crate) fn api_url() -> String {
    format!("https://{NODE_ADDRESS}:6443")
}
