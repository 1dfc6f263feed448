//! the file named by `JUPYTER_K8S_E2E` -> where the installation is and who its users are (IO).

use std::{collections::BTreeMap, env, fs, path::PathBuf, sync::OnceLock};

use anyhow::Context as _;
use serde::Deserialize;

const VARIABLE: &str = "JUPYTER_K8S_E2E";

/// An installation under test.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Environment {
    /// Kubeconfig of an administrator.
    pub kubeconfig: PathBuf,
    /// Namespace of the product's own pods.
    pub system_namespace: String,
    /// Name of the Helm release.
    pub release: String,
    /// Domain under which each workspace has its host.
    pub base_domain: String,
    /// HTTPS port on 127.0.0.1.
    pub port: u16,
    /// Host of the identity provider.
    pub identity_host: String,
    /// Certificate authority that browsers must trust, PEM.
    pub ca_file: PathBuf,
    /// kubectl.
    pub kubectl: PathBuf,
    /// The plugin `kubectl-create-workspace`.
    pub plugin: PathBuf,
    /// Accounts at the identity provider, by user name.
    pub users: BTreeMap<String, User>,
    /// Image references on the cluster.
    pub images: Images,
    /// helm.
    #[serde(default)]
    pub helm: Option<PathBuf>,
    /// The chart that the release was installed from.
    #[serde(default)]
    pub chart: Option<PathBuf>,
    /// Its values files; the last one counts most.
    #[serde(default)]
    pub values: Vec<PathBuf>,
    /// Folder for screenshots.
    pub artefacts: PathBuf,
    /// The API server's log of all calls, where it can be read.
    #[serde(default)]
    pub audit_log: Option<PathBuf>,
}

/// An account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Password at the identity provider.
    pub password: String,
    /// Kubeconfig that acts as this user.
    pub kubeconfig: PathBuf,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("kubeconfig", &self.kubeconfig)
            .finish_non_exhaustive()
    }
}

/// Images that tests run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Images {
    /// Answers every request with what it received.
    pub echo: String,
    /// JupyterLab.
    pub jupyter: String,
}

impl Environment {
    /// The installation under test, read once.
    ///
    /// # Errors
    /// When the variable is unset or the file cannot be read.
    pub fn get() -> anyhow::Result<&'static Self> {
        static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
        if let Some(environment) = ENVIRONMENT.get() {
            return Ok(environment);
        }
        let path = env::var(VARIABLE)
            .with_context(|| format!("{VARIABLE} is not set: run the tests by `./justw test`"))?;
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let environment = serde_json::from_str(&text).with_context(|| format!("cannot parse {path}"))?;
        // The product's TLS code and this one share a process in no place, but the clients here need a provider too.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Ok(ENVIRONMENT.get_or_init(|| environment))
    }

    /// The account `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn user(&self, name: &str) -> anyhow::Result<&User> {
        self.users.get(name).with_context(|| format!("no account {name}"))
    }

    /// `https://<host>:<port>`, as browsers write it.
    pub fn origin(&self, host: &str) -> String {
        if self.port == 443 {
            format!("https://{host}")
        } else {
            format!("https://{host}:{}", self.port)
        }
    }

    /// The sign-in host.
    pub fn auth_host(&self) -> String {
        format!("auth.{}", self.base_domain)
    }
}
