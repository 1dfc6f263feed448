//! Credential plugin of a kubeconfig -> credentials, as kubectl runs it (IO: a process).
//!
//! The client's library would run it itself: several times for one command, with standard input whatever that is, and with arguments,
//! variables and output in its errors.

use std::io::{self, ErrorKind, IsTerminal as _};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::jiff::Timestamp;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::{Value, json};

/// Variable of the plugin: what it is asked for.
const EXEC_INFO: &str = "KUBERNETES_EXEC_INFO";
const V1: &str = "client.authentication.k8s.io/v1";
const V1BETA1: &str = "client.authentication.k8s.io/v1beta1";

/// Who reads standard input while a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stdin {
    /// Nobody: a plugin may ask its questions there.
    Free,
    /// The command: manifests, or the bytes of ssh.
    InUse,
}

/// A credential plugin, and what it is told about the cluster.
pub(super) struct Plugin {
    exec: ExecConfig,
    cluster: Option<Value>,
    stdin: Stdin,
}

/// What a plugin prints.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Printed {
    api_version: String,
    kind: String,
    #[serde(default)]
    status: Option<Credentials>,
}

/// A token, a certificate with its key, or both.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Credentials {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<Timestamp>,
}

impl Credentials {
    /// Makes them those of a user. Returns until when they are valid, if they say so.
    pub(super) fn put_into(self, user: &mut AuthInfo) -> Option<Timestamp> {
        user.token = self.token.map(Into::into);
        user.client_certificate_data = self.client_certificate_data.map(|pem| STANDARD.encode(pem));
        user.client_key_data = self.client_key_data.map(|pem| STANDARD.encode(pem).into());
        self.expiration_timestamp
    }
}

impl Plugin {
    /// `cluster`: for plugins that want to know it.
    pub(super) fn new(exec: ExecConfig, cluster: Option<Value>, stdin: Stdin) -> anyhow::Result<Self> {
        if exec.command.as_deref().unwrap_or_default().is_empty() {
            bail!("the kubeconfig's credential plugin must have a command");
        }
        let plugin = Self { exec, cluster, stdin };
        let version = plugin.exec.api_version.as_deref().unwrap_or_default();
        if ![V1, V1BETA1].contains(&version) {
            bail!("the apiVersion of {plugin} must be {V1} or {V1BETA1}, not {version:?}");
        }
        if version == V1 && plugin.exec.interactive_mode.is_none() {
            bail!("{plugin} must have an interactiveMode: Never, IfAvailable or Always");
        }
        Ok(plugin)
    }

    /// Runs it once. What it writes on standard error is for the user. No error shows its arguments, its variables or what it printed.
    pub(super) fn run(&self) -> anyhow::Result<Credentials> {
        let is_interactive = self.is_interactive()?;
        let mut command = Command::new(self.command());
        command.args(self.exec.args.iter().flatten());
        for variable in self.exec.env.iter().flatten() {
            if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
                command.env(name, value);
            }
        }
        let mut spec = json!({"interactive": is_interactive});
        if let Some(cluster) = &self.cluster {
            spec["cluster"] = cluster.clone();
        }
        let version = &self.exec.api_version;
        let info = json!({"kind": "ExecCredential", "apiVersion": version, "spec": spec});
        let stdin = if is_interactive {
            Stdio::inherit()
        } else {
            Stdio::null()
        };
        let command = command.env(EXEC_INFO, info.to_string()).stdin(stdin);
        let output = command.stderr(Stdio::inherit()).output();
        self.read(&output.map_err(|error| self.not_run(&error))?)
    }

    fn read(&self, output: &Output) -> anyhow::Result<Credentials> {
        let again = "run it by itself to see why";
        match (output.status.success(), output.status.code()) {
            (true, _) => {}
            (false, Some(code)) => bail!("{self} failed with exit code {code}: {again}"),
            (false, None) => bail!("{self} was ended by a signal: {again}"),
        }
        let version = self.exec.api_version.as_deref().unwrap_or_default();
        // The parser's error would show what was printed.
        let printed = serde_saphyr::from_slice::<Printed>(&output.stdout).ok();
        let printed =
            printed.filter(|printed| printed.kind == "ExecCredential" && printed.api_version == version);
        let status = printed.and_then(|printed| printed.status);
        let mut found = status
            .with_context(|| format!("{self} must print an ExecCredential of {version} with a status"))?;
        let Credentials {
            token,
            client_certificate_data: certificate,
            client_key_data: key,
            ..
        } = &mut found;
        for text in [&mut *token, &mut *certificate, &mut *key] {
            if text.as_deref() == Some("") {
                *text = None;
            }
        }
        match (token, certificate, key) {
            (None, None, None) => bail!("{self} must print a token, or a certificate and its key"),
            (_, Some(_), None) | (_, None, Some(_)) => {
                bail!("{self} must print a certificate and its key, not one of them")
            }
            _ => Ok(found),
        }
    }

    fn command(&self) -> &str {
        self.exec.command.as_deref().unwrap_or_default()
    }

    /// Whether it may ask its user something on standard input.
    fn is_interactive(&self) -> anyhow::Result<bool> {
        let is_terminal = io::stdin().is_terminal();
        match self.exec.interactive_mode {
            Some(ExecInteractiveMode::Never) => Ok(false),
            None | Some(ExecInteractiveMode::IfAvailable) => Ok(is_terminal && self.stdin == Stdin::Free),
            Some(ExecInteractiveMode::Always) => match self.stdin {
                Stdin::Free if is_terminal => Ok(true),
                Stdin::Free => bail!(
                    "{self} needs a terminal (interactiveMode: Always): run the command in one, with standard input left alone"
                ),
                Stdin::InUse => bail!(
                    "{self} needs standard input (interactiveMode: Always), which this command reads: give a file in place of -; \
                     in place of ssh, run kubectl workspace ssh"
                ),
            },
        }
    }

    fn not_run(&self, error: &io::Error) -> anyhow::Error {
        let hint = self.exec.install_hint.as_deref().unwrap_or_default().trim();
        match error.kind() {
            ErrorKind::NotFound if hint.is_empty() => anyhow!("{self} was not found: install it"),
            ErrorKind::NotFound => anyhow!("{self} was not found: install it. The kubeconfig says: {hint}"),
            _ => anyhow!("{self} cannot be run: {error}"),
        }
    }
}

/// By the name of its program.
impl std::fmt::Display for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the kubeconfig's credential plugin {:?}", self.command())
    }
}
