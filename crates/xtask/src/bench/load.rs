//! Request and rate -> requests, with the status and time of each (IO).
//!
//! h2load sends requests as fast as they are answered. The generator in the gateway's benches sends at a rate, or one per connection.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::figures::Answer;
use super::server::Server;
use crate::exec::Cmd;

/// Timeout of a run, in seconds: it ends requests that hang.
const LIMIT: &str = "180";

/// One kind of load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// For the table.
    pub(super) name: &'static str,
    /// `plain`: HTTP/1.1; `tls`: HTTP/2.
    pub(super) transport: &'static str,
    /// Path, with the query if there is one.
    pub(super) path: &'static str,
    /// Which of the server's example requests is sent.
    pub(super) kind: &'static str,
    /// Expected status from the gateway; the bare server answers 200.
    pub(super) status: u16,
    pub(super) pace: Pace,
    /// Measured rounds per server.
    pub(super) rounds: usize,
    /// Requests of a round.
    pub(super) requests: u32,
}

/// The rate.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// Each request is sent as soon as an earlier one is answered, on persistent connections.
    Saturated {
        /// Connections.
        connections: u32,
        /// Concurrent requests on each.
        streams: u32,
    },
    /// As before, but with one connection per request, and this many at a time.
    Fresh(u32),
    /// This many per second, independent of the answers, on four connections.
    Steady(u32),
    /// The same, with real-time processes on both sides: other work of the machine waits for them. Not for a load that shares its processor
    /// with the measured server.
    Ahead(u32),
}

impl Load {
    /// Number of measured servers. The third one answers with the headers of an admitted request, so it is only measured for those.
    pub(super) fn servers(&self) -> usize {
        if self.status == 200 { 3 } else { 2 }
    }

    /// Sends `count` requests from processor `cpu`; `generator` is the program of the gateway's benches.
    ///
    /// # Errors
    /// The load generator fails, or an answer is not `status`.
    pub(super) fn run(
        &self,
        server: &Server,
        (count, status): (u32, u16),
        cpu: usize,
        generator: &Path,
    ) -> anyhow::Result<Vec<Answer>> {
        let log = file("tsv");
        // h2load appends to an existing file.
        let _ = fs::remove_file(&log);
        match self.pace {
            Pace::Saturated { connections, streams } => {
                self.h2load(server, (count, connections, streams), cpu, &log)?;
            }
            Pace::Fresh(_) | Pace::Steady(_) => self.generate(server, count, cpu, (generator, &log))?,
            Pace::Ahead(_) => {
                let ahead = server.process().ahead()?;
                self.generate(server, count, cpu, (generator, &log))?;
                drop(ahead);
            }
        }
        let answers = read(&log)?;
        if let Some(other) = answers.iter().find(|answer| answer.status != status) {
            bail!("{} answered {} in place of {status}", server.name(), other.status);
        }
        ensure!(
            answers.len() == count as usize,
            "{} of {count} requests were answered",
            answers.len()
        );
        Ok(answers)
    }

    fn h2load(
        &self,
        server: &Server,
        (count, connections, streams): (u32, u32, u32),
        cpu: usize,
        log: &Path,
    ) -> anyhow::Result<()> {
        let mut command = Cmd::new("taskset")
            .args(["--cpu-list", &cpu.to_string(), "timeout", LIMIT, "h2load"])
            .args(["--threads=1", &format!("--requests={count}")])
            .args([
                format!("--clients={connections}"),
                format!("--max-concurrent-streams={streams}"),
            ])
            .arg(format!("--log-file={}", log.display()));
        for (name, value) in server.headers(self.kind)? {
            let name = match (name.as_str(), self.transport) {
                // Over HTTP/1.1 h2load sends the address as Host by itself. A second Host would be refused.
                ("host", "plain") => continue,
                ("host", _) => ":authority",
                (name, _) => name,
            };
            command = command.args(["--header", &format!("{name}: {value}")]);
        }
        command = match self.transport {
            "plain" => command
                .arg("--h1")
                .arg(format!("http://{}{}", server.address(), self.path)),
            _ => command.arg(format!("https://{}{}", server.address(), self.path)),
        };
        command.run()
    }

    fn generate(
        &self,
        server: &Server,
        count: u32,
        cpu: usize,
        (generator, log): (&Path, &Path),
    ) -> anyhow::Result<()> {
        let (connections, rate) = match self.pace {
            Pace::Fresh(at_once) => (at_once, None),
            Pace::Steady(rate) | Pace::Ahead(rate) => (4, Some(rate)),
            Pace::Saturated { connections, .. } => (connections, None),
        };
        let headers = server.headers(self.kind)?;
        let host = headers.iter().find(|(name, _)| name == "host");
        let plan = json!({
            "address": server.address(), "name": host.map(|(_, host)| host), "authority": server.authority(),
            "http2": self.transport == "tls", "connections": connections,
            "fresh": matches!(self.pace, Pace::Fresh(_)), "rate": rate, "count": count,
            "path": self.path, "headers": headers, "log": log,
        });
        match self.pace {
            // The highest real-time priority: the load generator must not wait for the measured server.
            Pace::Ahead(_) => {
                let first = Cmd::new("chrt").args(["--fifo", "2", "taskset"]);
                generate_by(first, (generator, "load"), &plan, cpu)
            }
            _ => generate((generator, "load"), &plan, cpu),
        }
    }
}

/// Runs one mode of the load generator with a plan, until it ends.
pub(super) fn generate(part: (&Path, &str), plan: &Value, cpu: usize) -> anyhow::Result<()> {
    generate_by(Cmd::new("taskset"), part, plan, cpu)
}

fn generate_by(taskset: Cmd, (program, part): (&Path, &str), plan: &Value, cpu: usize) -> anyhow::Result<()> {
    let file = file("json");
    fs::write(&file, plan.to_string())?;
    let done = taskset
        .args(["--cpu-list", &cpu.to_string(), "timeout", LIMIT])
        .arg(program)
        .arg(part)
        .arg(&file)
        .run();
    let _ = fs::remove_file(&file);
    done
}

/// Reads the answers from a log, and removes the log.
pub(super) fn read(log: &Path) -> anyhow::Result<Vec<Answer>> {
    let text = fs::read_to_string(log).context("the load generator wrote no log")?;
    let _ = fs::remove_file(log);
    text.lines()
        .map(|line| Answer::parse(line).with_context(|| format!("the load generator wrote {line:?}")))
        .collect()
}

/// A file name that only this bench uses.
pub(super) fn file(end: &str) -> PathBuf {
    std::env::temp_dir().join(format!("jupyter-k8s-bench-{}.{end}", std::process::id()))
}
