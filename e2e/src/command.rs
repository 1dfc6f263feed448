//! arguments -> kubectl, as a user (IO).

use std::{env, ffi::OsString, process::Stdio};

use anyhow::Context as _;
use tokio::process::Command;

use crate::Environment;

/// What a command left behind.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs kubectl as `user`, with the plugins of this product on its path.
pub async fn kubectl(user: &str, arguments: &[&str]) -> anyhow::Result<Outcome> {
    let environment = Environment::get()?;
    let plugins = environment.plugin.parent().context("the plugin has no folder")?;
    let mut path = OsString::from(plugins);
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let output = Command::new(&environment.kubectl)
        .args(arguments)
        .env("PATH", path)
        .env("KUBECONFIG", &environment.user(user)?.kubeconfig)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    Ok(Outcome {
        code: output.status.code().context("kubectl was killed")?,
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}
