//! Tests -> results of tests that run as concurrent processes (IO).

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::tests::{self, Test};

/// Environment variable with the path of a file. A test creates it when it only waits for the deletion of its namespaces
/// (`e2e/src/test_run/teardown.rs`).
const TEARDOWN: &str = "JUPYTER_K8S_TEARDOWN";
/// Polling interval for running tests.
const POLL: Duration = Duration::from_millis(50);
/// Timeout of one test. All tests have their own deadlines, so this ends only those that hang.
const TIMEOUT: Duration = Duration::from_mins(10);

/// The result of one test.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) test: Test,
    pub(super) took: Duration,
    pub(super) ok: bool,
    /// File with its output.
    pub(super) log: PathBuf,
}

/// The shared settings of the processes.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunContext<'a> {
    pub(super) env: &'a [(&'a str, &'a Path)],
    /// Their working folder.
    pub(super) folder: &'a Path,
    /// Folder for their output, one file each.
    pub(super) logs: &'a Path,
}

impl RunContext<'_> {
    fn file(&self, test: &Test, end: &str) -> PathBuf {
        self.logs
            .join(format!("{}.{end}", test.path().replace("::", ".")))
    }
}

/// Keeps the earlier output when a test runs again.
pub(super) fn keep_log(context: &RunContext<'_>, test: &Test) {
    let _ = fs::rename(context.file(test, "log"), context.file(test, "first.log"));
}

/// A running test.
struct Running {
    test: Test,
    child: Child,
    start: Instant,
    log: PathBuf,
    teardown: PathBuf,
}

impl Running {
    fn begin(test: Test, context: &RunContext<'_>) -> anyhow::Result<Self> {
        let path = test.path();
        let (log, teardown) = (context.file(&test, "log"), context.file(&test, "teardown"));
        // Remains of an interrupted run.
        let _ = fs::remove_file(&teardown);
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let start = Instant::now();
        let mut command = Command::new(&test.suite.program);
        command
            .args(["--exact", &test.name, "--nocapture"])
            .envs(context.env.iter().copied())
            .env(TEARDOWN, &teardown)
            .current_dir(context.folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = command.spawn().with_context(|| format!("cannot run {path}"))?;
        Ok(Self {
            test,
            child,
            start,
            log,
            teardown,
        })
    }

    /// Whether another test may start: this one only waits for its namespaces to end.
    fn is_in_teardown(&self) -> bool {
        self.teardown.exists()
    }

    /// Its result, once it has ended. It is killed at the timeout.
    fn ended(&mut self, timeout: Duration) -> anyhow::Result<Option<Ended>> {
        let status = self.child.try_wait();
        let status = status.with_context(|| format!("cannot wait for {}", self.test.path()))?;
        let took = self.start.elapsed();
        let ok = match status {
            Some(status) => status.success(),
            None if took < timeout => return Ok(None),
            None => {
                self.child.kill()?;
                self.child.wait()?;
                false
            }
        };
        let _ = fs::remove_file(&self.teardown);
        Ok(Some(Ended {
            test: self.test.clone(),
            took,
            ok,
            log: self.log.clone(),
        }))
    }
}

/// Runs all of them, in this order as far as their groups allow. At most `at_once` work at a time, and at most as many wait for their
/// namespaces to end. Calls `on_end` as each ends.
///
/// # Errors
/// When a test cannot be started or waited for. Running tests are then killed.
pub(super) fn run(
    mut left: Vec<Test>,
    at_once: usize,
    context: &RunContext<'_>,
    mut on_end: impl FnMut(Ended),
) -> anyhow::Result<()> {
    fs::create_dir_all(context.logs).with_context(|| format!("cannot make {}", context.logs.display()))?;
    let mut running: Vec<Running> = Vec::new();
    let outcome = loop {
        match step(&mut left, &mut running, at_once, context, &mut on_end) {
            Ok(()) if left.is_empty() && running.is_empty() => break Ok(()),
            Ok(()) => thread::sleep(POLL),
            Err(error) => break Err(error),
        }
    };
    for one in &mut running {
        let _ = one.child.kill();
        let _ = one.child.wait();
    }
    outcome
}

/// Reports ended tests, and starts as many as may run.
fn step(
    left: &mut Vec<Test>,
    running: &mut Vec<Running>,
    at_once: usize,
    context: &RunContext<'_>,
    on_end: &mut impl FnMut(Ended),
) -> anyhow::Result<()> {
    let mut at = 0;
    while at < running.len() {
        match running[at].ended(TIMEOUT)? {
            Some(ended) => {
                running.remove(at);
                on_end(ended);
            }
            None => at += 1,
        }
    }
    loop {
        let at_work = running.iter().filter(|one| !one.is_in_teardown());
        let working: Vec<_> = at_work.map(|one| &one.test).collect();
        if working.len() >= at_once || running.len() >= 2 * at_once {
            return Ok(());
        }
        let Some(test) = tests::next(left, &working) else {
            return Ok(());
        };
        running.push(Running::begin(test, context)?);
    }
}

/// The output of a test, each line with a margin.
///
/// # Errors
/// When it cannot be read.
pub(super) fn log_text(ended: &Ended) -> anyhow::Result<String> {
    let Ok(bytes) = fs::read(&ended.log) else {
        bail!("cannot read {}", ended.log.display());
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut log_text = String::new();
    for line in text.lines() {
        let _ = writeln!(log_text, "    | {line}");
    }
    if ended.took >= TIMEOUT {
        let _ = writeln!(log_text, "    ended by force after {} s", TIMEOUT.as_secs());
    }
    Ok(log_text)
}

#[cfg(test)]
mod unit {
    use super::super::tests::Suite;
    use super::*;

    /// A test of a suite that is a shell script; `$2` is the test's name.
    fn test(folder: &Path, name: &str) -> Test {
        use std::os::unix::fs::PermissionsExt as _;
        let program = folder.join("suite");
        if !program.exists() {
            let script = "#!/bin/sh\necho \"$1 $2 $3 $FILE\"; echo oh >&2\n\
                      case $2 in leaves) touch \"$JUPYTER_K8S_TEARDOWN\"; until [ -e \"$FILE\" ]; do sleep 0.01; done;; \
                      comes) touch \"$FILE\";; esac\n[ \"$2\" != bad ]\n";
            fs::write(&program, script).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let suite = Suite {
            name: "s".into(),
            program,
        };
        Test {
            suite,
            name: name.into(),
        }
    }

    #[test]
    fn every_test_is_a_process_with_a_result_and_a_log() {
        let folder = std::env::temp_dir().join(format!("xtask-pool-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let tests = ["good", "bad", "m::other"].map(|name| test(&folder, name));
        let context = RunContext {
            env: &[("FILE", Path::new("w"))],
            folder: &folder,
            logs: &folder.join("logs"),
        };
        let mut ended = Vec::new();
        run(tests.into(), 2, &context, |one| ended.push(one)).unwrap();
        ended.sort_by_key(|one| one.test.path());
        let reported: Vec<_> = ended.iter().map(|one| (one.test.path(), one.ok)).collect();
        assert_eq!(
            reported,
            [("s::bad", false), ("s::good", true), ("s::m::other", true)]
                .map(|(path, ok)| (path.to_owned(), ok))
        );
        assert_eq!(
            log_text(&ended[0]).unwrap(),
            "    | --exact bad --nocapture w\n    | oh\n"
        );
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_test_in_teardown_does_not_delay_other_tests() {
        let folder = std::env::temp_dir().join(format!("xtask-leaving-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (come, logs) = (folder.join("come"), folder.join("logs"));
        let context = RunContext {
            env: &[("FILE", &come)],
            folder: &folder,
            logs: &logs,
        };
        // The first test ends when the second has started.
        let tests = ["leaves", "comes"].map(|name| test(&folder, name));
        let mut ended = Vec::new();
        run(tests.into(), 1, &context, |one| {
            ended.push((one.test.path(), one.ok));
        })
        .unwrap();
        assert_eq!(ended.len(), 2);
        assert!(ended.iter().all(|(_, ok)| *ok), "{ended:?}");
        let left = fs::read_dir(&logs).unwrap().flatten().map(|entry| entry.path());
        assert!(
            left.into_iter()
                .all(|path| path.extension().is_some_and(|it| it == "log"))
        );
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_test_that_hangs_is_killed() {
        let folder = std::env::temp_dir().join(format!("xtask-hangs-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let never = folder.join("never");
        let context = RunContext {
            env: &[("FILE", &never)],
            folder: &folder,
            logs: &folder,
        };
        let mut running = Running::begin(test(&folder, "leaves"), &context).unwrap();
        // The script's `touch` would outlive a script that is killed earlier.
        while !running.is_in_teardown() {
            assert!(running.ended(Duration::from_mins(1)).unwrap().is_none());
            thread::sleep(POLL);
        }
        let ended = running.ended(Duration::ZERO).unwrap().unwrap();
        assert!(!ended.ok);
        assert!(running.child.try_wait().unwrap().is_some());
        fs::remove_dir_all(&folder).unwrap();
    }
}
