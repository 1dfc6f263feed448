//! Command lines -> long-running processes: start, later identification, end (IO).
//!
//! A pid alone is no identity, because the system may reuse it. A pid together with its start time identifies a process. Signals go through
//! a pid file descriptor that is opened before this check.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::layout::{Layout, MARKER};

/// Polling interval of waits.
const POLL: Duration = Duration::from_millis(20);

/// A process to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// Short name, also of its log.
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) network: Network,
}

/// The network a process runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// The node's own namespace.
    Node,
    /// The machine's.
    Host,
}

/// A started process, distinguished from a later one with the same pid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) pid: i32,
    /// Start time in clock ticks since boot.
    pub(crate) started: u64,
    /// Hash of the program, to notice that a newer build must replace it.
    pub(crate) program: PathBuf,
}

/// The relevant fields of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    threads: u32,
    started: u64,
}

impl Stat {
    /// The first thread may be a zombie while other threads still run or are about to end.
    fn ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X') && self.threads <= 1
    }
}

impl Service {
    /// Starts the process in its own session, so that a Ctrl-C or the end of a terminal does not reach it. Its environment is defined here:
    /// a proxy or `KUBECONFIG` of the caller must not reach it.
    pub(crate) fn start(&self, layout: &Layout) -> anyhow::Result<Process> {
        let log_path = layout.log(self.name);
        let log = File::options().create(true).append(true).open(&log_path);
        let log = log.with_context(|| format!("cannot write {}", log_path.display()))?;
        let mut command = Command::new("setsid");
        if self.network == Network::Node {
            command
                .arg("nsenter")
                .arg(format!("--net={}", layout.network().display()));
        }
        command.arg(&self.program).args(&self.args);
        command.env_clear();
        command.env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        command.env("HOME", layout.state()).env(MARKER, layout.cache());
        // iptables would leave its lock in /run.
        command.env("XTABLES_LOCKFILE", layout.run().join("xtables.lock"));
        command.current_dir(layout.state());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        // setsid and nsenter replace themselves with the program, so this is its pid, too.
        let pid = i32::try_from(child.id())?;
        let process = Process::of(self.name, pid, &self.program);
        // Reaps the process if it ends while we still run.
        thread::spawn(move || child.wait());
        process.with_context(|| format!("{} ended at once; see {}", self.name, log_path.display()))
    }
}

impl Process {
    /// The process that has this pid now.
    fn of(name: &str, pid: i32, program: &Path) -> Option<Self> {
        let stat = stat(pid)?;
        Some(Self {
            name: name.to_owned(),
            pid,
            started: stat.started,
            program: program.to_path_buf(),
        })
    }

    /// Whether it still runs. A zombie counts as ended, although it can still receive signals.
    pub(crate) fn alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && !stat.ended())
    }

    fn signal(&self, signal: Signal) {
        let send = |handle: OwnedFd| {
            if self.alive() {
                pidfd_send_signal(handle, signal)
            } else {
                Ok(())
            }
        };
        // The handle is opened first: from then on it cannot refer to another process.
        let opened = Pid::from_raw(self.pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        // The process should end, so this is no error.
        let _ = opened.map(|handle| handle.and_then(send));
    }
}

/// Sends SIGTERM to all, waits up to `grace`, then kills the rest. Returns the names of the killed ones.
///
/// # Errors
/// When one still runs after that.
pub(crate) fn stop(processes: &[Process], grace: Duration) -> anyhow::Result<Vec<String>> {
    let alive = || processes.iter().filter(|process| process.alive());
    alive().for_each(|process| process.signal(Signal::TERM));
    wait_until(grace, || alive().next().is_none());
    let forced: Vec<String> = alive().map(|process| process.name.clone()).collect();
    alive().for_each(|process| process.signal(Signal::KILL));
    wait_until(Duration::from_secs(10), || alive().next().is_none());
    match alive().next() {
        Some(left) => anyhow::bail!(
            "process {} (pid {}) cannot be ended; it may hang in the kernel",
            left.name,
            left.pid
        ),
        None => Ok(forced),
    }
}

/// Every process with a node's marker in its environment, with the cache folder from that marker.
pub(crate) fn marked() -> Vec<(PathBuf, Process)> {
    let prefix = format!("{MARKER}=");
    let of_pid = |pid: i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let cache = environment
            .split(|byte| *byte == 0)
            .find_map(|pair| pair.strip_prefix(prefix.as_bytes()))?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        // Not the executable's name: the control plane is one file under several names.
        let program =
            PathBuf::from(String::from_utf8_lossy(line.split(|byte| *byte == 0).next()?).into_owned());
        let name = program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Some((
            PathBuf::from(String::from_utf8_lossy(cache).into_owned()),
            Process::of(&name, pid, &program)?,
        ))
    };
    let own = std::process::id();
    pids()
        .filter(|pid| u32::try_from(*pid) != Ok(own))
        .filter_map(of_pid)
        .filter(|(_, process)| process.alive())
        .collect()
}

/// Every process in the control group at `folder` or below.
pub(crate) fn in_cgroup(folder: &Path) -> Vec<Process> {
    let mut processes = Vec::new();
    let listed = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    for pid in listed.lines().filter_map(|line| line.parse().ok()) {
        processes.extend(Process::of("a pod's process", pid, Path::new("")));
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            processes.extend(in_cgroup(&entry.path()));
        }
    }
    processes
}

/// Polls until the condition holds, at most for `limit`; returns whether it held.
pub(crate) fn wait_until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if start.elapsed() >= limit {
            return false;
        }
        thread::sleep(POLL);
    }
}

/// Identifier of this boot: pids and start times are only valid within one.
pub(crate) fn boot() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned())
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The second field is the program's name in brackets, and may itself contain blanks and brackets.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // Fields are numbered from 1 and the rest starts with the third: state is 3, threads 20, start time 22.
    Some(Stat {
        state: fields.first()?.chars().next()?,
        threads: fields.get(20 - 3)?.parse().ok()?,
        started: fields.get(22 - 3)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> (std::process::Child, Process) {
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        let process = Process::of("sleeper", i32::try_from(child.id()).unwrap(), Path::new("sleep")).unwrap();
        (child, process)
    }

    #[test]
    fn state_and_start_time_are_read_past_a_name_with_blanks_and_brackets() {
        let text = "42 (a) (b c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 2 3";
        assert_eq!(
            parse_stat(text),
            Some(Stat {
                state: 'S',
                threads: 1,
                started: 987_654
            })
        );
        assert_eq!(parse_stat("42 (cut"), None);
        assert_eq!(parse_stat("42 (cut) S 1"), None);
    }

    #[test]
    fn a_process_has_ended_only_with_its_last_thread() {
        let stat = |state, threads| Stat {
            state,
            threads,
            started: 1,
        };
        assert!(stat('Z', 1).ended());
        assert!(!stat('Z', 2).ended());
        assert!(!stat('S', 1).ended());
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let (mut child, process) = sleeper();
        assert!(process.alive());
        // Not waited for, so it remains as a zombie.
        assert!(
            stop(std::slice::from_ref(&process), Duration::from_secs(5))
                .unwrap()
                .is_empty()
        );
        assert!(stat(process.pid).is_some_and(|stat| stat.state == 'Z'));
        assert!(!process.alive());
        child.wait().unwrap();
    }

    #[test]
    fn a_recycled_pid_is_neither_alive_nor_killed() {
        let (mut child, process) = sleeper();
        let earlier = Process {
            started: process.started - 1,
            ..process.clone()
        };
        assert!(!earlier.alive());
        stop(&[earlier], Duration::ZERO).unwrap();
        assert!(process.alive());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_process_that_ignores_the_request_is_forced_and_named() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' TERM; echo ready; exec sleep 600"]);
        let mut child = shell.stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = [0; 6];
        io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let process = Process::of("stubborn", i32::try_from(child.id()).unwrap(), Path::new("sh")).unwrap();
        assert_eq!(
            stop(&[process], Duration::from_millis(100)).unwrap(),
            ["stubborn"]
        );
        child.wait().unwrap();
    }

    #[test]
    fn a_marked_process_is_found_by_its_environment() {
        let cache = format!("/nowhere/{}", std::process::id());
        let mut child = Command::new("sleep")
            .arg("600")
            .env(MARKER, &cache)
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let found = wait_until(Duration::from_secs(5), || {
            marked()
                .iter()
                .any(|(folder, process)| folder == Path::new(&cache) && process.pid == pid)
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found);
    }
}
