//! Arguments and a user -> result of kubectl, or of a shell that has it (IO).

use std::{ffi::OsStr, path::Path, process::Stdio};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{Environment, wait};

/// Number of retries of a replacement that conflicts with the operator's writes. The operator writes a few times at a start.
const OVERTAKEN: usize = 5;

/// The result of a command.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs kubectl as `user`. This product's plugins are in its `PATH`.
pub async fn kubectl(user: &str, arguments: &[&str]) -> anyhow::Result<Outcome> {
    let kubeconfig = &Environment::get()?.user(user)?.kubeconfig;
    run(kubeconfig, arguments, None).await
}

/// Runs kubectl with this kubeconfig. This product's plugins are in its `PATH`.
pub async fn kubectl_by(kubeconfig: &Path, arguments: &[&str]) -> anyhow::Result<Outcome> {
    run(kubeconfig, arguments, None).await
}

/// Runs kubectl as `user` with a manifest on its standard input, for `-f -`.
pub async fn kubectl_with(user: &str, arguments: &[&str], manifest: &str) -> anyhow::Result<Outcome> {
    let kubeconfig = &Environment::get()?.user(user)?.kubeconfig;
    run_with(kubeconfig, arguments, Some(manifest)).await
}

/// Runs kubectl as an administrator.
pub async fn administer(arguments: &[&str]) -> anyhow::Result<Outcome> {
    run(&Environment::get()?.kubeconfig, arguments, None).await
}

/// Runs kubectl as an administrator with YAML on its standard input.
pub async fn administer_with(arguments: &[&str], yaml: &str) -> anyhow::Result<Outcome> {
    run_with(&Environment::get()?.kubeconfig, arguments, Some(yaml)).await
}

/// The same, for a command that must succeed: what it prints.
///
/// # Errors
/// It fails.
pub async fn administered(arguments: &[&str], yaml: &str) -> anyhow::Result<String> {
    let outcome = administer_with(arguments, yaml).await?;
    anyhow::ensure!(outcome.code == 0, "kubectl {arguments:?}: {}", outcome.stderr);
    Ok(outcome.stdout)
}

/// Applies these objects as an administrator, server-side.
///
/// # Errors
/// The API server refuses one.
pub async fn apply(objects: &[Value]) -> anyhow::Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    administered(&["apply", "--server-side", "-f", "-"], &list.to_string())
        .await
        .map(drop)
}

/// Runs kubectl as a user that need not exist, by the administrator's permission to impersonate.
pub async fn kubectl_as(user: &str, arguments: &[&str], manifest: &Value) -> anyhow::Result<Outcome> {
    let acting = format!("--as={user}");
    let arguments = [arguments, &[acting.as_str()]].concat();
    run(&Environment::get()?.kubeconfig, &arguments, Some(manifest)).await
}

async fn run(kubeconfig: &Path, arguments: &[&str], manifest: Option<&Value>) -> anyhow::Result<Outcome> {
    let manifest = manifest.map(ToString::to_string);
    run_with(kubeconfig, arguments, manifest.as_deref()).await
}

/// Runs shell commands with this kubeconfig, and returns their standard output.
///
/// # Errors
/// One fails.
pub async fn shell_by(kubeconfig: &Path, commands: &str) -> anyhow::Result<String> {
    let mut shell = command("sh", kubeconfig)?;
    let outcome = finish(shell.args(["-euc", commands]), None).await?;
    anyhow::ensure!(outcome.code == 0, "{commands}\n{outcome:?}");
    Ok(outcome.stdout)
}

/// A kubectl that runs until this is dropped.
#[derive(Debug)]
pub struct Following {
    _kubectl: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Following {
    /// Starts it as `user`.
    ///
    /// # Errors
    /// It cannot run.
    pub fn start(user: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let environment = Environment::get()?;
        let mut kubectl = command(&environment.kubectl, &environment.user(user)?.kubeconfig)?;
        let mut kubectl = kubectl.args(arguments).stderr(Stdio::null()).spawn()?;
        let output = kubectl.stdout.take().context("no standard output")?;
        Ok(Self {
            _kubectl: kubectl,
            lines: BufReader::new(output).lines(),
        })
    }

    /// The next line that it prints with this text.
    ///
    /// # Errors
    /// It ends, or prints none in time.
    pub async fn line_with(&mut self, text: &str) -> anyhow::Result<String> {
        let line = async {
            while let Some(line) = self.lines.next_line().await? {
                if line.contains(text) {
                    return Ok(line);
                }
            }
            anyhow::bail!("kubectl ended before a line with {text:?}")
        };
        let line = timeout(wait::USUAL, line).await;
        line.with_context(|| format!("kubectl printed no line with {text:?}"))?
    }
}

/// `kubectl replace` reads an object before it replaces it, and the operator may write in between.
/// A user would then repeat the command, and so does this function.
async fn run_with(kubeconfig: &Path, arguments: &[&str], input: Option<&str>) -> anyhow::Result<Outcome> {
    let mut outcome = once(kubeconfig, arguments, input).await?;
    for _ in 0..OVERTAKEN {
        if !is_overtaken(arguments, input, &outcome) {
            break;
        }
        outcome = once(kubeconfig, arguments, input).await?;
    }
    Ok(outcome)
}

/// Whether a replacement without a version of its own conflicted with another write (pure).
fn is_overtaken(arguments: &[&str], input: Option<&str>, outcome: &Outcome) -> bool {
    arguments.first() == Some(&"replace")
        && !input.is_some_and(|input| input.contains("resourceVersion"))
        && outcome.code != 0
        && outcome.stderr.contains("the object has been modified")
}

async fn once(kubeconfig: &Path, arguments: &[&str], input: Option<&str>) -> anyhow::Result<Outcome> {
    let mut kubectl = command(&Environment::get()?.kubectl, kubeconfig)?;
    finish(kubectl.args(arguments), input).await
}

/// A command whose programs have this kubeconfig. kubectl and this product's plugins are in their `PATH`.
fn command(program: impl AsRef<OsStr>, kubeconfig: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(program);
    command
        .env("PATH", Environment::get()?.path()?)
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

async fn finish(command: &mut Command, input: Option<&str>) -> anyhow::Result<Outcome> {
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    if let Some(input) = input {
        stdin.write_all(input.as_bytes()).await?;
    }
    drop(stdin);
    let output = child.wait_with_output().await?;
    Ok(Outcome {
        code: output.status.code().context("kubectl was killed")?,
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}
