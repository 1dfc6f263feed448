//! Program in the environment -> a process on this machine, with an account in the cluster (IO).

use std::{
    env, fs,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::cluster::{Scratch, service_account};

/// A running program. It ends with the thread that started it, or when this is dropped.
pub struct Program {
    name: String,
    process: Mutex<Child>,
    folder: TempDir,
}

impl Program {
    /// Starts the program that the environment variable names, as the account of the namespace. `arguments` are made from the path of
    /// the account's kubeconfig.
    ///
    /// # Errors
    /// The variable is not set, the account has no token, or the program cannot be started.
    pub async fn start(
        variable: &str,
        scratch: &Scratch,
        arguments: impl FnOnce(&str) -> Vec<String>,
    ) -> anyhow::Result<Self> {
        let name = env::var(variable)
            .with_context(|| format!("{variable} is not set: run the tests by `./justw test`"))?;
        let folder = tempfile::tempdir()?;
        let kubeconfig = folder.path().join("kubeconfig");
        fs::write(
            &kubeconfig,
            service_account::kubeconfig(scratch).await?.to_string(),
        )?;
        let log = fs::File::create(folder.path().join("log"))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", &name]);
        command.args(arguments(&kubeconfig.display().to_string()));
        // The API server is reached directly, even if this machine uses a proxy.
        command.envs(["NO_PROXY", "no_proxy"].map(|name| (name, "*")));
        command.current_dir(&folder);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name,
            process: Mutex::new(process),
            folder,
        })
    }

    /// Ends it.
    ///
    /// # Errors
    /// It had ended by itself.
    pub fn stop(&self) -> anyhow::Result<()> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = process.try_wait()?;
        process.kill()?;
        process.wait()?;
        ensure!(ended.is_none(), "{} had ended: {}", self.name, self.log());
        Ok(())
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// A failed start leaves no process.
impl Drop for Program {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = process.kill();
        let _ = process.wait();
    }
}
