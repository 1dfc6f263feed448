//! Commands of the guide and of Helm's notes -> their output in an administrator's shell (IO).

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::process::Command;

use crate::Environment;

/// Variable with the path of Helm 4. The installation's own is Helm 3.
const HELM4: &str = "JUPYTER_K8S_HELM4";

/// A version of Helm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helm {
    /// The oldest one that is supported has this number.
    Three,
    /// The newest.
    Four,
}

impl Helm {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Three, Self::Four];

    /// Path of the program.
    ///
    /// # Errors
    /// The test run does not say where it is.
    pub fn program(self) -> anyhow::Result<PathBuf> {
        match self {
            Self::Three => {
                let helm = Environment::get()?.helm.clone();
                helm.context("the installation does not say where helm is: run `./justw demo` again")
            }
            Self::Four => {
                let path = env::var_os(HELM4);
                let path =
                    path.with_context(|| format!("{HELM4} is not set: run the tests by `./justw test`"))?;
                Ok(path.into())
            }
        }
    }
}

/// A folder with files, in which commands run. `helm` and `kubectl` are on the path. Nothing of this machine's user is read.
#[derive(Debug)]
pub struct Shell {
    folder: TempDir,
}

impl Shell {
    /// A shell of an administrator of the cluster, who uses this Helm.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn new(helm: Helm) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let bin = folder.path().join("bin");
        fs::create_dir(&bin)?;
        symlink(helm.program()?, bin.join("helm"))?;
        symlink(&Environment::get()?.kubectl, bin.join("kubectl"))?;
        Ok(Self { folder })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file in the folder.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
        let path = self.folder().join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Runs commands until one fails, and returns their standard output.
    ///
    /// # Errors
    /// A command fails. The message has what it printed.
    pub async fn run(&self, commands: &str) -> anyhow::Result<String> {
        let (code, stdout, stderr) = self.outcome(commands).await?;
        anyhow::ensure!(code == 0, "{commands}\nexit code {code}\n{stdout}{stderr}");
        Ok(stdout)
    }

    /// Exit code, standard output and standard error of commands.
    ///
    /// # Errors
    /// They cannot run.
    pub async fn outcome(&self, commands: &str) -> anyhow::Result<(i32, String, String)> {
        let mut path = OsString::from(self.folder().join("bin"));
        path.push(":");
        path.push(env::var_os("PATH").unwrap_or_default());
        let done = Command::new("sh")
            .args(["-euc", commands])
            .env("PATH", path)
            .env("HOME", self.folder())
            .env("KUBECONFIG", &Environment::get()?.kubeconfig)
            // Registry and API server are reached directly, even if this machine uses a proxy.
            .envs(["NO_PROXY", "no_proxy"].map(|name| (name, "*")))
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        Ok((
            done.status.code().context("the shell was killed")?,
            String::from_utf8(done.stdout)?,
            String::from_utf8_lossy(&done.stderr).into_owned(),
        ))
    }
}
