//! Chains -> the filter table of the network namespace that this process runs in (IO).

use std::{process::Stdio, time::Instant};

use anyhow::{Context, bail};
use tokio::{io::AsyncWriteExt, process::Command};

use super::render::{self, Chains, Present};

/// Writes `chains` in one step, unless they equal the `last` ones and both hooks still jump to them.
pub(super) async fn apply(chains: &Chains, last: Option<&Chains>) -> anyhow::Result<()> {
    let start = Instant::now();
    let present = Present::parse(&iptables("iptables-save", &["-t", "filter"], "").await?);
    if last == Some(chains) && present.hooked() {
        return Ok(());
    }
    iptables(
        "iptables-restore",
        &["-n", "-w", "5"],
        &render::restore(chains, &present),
    )
    .await?;
    let rules: usize = chains.values().map(Vec::len).sum();
    println!(
        "{} chains with {rules} rules written in {} ms",
        chains.len(),
        start.elapsed().as_millis()
    );
    Ok(())
}

async fn iptables(program: &str, args: &[&str], input: &str) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .with_context(|| format!("starting {program} (Debian package iptables)"))?;
    let mut stdin = child.stdin.take().context("a piped stdin")?;
    // A program that refuses its input closes it early; its own message says why.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        bail!(
            "{program}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
