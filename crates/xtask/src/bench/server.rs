//! Command line -> a measured process on one processor: processor time, memory, and its end (IO).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::exec::Cmd;

/// Ticks of /proc/PID/stat per second: the same on every supported Linux.
const TICKS: u32 = 100;

/// A measured process, killed when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Its output, if that is read.
    says: Option<BufReader<ChildStdout>>,
}

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    name: &'static str,
    process: Process,
    announced: Announced,
}

/// What a server prints when it is ready.
#[derive(Debug, Deserialize)]
pub(super) struct Announced {
    pub(super) address: String,
    /// PEM; none without TLS.
    pub(super) authority: Option<String>,
    /// Headers for each kind of request.
    pub(super) requests: BTreeMap<String, Vec<(String, String)>>,
}

impl Server {
    /// Starts `program` as `name` on processor `cpu`.
    pub(super) fn start(
        program: &Path,
        name: &'static str,
        transport: &str,
        cpu: usize,
    ) -> anyhow::Result<Self> {
        let (process, announced) = Process::announced(program, &[name, transport], cpu)?;
        Ok(Self {
            name,
            process,
            announced,
        })
    }

    /// A process that already runs, without readable output.
    pub(super) fn of(name: &'static str, process: Process, announced: Announced) -> Self {
        Self {
            name,
            process,
            announced,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn address(&self) -> &str {
        &self.announced.address
    }

    /// Authority of its certificate, PEM.
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

    /// Its process.
    pub(super) fn process(&self) -> &Process {
        &self.process
    }

    /// Whether its process has ended.
    pub(super) fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.process.child.try_wait()?.is_some())
    }
}

impl Process {
    /// Starts a program on a processor. `output`: receives both its outputs.
    pub(super) fn start(program: &Path, args: &[String], cpu: usize, output: File) -> anyhow::Result<Self> {
        let errors = output.try_clone()?;
        let mut command = pinned(program, cpu);
        let command = command.args(args).stdout(output).stderr(errors);
        Self::spawn(command, program)
    }

    /// Starts a program that prints a line of JSON when it is ready, and returns that line.
    pub(super) fn announced<T: DeserializeOwned>(
        program: &Path,
        args: &[&str],
        cpu: usize,
    ) -> anyhow::Result<(Self, T)> {
        let mut command = pinned(program, cpu);
        let mut process = Self::spawn(command.args(args).stdout(Stdio::piped()), program)?;
        let line = process.line()?;
        let announced =
            serde_json::from_str(&line).with_context(|| format!("{} said: {line}", args.join(" ")))?;
        Ok((process, announced))
    }

    /// Starts a program whose input stays open until [`Process::finish`].
    pub(super) fn held(program: &Path, args: &[&str], cpu: usize) -> anyhow::Result<Self> {
        let mut command = pinned(program, cpu);
        let command = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self::spawn(command, program)
    }

    fn spawn(command: &mut Command, program: &Path) -> anyhow::Result<Self> {
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let says = child.stdout.take().map(BufReader::new);
        Ok(Self { child, says })
    }

    /// Its next line; empty when it has ended.
    pub(super) fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let says = self.says.as_mut().context("the output is not read")?;
        says.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Closes its input and waits for its end.
    ///
    /// # Errors
    /// It fails.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "the load generator failed: {status}");
        Ok(())
    }

    /// Peak memory of the process so far, MiB.
    pub(super) fn peak_memory(&self) -> anyhow::Result<u64> {
        Ok(self.memory("VmHWM:")?.div_ceil(1024))
    }

    /// Current memory of the process, KiB.
    pub(super) fn resident_memory(&self) -> anyhow::Result<u64> {
        self.memory("VmRSS:")
    }

    fn memory(&self, field: &str) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        kibibytes(&status, field).context("/proc/PID/status cannot be read")
    }

    /// Processor time of the process so far, in user and kernel mode.
    pub(super) fn cpu_time(&self) -> anyhow::Result<Duration> {
        cpu_time_of(self.child.id())
    }

    /// Makes it a real-time process until the guard is dropped.
    pub(super) fn ahead(&self) -> anyhow::Result<Ahead> {
        let pid = self.child.id();
        schedule(["--fifo", "1"], pid)?;
        Ok(Ahead(pid))
    }
}

/// A real-time process. It is a normal one again when this is dropped.
#[derive(Debug)]
pub(super) struct Ahead(u32);

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Err(error) = schedule(["--other", "0"], self.0) {
            eprintln!("process {} stays a real-time process: {error:#}", self.0);
        }
    }
}

/// Sets policy and priority of all threads of a process.
fn schedule([policy, priority]: [&str; 2], pid: u32) -> anyhow::Result<()> {
    Cmd::new("chrt")
        .args(["--all-tasks", policy, "--pid", priority, &pid.to_string()])
        .run()
}

fn pinned(program: &Path, cpu: usize) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &cpu.to_string()]).arg(program);
    command.stdin(Stdio::null());
    command
}

/// Processor time of a process so far, in user and kernel mode.
pub(super) fn cpu_time_of(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    ticks(&stat)
        .map(|ticks| Duration::from_secs(ticks) / TICKS)
        .context("/proc/PID/stat cannot be read")
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A field of /proc/PID/status.
fn kibibytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Ticks in user and kernel mode. The name in parentheses may contain anything, so fields are counted from the end.
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
    fn user_and_kernel_time_are_added_for_any_program_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 7 8 20 0 1 0 100";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("42 (x) S 1"), None);
    }

    #[test]
    fn memory_is_read_by_its_field() {
        let status = "Name:\tx\nVmHWM:\t   59185 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(kibibytes(status, "VmHWM:"), Some(59185));
        assert_eq!(kibibytes(status, "VmRSS:"), Some(1));
        assert_eq!(kibibytes("VmRSS:\t 1 kB\n", "VmHWM:"), None);
    }

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(processors("\t0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(processors("3"), [3]);
        assert_eq!(processors(""), [0_usize; 0]);
    }
}
