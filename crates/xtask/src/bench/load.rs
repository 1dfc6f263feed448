//! A way to ask -> requests by h2load, and what became of each (IO).

use std::fs;

use anyhow::Context as _;

use super::figures::Answer;
use super::server::Server;
use crate::exec::Cmd;

/// Longest time of one run: requests that hang end it.
const LIMIT: &str = "120";

/// How many requests are under way, and over what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// For the table.
    pub(super) name: &'static str,
    /// `plain`: HTTP/1.1; `tls`: HTTP/2.
    pub(super) transport: &'static str,
    /// Connections, kept alive.
    pub(super) connections: u32,
    /// Requests at a time on each.
    pub(super) streams: u32,
}

impl Load {
    /// Sends `requests` from processor `cpu`, each as soon as an earlier one is answered.
    pub(super) fn run(&self, server: &Server, requests: u32, cpu: usize) -> anyhow::Result<Vec<Answer>> {
        let log = std::env::temp_dir().join(format!("jupyter-k8s-bench-{}.tsv", std::process::id()));
        // h2load adds to a file that is there already.
        let _ = fs::remove_file(&log);
        let mut command = Cmd::new("taskset")
            .args(["--cpu-list", &cpu.to_string(), "timeout", LIMIT, "h2load"])
            .args(["--threads=1", &format!("--requests={requests}")])
            .args([
                format!("--clients={}", self.connections),
                format!("--max-concurrent-streams={}", self.streams),
            ])
            .arg(format!("--log-file={}", log.display()));
        for (name, value) in server.headers() {
            // Over HTTP/1.1 h2load names the address by itself, and a second Host would be refused.
            if name == "host" && self.transport == "plain" {
                continue;
            }
            let name = if name == "host" && self.transport == "tls" {
                ":authority"
            } else {
                name
            };
            command = command.args(["--header", &format!("{name}: {value}")]);
        }
        command = match self.transport {
            "plain" => command
                .arg("--h1")
                .arg(format!("http://{}/verify", server.address())),
            _ => command.arg(format!("https://{}/verify", server.address())),
        };
        command.run()?;
        let answers = fs::read_to_string(&log).context("h2load wrote no log")?;
        let _ = fs::remove_file(&log);
        answers
            .lines()
            .map(|line| Answer::parse(line).with_context(|| format!("h2load wrote {line:?}")))
            .collect()
    }
}
