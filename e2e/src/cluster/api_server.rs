//! Arguments -> a second API server with other settings on the local cluster's etcd (IO).

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, ensure};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Environment, wait};

/// Start of the names of arguments that the second API server does not get: the audit log is the first one's alone.
const NOT_COPIED: &str = "--audit-";
/// The first of the ports that it may listen on. The one of a test depends on its process, so that tests do not meet.
const PORTS: u16 = 6500;
/// Variable with the path of the API server of an older Kubernetes.
const OLDER: &str = "JUPYTER_K8S_OLDER_API_SERVER";

/// The process ID of the local cluster's API server.
///
/// # Errors
/// It does not run on this machine.
pub fn process() -> anyhow::Result<u32> {
    let log = Environment::get()?.audit_log.as_ref();
    let log = log.context("the API server is a process of this machine on the local node only")?;
    let argument = format!("--audit-log-path={}", log.display());
    fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .find(|process| strings(*process, "cmdline").contains(&argument))
        .context("no API server runs here")
}

/// The local cluster's authentication settings, which also trust tokens for `audience`, another client of the same identity provider.
///
/// # Errors
/// It trusts none.
pub fn trusting(audience: &str) -> anyhow::Result<Value> {
    let arguments = strings(process()?, "cmdline");
    let mut files = arguments
        .iter()
        .filter_map(|one| one.strip_prefix("--authentication-config="));
    let file = files.next_back().context("no authentication settings")?;
    let mut settings: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    let issuer = &mut settings["jwt"][0]["issuer"];
    let audiences = issuer["audiences"].as_array_mut();
    audiences
        .context("no identity provider is trusted")?
        .push(audience.into());
    issuer["audienceMatchPolicy"] = "MatchAny".into();
    Ok(settings)
}

/// What a file of `/proc` lists, such as arguments or the environment.
fn strings(process: u32, file: &str) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
    let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    parts
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}

/// An API server that ends when this is dropped, and with the thread that started it.
#[derive(Debug)]
pub struct SecondApiServer {
    process: Child,
    folder: TempDir,
    /// Kubeconfig of an administrator for this server.
    pub kubeconfig: Kubeconfig,
}

impl SecondApiServer {
    /// Starts one with the first one's arguments and then `further`, and returns when it is ready. It shares etcd, keys and certificates with
    /// the first, so all objects and tokens are the same. The Service `kubernetes` does not lead to it.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(further: &[&str]) -> anyhow::Result<Self> {
        Self::start_program(None, further).await
    }

    /// The same with the API server of an older Kubernetes.
    ///
    /// # Errors
    /// The test run does not say where it is, or it does not start.
    pub async fn start_older(further: &[&str]) -> anyhow::Result<Self> {
        let program = env::var_os(OLDER);
        let program =
            program.with_context(|| format!("{OLDER} is not set: run the tests by `./justw test`"))?;
        Self::start_program(Some(program.into()), further).await
    }

    async fn start_program(other: Option<PathBuf>, further: &[&str]) -> anyhow::Result<Self> {
        let first = process()?;
        let port = PORTS + u16::try_from(std::process::id() % 500)?;
        let folder = tempfile::tempdir()?;
        let log = fs::File::create(folder.path().join("log"))?;
        let arguments = strings(first, "cmdline");
        let (program, arguments) = arguments.split_first().context("the API server has ended")?;
        let program = other.unwrap_or_else(|| program.into());
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "nsenter"]);
        // Its `/etc/hosts` names the identity provider.
        command.arg(format!("--net=/proc/{first}/ns/net"));
        command.arg(format!("--mount=/proc/{first}/ns/mnt")).arg(program);
        command.args(arguments.iter().filter(|one| !one.starts_with(NOT_COPIED)));
        // Of equal arguments the last one counts.
        command.arg(format!("--secure-port={port}"));
        command.arg(format!("--cert-dir={}", folder.path().display()));
        command.arg("--endpoint-reconciler-type=none").args(further);
        // Nothing of this process's environment, such as a proxy.
        command.env_clear();
        let environment = strings(first, "environ");
        command.envs(environment.iter().filter_map(|one| one.split_once('=')));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn().context("cannot start an API server")?;
        let mut kubeconfig = Kubeconfig::read_from(&Environment::get()?.kubeconfig)?;
        for cluster in kubeconfig
            .clusters
            .iter_mut()
            .filter_map(|one| one.cluster.as_mut())
        {
            let first = cluster.server.take().context("no server")?;
            let (host, _) = first.rsplit_once(':').context("no port")?;
            cluster.server = Some(format!("{host}:{port}"));
        }
        let mut second = Self {
            process,
            folder,
            kubeconfig,
        };
        fs::write(second.kubeconfig_file(), serde_json::to_vec(&second.kubeconfig)?)?;
        second.wait().await?;
        Ok(second)
    }

    async fn wait(&mut self) -> anyhow::Result<()> {
        let client = self.admin().await?;
        let ready = wait::until("a second API server", wait::USUAL, || async {
            let request = http::Request::get("/readyz")
                .body(Vec::new())
                .map_err(kube::Error::HttpError)?;
            client.request_text(request).await
        })
        .await;
        let ended = self.process.try_wait()?;
        let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        ensure!(ended.is_none(), "the second API server has ended: {}", log());
        ready.map(drop).with_context(log)
    }

    /// Host and port.
    ///
    /// # Errors
    /// The kubeconfig is invalid.
    pub fn address(&self) -> anyhow::Result<(&str, &str)> {
        let cluster = self
            .kubeconfig
            .clusters
            .first()
            .and_then(|one| one.cluster.as_ref());
        let server = cluster.and_then(|cluster| cluster.server.as_deref());
        let address = server.and_then(|server| server.strip_prefix("https://")?.rsplit_once(':'));
        address.context("no address of the second API server")
    }

    /// The file with the kubeconfig of an administrator for this server.
    pub fn kubeconfig_file(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Writes a kubeconfig of `user` for this server to `file`.
    ///
    /// # Errors
    /// There is no such user, or the file cannot be written.
    pub fn write_kubeconfig_of(&self, user: &str, file: &Path) -> anyhow::Result<()> {
        let mut kubeconfig = Kubeconfig::read_from(&Environment::get()?.user(user)?.kubeconfig)?;
        kubeconfig.clusters.clone_from(&self.kubeconfig.clusters);
        let cluster = kubeconfig.clusters.first().map(|one| one.name.clone());
        for context in kubeconfig
            .contexts
            .iter_mut()
            .filter_map(|one| one.context.as_mut())
        {
            context.cluster = cluster.clone().unwrap_or_default();
        }
        fs::write(file, serde_json::to_vec(&kubeconfig)?)?;
        Ok(())
    }

    /// A client with the identity of an administrator.
    ///
    /// # Errors
    /// The kubeconfig is invalid.
    pub async fn admin(&self) -> anyhow::Result<Client> {
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(self.kubeconfig.clone(), &options).await?;
        Ok(Client::try_from(config)?)
    }
}

impl Drop for SecondApiServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
