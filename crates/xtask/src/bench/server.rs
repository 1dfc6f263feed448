//! A measured server: started on one processor, asked for its processor time, killed at the end (IO).

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
    headers: Vec<(String, String)>,
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

    /// Headers that a request needs.
    pub(super) fn headers(&self) -> &[(String, String)] {
        &self.announced.headers
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
    fn lists_of_processors_are_read() {
        assert_eq!(processors("\t0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(processors("3"), [3]);
        assert_eq!(processors(""), [0_usize; 0]);
    }
}
