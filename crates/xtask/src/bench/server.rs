//! A measured server: started on one processor, asked for its processor time, killed at the end (IO).

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;

/// Ticks of /proc/PID/stat per second: the same on every Linux that we run on.
const TICKS: u32 = 100;

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    name: &'static str,
    process: Child,
    announced: Announced,
}

/// What a server says when it is ready.
#[derive(Debug, Deserialize)]
struct Announced {
    address: String,
    /// PEM; none without TLS.
    authority: Option<String>,
    /// Headers by what is asked.
    requests: BTreeMap<String, Vec<(String, String)>>,
}

impl Server {
    /// Starts `program` as `name` on processor `cpu`.
    pub(super) fn start(
        program: &Path,
        name: &'static str,
        transport: &str,
        cpu: usize,
    ) -> anyhow::Result<Self> {
        let mut process = Command::new("taskset")
            .args(["--cpu-list", &cpu.to_string()])
            .arg(program)
            .args([name, transport])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the measured server")?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let announced = serde_json::from_str(&line).with_context(|| format!("{name} said: {line}"));
        match announced {
            Ok(announced) => Ok(Self {
                name,
                process,
                announced,
            }),
            Err(error) => {
                let _ = process.kill();
                let _ = process.wait();
                Err(error)
            }
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn address(&self) -> &str {
        &self.announced.address
    }

    /// Who signed its certificate, PEM.
    pub(super) fn authority(&self) -> Option<&str> {
        self.announced.authority.as_deref()
    }

    /// Headers of a request of this kind.
    pub(super) fn headers(&self, kind: &str) -> anyhow::Result<&[(String, String)]> {
        let headers = self.announced.requests.get(kind);
        headers
            .map(Vec::as_slice)
            .with_context(|| format!("{} says nothing of {kind} requests", self.name))
    }

    /// Most memory that the process has held so far, MiB.
    pub(super) fn peak_memory(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        peak(&status).context("/proc/PID/status cannot be read")
    }

    /// Processor time that the process has used so far, in user and kernel mode.
    pub(super) fn cpu_time(&self) -> anyhow::Result<Duration> {
        cpu_time_of(self.process.id())
    }
}

/// Processor time that a process has used so far, in user and kernel mode.
pub(super) fn cpu_time_of(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    ticks(&stat)
        .map(|ticks| Duration::from_secs(ticks) / TICKS)
        .context("/proc/PID/stat cannot be read")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// MiB, rounded up.
fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib.div_ceil(1024))
}

/// Ticks in user and kernel mode. The name in parentheses may hold anything, so fields count from its end.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// Numbers in a list such as `0-2,5`.
pub(super) fn processors(list: &str) -> Vec<usize> {
    let number = |text: &str| text.trim().parse::<usize>().ok();
    list.split(',')
        .filter_map(|part| match part.split_once('-') {
            Some((from, to)) => Some(number(from)?..=number(to)?),
            None => number(part).map(|number| number..=number),
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_kernel_time_are_added_whatever_the_program_is_called() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 7 8 20 0 1 0 100";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("42 (x) S 1"), None);
    }

    #[test]
    fn memory_is_rounded_up() {
        assert_eq!(peak("Name:\tx\nVmHWM:\t   59185 kB\nVmRSS:\t 1 kB\n"), Some(58));
        assert_eq!(peak("VmRSS:\t 1 kB\n"), None);
    }

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(processors("\t0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(processors("3"), [3]);
        assert_eq!(processors(""), [0_usize; 0]);
    }
}
