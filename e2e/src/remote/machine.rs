//! User -> a machine of theirs: the plugin, signed in without a browser, and the system's ssh (IO).
//!
//! It has a home of its own, so nothing of this machine's user is read or written.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Instant,
};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::program;
use crate::{Environment, command::Outcome, http::HttpSession, wait};

/// The plugin's program.
const PLUGIN: &str = "kubectl-workspace";
/// What the desktop opens a browser with. It only notes the address.
const BROWSER: &str = "#!/bin/sh
asked=$(dirname \"$0\")/../asked
printf %s \"$1\" > \"$asked.new\" && mv \"$asked.new\" \"$asked\"
";

/// A person's machine.
#[derive(Debug)]
pub struct Machine {
    home: TempDir,
    user: String,
}

impl Machine {
    /// A new one: nobody is signed in.
    ///
    /// # Errors
    /// Its home cannot be written.
    pub fn of(user: &str) -> anyhow::Result<Self> {
        let home = tempfile::tempdir()?;
        let bin = home.path().join("bin");
        fs::create_dir(&bin)?;
        let browser = bin.join("xdg-open");
        fs::write(&browser, BROWSER)?;
        fs::set_permissions(&browser, fs::Permissions::from_mode(0o755))?;
        Ok(Self {
            home,
            user: user.to_owned(),
        })
    }

    /// A machine whose user has signed in with this browser and has written the configuration of ssh.
    ///
    /// # Errors
    /// The sign-in fails.
    pub async fn signed_in(user: &str, browser: &HttpSession) -> anyhow::Result<Self> {
        let machine = Self::of(user)?;
        machine.log_in(browser).await?;
        let written = machine.plugin(&["ssh-config"]).await?;
        ensure!(written.code == 0, "{written:?}");
        Ok(machine)
    }

    /// The home.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The folder of the plugin's state.
    pub fn state(&self) -> PathBuf {
        self.home().join(".local/state")
    }

    /// `kubectl workspace login`, with this browser. The user presses the button.
    ///
    /// # Errors
    /// The plugin does not open the page, or does not get a token.
    pub async fn log_in(&self, browser: &HttpSession) -> anyhow::Result<Outcome> {
        let environment = Environment::get()?;
        let ca = environment.ca_file.display().to_string();
        let mut command = self.command(PLUGIN)?;
        command.args(["login", &program::address("")?, "--ca-file", &ca]);
        let mut plugin = command.stdin(Stdio::null()).spawn()?;
        let asked = self.home().join("asked");
        let opened = wait::until("the plugin to open a browser", wait::USUAL, || {
            let read = match (fs::read_to_string(&asked), plugin.try_wait()) {
                (Ok(link), _) => Ok(Some(link)),
                (_, Ok(Some(_))) => Ok(None),
                (Err(error), _) => Err(error.to_string()),
            };
            std::future::ready(read)
        });
        let Some(link) = opened.await? else {
            bail!(
                "it ended before: {:?}",
                outcome(&plugin.wait_with_output().await?)?
            );
        };
        fs::remove_file(&asked)?;
        let page = browser.sign_in(&link, &self.user).await?;
        let sent = program::confirm(browser, page).await?;
        ensure!(sent.host_str() == Some("127.0.0.1"), "{sent}");
        browser.open(sent.as_str()).await?;
        let done = timeout(wait::USUAL, plugin.wait_with_output()).await;
        let done = outcome(&done.context("the plugin does not end")??)?;
        ensure!(done.code == 0, "{done:?}");
        let said = format!("{}{}", done.stdout, done.stderr);
        ensure!(
            said.contains(&self.user),
            "it does not say who signed in: {done:?}"
        );
        Ok(done)
    }

    /// Runs the plugin.
    ///
    /// # Errors
    /// It cannot run.
    pub async fn plugin(&self, arguments: &[&str]) -> anyhow::Result<Outcome> {
        let mut command = self.command(PLUGIN)?;
        outcome(&command.args(arguments).stdin(Stdio::null()).output().await?)
    }

    /// Runs shell commands until one fails, and returns their standard output. `$CONFIG` is the configuration of ssh, `$SSH` the command
    /// that uses it.
    ///
    /// # Errors
    /// A command fails. The message has what it printed.
    pub async fn run(&self, commands: &str) -> anyhow::Result<String> {
        let done = self.outcome(commands).await?;
        ensure!(done.code == 0, "{commands}\n{done:?}");
        Ok(done.stdout)
    }

    /// The same, for commands that may fail.
    ///
    /// # Errors
    /// They cannot run.
    pub async fn outcome(&self, commands: &str) -> anyhow::Result<Outcome> {
        let config = self.config()?;
        let ssh = format!("ssh -F {} -o BatchMode=yes", config.display());
        let mut shell = self.command("sh")?;
        shell.args(["-euc", commands]).stdin(Stdio::null());
        shell.env("CONFIG", config).env("SSH", ssh);
        outcome(&shell.output().await?)
    }

    /// `ssh` with its configuration and these arguments, not yet started.
    ///
    /// # Errors
    /// There is no configuration.
    pub fn ssh(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut ssh = self.command("ssh")?;
        ssh.arg("-F")
            .arg(self.config()?)
            .args(["-o", "BatchMode=yes"])
            .args(arguments);
        Ok(ssh)
    }

    /// The file that `ssh-config` has written for ssh to read.
    ///
    /// # Errors
    /// There is none.
    pub fn config(&self) -> anyhow::Result<PathBuf> {
        for entry in fs::read_dir(self.home().join(".ssh"))? {
            let path = entry?.path();
            if fs::read_to_string(&path).is_ok_and(|text| text.contains("ProxyCommand")) {
                return Ok(path);
            }
        }
        bail!("no file has a ProxyCommand: `ssh-config` writes one")
    }

    /// A program with this user's kubeconfig and home. kubectl and this product's plugins are in its `PATH`.
    fn command(&self, program: &str) -> anyhow::Result<Command> {
        let environment = Environment::get()?;
        let mut path = OsString::from(self.home().join("bin"));
        path.push(":");
        path.push(environment.path()?);
        let mut command = Command::new(program);
        command
            .env("PATH", path)
            .env("HOME", self.home())
            .env("XDG_STATE_HOME", self.state())
            .env("XDG_CONFIG_HOME", self.home().join(".config"))
            .env("KUBECONFIG", &environment.user(&self.user)?.kubeconfig)
            .env("BROWSER", self.home().join("bin/xdg-open"))
            // Without a display no browser is opened.
            .env("DISPLAY", ":99")
            .env_remove("SSH_AUTH_SOCK")
            .envs(["NO_PROXY", "no_proxy"].map(|name| (name, "*")))
            .current_dir(self.home())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }

    /// Opens a shell that repeats each line, and waits until it does.
    ///
    /// # Errors
    /// It is refused.
    pub async fn enter(&self, host: &str) -> anyhow::Result<Shell> {
        let mut ssh = self.ssh(&["-T", host, "cat"])?;
        let mut ssh = ssh.stderr(Stdio::null()).spawn()?;
        let mut shell = Shell {
            stdin: ssh.stdin.take().context("no standard input")?,
            lines: BufReader::new(ssh.stdout.take().context("no standard output")?).lines(),
            ssh,
        };
        let entered = shell.repeats("in").await;
        entered.with_context(|| format!("no shell at {host}"))?;
        Ok(shell)
    }
}

/// A running ssh. It ends when this is dropped.
#[derive(Debug)]
pub struct Shell {
    ssh: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Shell {
    /// Types a line, and waits until it comes back.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn repeats(&mut self, line: &str) -> anyhow::Result<()> {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await?;
        let read = timeout(wait::USUAL, self.lines.next_line()).await;
        let read = read.context("nothing came back")??;
        ensure!(read.as_deref() == Some(line), "{read:?} in place of {line:?}");
        Ok(())
    }

    /// Whether ssh still runs.
    ///
    /// # Errors
    /// The process is unknown.
    pub fn is_open(&mut self) -> anyhow::Result<bool> {
        Ok(self.ssh.try_wait()?.is_none())
    }

    /// Waits until ssh ends by itself, with an error, and returns the time.
    ///
    /// # Errors
    /// It does not end in time, or as if the command had ended.
    pub async fn ended(mut self) -> anyhow::Result<Instant> {
        let status = timeout(wait::USUAL, self.ssh.wait()).await;
        let (status, now) = (status.context("the shell is still open")??, Instant::now());
        ensure!(status.code() == Some(255), "{status}");
        Ok(now)
    }
}

fn outcome(output: &std::process::Output) -> anyhow::Result<Outcome> {
    Ok(Outcome {
        code: output.status.code().context("the program was killed")?,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Name of a workspace as ssh has it.
pub fn host(namespace: &str, name: &str) -> String {
    format!("{name}.{namespace}.workspace")
}
