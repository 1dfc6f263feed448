//! Installation and its users -> the file that the end-to-end tests read (IO).
//!
//! `<cache>/cluster/access.json`, with mode 0600 because it has passwords. It is removed with the cluster. Tests find it by the environment
//! variable `JUPYTER_K8S_E2E`; `e2e/src/environment.rs` reads it. Paths are absolute.
//!
//! | key | value |
//! |---|---|
//! | `kubeconfig` | kubeconfig of an administrator |
//! | `systemNamespace`, `release` | namespace of the product's pods, and prefix of their names |
//! | `baseDomain`, `identityHost`, `port` | hosts of workspaces and of the identity provider, on 127.0.0.1 at this port |
//! | `caFile` | certificate authority of these hosts, PEM |
//! | `kubectl`, `plugin` | kubectl and its plugin `kubectl-workspace`, beside it `kubectl-create-workspace` |
//! | `users` | user name -> `password` at the identity provider, `kubeconfig` that acts as them |
//! | `images` | folder that has a file `<name>.ref` with the name of each image that is built |
//! | `helm`, `chart`, `values` | helm, the chart and the values files that the release was installed from, the last one counts most |
//! | `artefacts` | folder for screenshots |
//! | `auditLog` | the API server's log of all calls, where it can be read |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cluster::write_secret;

/// The file's content.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Access {
    pub(super) kubeconfig: PathBuf,
    pub(super) system_namespace: &'static str,
    pub(super) release: &'static str,
    pub(super) base_domain: &'static str,
    pub(super) port: u16,
    pub(super) identity_host: &'static str,
    pub(super) ca_file: PathBuf,
    pub(super) kubectl: PathBuf,
    pub(super) plugin: PathBuf,
    pub(super) users: BTreeMap<&'static str, User>,
    pub(super) images: PathBuf,
    pub(super) helm: PathBuf,
    pub(super) chart: PathBuf,
    pub(super) values: Vec<PathBuf>,
    pub(super) artefacts: PathBuf,
    pub(super) audit_log: Option<PathBuf>,
}

/// A user.
#[derive(Serialize)]
pub(super) struct User {
    pub(super) password: String,
    pub(super) kubeconfig: PathBuf,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("kubeconfig", &self.kubeconfig)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Writes the file.
    pub(super) fn write(&self, file: &Path) -> anyhow::Result<()> {
        write_secret(file, &serde_json::to_string_pretty(self)?)
    }
}
