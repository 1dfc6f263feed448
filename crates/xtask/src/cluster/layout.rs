//! Roots -> every path and address of the local node (pure).

use std::path::{Path, PathBuf};

use crate::paths::Paths;

/// The node's name.
pub(crate) const NODE: &str = "node";
/// Host's end of the link to the node.
pub(crate) const LINK: &str = "jk8s-node";
/// Host's address on the link.
pub(crate) const HOST_ADDRESS: &str = "10.250.0.1";
/// The node's address: API server and host ports of pods.
pub(crate) const NODE_ADDRESS: &str = "10.250.0.2";
/// Host of the demo's identity provider, from which the API server reads keys. It is reached at the node's address.
pub(crate) const IDENTITY_HOST: &str = "identity.localhost";
/// Range of the link.
pub(crate) const LINK_RANGE: &str = "10.250.0.0/24";
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
/// Name of the parent cgroup of all pods. It is ours alone, so all its processes may be killed.
pub(crate) const CGROUP: &str = "jupyter-k8s";
/// Name of the pods' network. It is part of file names in CNI's own cache, by which a clean-up finds them.
pub(crate) const POD_NETWORK: &str = "jupyter-k8s-pods";
/// Variable in the environment of each process of a node; its value is the cache folder. It identifies a process even if all files are
/// lost.
pub(crate) const MARKER: &str = "JUPYTER_K8S_NODE";

/// Where a node's files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    cache: PathBuf,
    state: PathBuf,
    containerd_root: PathBuf,
    run: PathBuf,
}

impl Layout {
    /// The layout below this machine's cache folder.
    pub(crate) fn new(paths: &Paths) -> Self {
        Self::of_cache(paths.cache())
    }

    /// The layout of a node whose cache folder is known.
    pub(crate) fn of_cache(cache: &Path) -> Self {
        Self {
            cache: cache.to_path_buf(),
            state: cache.join("cluster"),
            containerd_root: cache.join("containerd"),
            run: PathBuf::from("/run/jupyter-k8s"),
        }
    }

    /// Cache folder: the node's identity on this machine.
    pub(crate) fn cache(&self) -> &Path {
        &self.cache
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

    /// containerd's images and snapshots; outlives the node.
    pub(crate) fn containerd_root(&self) -> &Path {
        &self.containerd_root
    }

    /// Folder for sockets and mounts that cannot outlive a reboot; the same for all cache folders.
    pub(crate) fn run(&self) -> &Path {
        &self.run
    }

    /// The file with the cache folder of the machine's one node.
    pub(crate) fn owner(&self) -> PathBuf {
        self.run.join("owner")
    }

    /// The node's network namespace, kept alive by a mount.
    pub(crate) fn network(&self) -> PathBuf {
        self.run.join("network")
    }

    /// containerd's state: sockets of its shims, root file systems and network namespaces of pods.
    pub(crate) fn containerd_state(&self) -> PathBuf {
        self.run.join("containerd")
    }

    /// containerd's socket.
    pub(crate) fn containerd_socket(&self) -> PathBuf {
        self.run.join("containerd.sock")
    }
}

/// The API server's address.
pub(crate) fn api_url() -> String {
    format!("https://{NODE_ADDRESS}:6443")
}
