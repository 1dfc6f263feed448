//! Requests and a server -> status and time of each request, by the load generator (IO).

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde_json::json;

use super::super::figures::Answer;
use crate::exec::Cmd;

/// Connections to a server: as many as the API server keeps open to an idle webhook.
const CONNECTIONS: usize = 25;
/// Timeout of a run, in seconds.
const LIMIT: &str = "120";

/// The server to measure.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// Name in its certificate.
    pub(super) name: String,
    /// Authority of that certificate, PEM.
    pub(super) authority: PathBuf,
    /// Certificate and key of the client, PEM.
    pub(super) client: Option<[PathBuf; 2]>,
    /// Whether answers are compared with the expected ones.
    pub(super) check: bool,
    /// Status of every answer.
    pub(super) status: u16,
}

/// The rate.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// This many per second, independent of the answers.
    Steady(u32),
    /// Each as soon as an earlier one is answered.
    Saturated,
}

/// Runs requests from the load generator.
#[derive(Debug)]
pub(super) struct Generator {
    pub(super) program: PathBuf,
    /// Prefix of its files.
    pub(super) folder: PathBuf,
}

impl Generator {
    /// Sends `count` requests, taken from `requests` in turns.
    pub(super) fn run(
        &self,
        target: &Target,
        requests: &str,
        pace: Pace,
        count: u32,
    ) -> anyhow::Result<Vec<Answer>> {
        let file = |name: &str| self.folder.join(name);
        let (lines, plan, log) = (file("requests.tsv"), file("load.json"), file("answers.tsv"));
        fs::write(&lines, requests)?;
        let rate = match pace {
            Pace::Steady(rate) => Some(rate),
            Pace::Saturated => None,
        };
        let text = json!({
            "address": target.address, "name": target.name, "authority": target.authority, "client": target.client,
            "connections": CONNECTIONS, "rate": rate, "count": count, "requests": lines, "check": target.check, "log": log,
        });
        fs::write(&plan, text.to_string())?;
        Cmd::new("timeout")
            .arg(LIMIT)
            .arg(&self.program)
            .arg("load")
            .arg(&plan)
            .run()?;
        let answers: Vec<Answer> = read(&log)?
            .lines()
            .map(|line| Answer::parse(line).with_context(|| format!("the load generator wrote {line:?}")))
            .collect::<Result<_, _>>()?;
        if let Some(other) = answers.iter().find(|answer| answer.status != target.status) {
            bail!(
                "{} answered {} in place of {}",
                target.name,
                other.status,
                target.status
            );
        }
        ensure!(
            answers.len() == count as usize,
            "{} of {count} requests were answered",
            answers.len()
        );
        Ok(answers)
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
