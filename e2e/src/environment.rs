//! File in `JUPYTER_K8S_E2E` -> addresses and users of the installation (IO).

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use anyhow::Context as _;
use serde::{Deserialize, Deserializer, de::Error as _};

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
    /// Parent domain of the workspaces' hosts.
    pub base_domain: String,
    /// HTTPS port on 127.0.0.1.
    pub port: u16,
    /// Host of the identity provider.
    pub identity_host: String,
    /// Certificate authority for browsers, PEM.
    pub ca_file: PathBuf,
    /// Path of kubectl.
    pub kubectl: PathBuf,
    /// Path of the plugin `kubectl-workspace`; `kubectl-create-workspace` is beside it.
    pub plugin: PathBuf,
    /// Accounts at the identity provider, by user name.
    pub users: BTreeMap<String, User>,
    /// Image references for the cluster.
    #[serde(deserialize_with = "names")]
    pub images: Images,
    /// Path of helm.
    #[serde(default)]
    pub helm: Option<PathBuf>,
    /// The release's chart.
    #[serde(default)]
    pub chart: Option<PathBuf>,
    /// The release's values files. Later files override earlier ones.
    #[serde(default)]
    pub values: Vec<PathBuf>,
    /// Folder for screenshots.
    pub artefacts: PathBuf,
    /// The API server's audit log, if it can be read.
    #[serde(default)]
    pub audit_log: Option<PathBuf>,
    /// The published version, if the cluster is empty beside a registry.
    #[serde(default)]
    pub published: Option<Published>,
}

/// What a registry has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The chart, `oci://…`.
    pub chart: String,
    /// Its version.
    pub version: String,
    /// Host and port of the registry, for nodes and for this machine. It has no certificate.
    pub registry: String,
    /// Folder of the registry with a copy of the image that workspaces run.
    pub copies: String,
    /// File with credentials, as `docker login` writes it.
    pub credentials: PathBuf,
}

/// An account of a user.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Password at the identity provider.
    pub password: String,
    /// Kubeconfig with the identity of this user.
    pub kubeconfig: PathBuf,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("kubeconfig", &self.kubeconfig)
            .finish_non_exhaustive()
    }
}

/// Images for tests.
#[derive(Debug)]
pub struct Images {
    folder: PathBuf,
    /// The echo server: it answers every request with what it received.
    pub echo: String,
    /// JupyterLab.
    pub jupyter: String,
}

impl Images {
    /// The image `name` of deploy/images.
    ///
    /// # Errors
    /// It is not built.
    pub fn reference(&self, name: &str) -> anyhow::Result<String> {
        read_reference(&self.folder, name)
    }
}

fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Images, D::Error> {
    let folder = PathBuf::deserialize(deserializer)?;
    let named = |name: &str| read_reference(&folder, name).map_err(D::Error::custom);
    Ok(Images {
        echo: named("echo")?,
        jupyter: named("application")?,
        folder,
    })
}

fn read_reference(folder: &Path, name: &str) -> anyhow::Result<String> {
    let file = folder.join(format!("{name}.ref"));
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.trim_end().to_owned())
}

impl Environment {
    /// The installation under test, read once.
    ///
    /// # Errors
    /// The variable is unset, or the file cannot be read.
    pub fn get() -> anyhow::Result<&'static Self> {
        static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
        if let Some(environment) = ENVIRONMENT.get() {
            return Ok(environment);
        }
        let path = env::var(VARIABLE)
            .with_context(|| format!("{VARIABLE} is not set: run the tests by `./justw test`"))?;
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let environment = serde_json::from_str(&text).with_context(|| format!("cannot parse {path}"))?;
        // The product's TLS code never runs in this process, but the clients here need a TLS provider, too.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Ok(ENVIRONMENT.get_or_init(|| environment))
    }

    /// The account `name`.
    ///
    /// # Errors
    /// There is no such account.
    pub fn user(&self, name: &str) -> anyhow::Result<&User> {
        self.users.get(name).with_context(|| format!("no account {name}"))
    }

    /// `PATH` with kubectl and this product's plugins.
    ///
    /// # Errors
    /// A program has no folder.
    pub fn path(&self) -> anyhow::Result<OsString> {
        let mut path = OsString::new();
        for program in [&self.plugin, &self.kubectl] {
            path.push(program.parent().context("the program has no folder")?);
            path.push(":");
        }
        path.push(env::var_os("PATH").unwrap_or_default());
        Ok(path)
    }

    /// The published version.
    ///
    /// # Errors
    /// There is no registry: only the stage "from a registry" has one.
    pub fn published(&self) -> anyhow::Result<&Published> {
        let published = self.published.as_ref();
        published.context("no registry: `./justw test e2e registry::` starts one")
    }

    /// `https://<host>:<port>`, as browsers write it.
    pub fn origin(&self, host: &str) -> String {
        if self.port == 443 {
            format!("https://{host}")
        } else {
            format!("https://{host}:{}", self.port)
        }
    }

    /// The host of the portal.
    pub fn portal_host(&self) -> String {
        format!("portal.{}", self.base_domain)
    }

    /// The host of the sign-in pages.
    pub fn auth_host(&self) -> String {
        format!("auth.{}", self.base_domain)
    }
}
