//! Tests -> each run as a process of its own, so many at the same time, told as they end (IO).

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::tests::{self, Test};

/// The longest that one test may take. All of them wait with deadlines of their own, so this ends only what hangs.
const PATIENCE: Duration = Duration::from_mins(10);

/// How one test ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) path: String,
    pub(super) suite: String,
    pub(super) took: Duration,
    pub(super) ok: bool,
    /// What it printed.
    pub(super) log: PathBuf,
}

/// What the processes share.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) env: &'a [(&'a str, &'a Path)],
    /// Where they run.
    pub(super) folder: &'a Path,
    /// Where what they print is kept, a file each.
    pub(super) logs: &'a Path,
}

/// What is still to run, and the suites of what runs.
#[derive(Debug)]
struct Queue {
    state: Mutex<(Vec<Test>, Vec<String>)>,
    ended: Condvar,
}

impl Queue {
    fn new(tests: Vec<Test>) -> Self {
        Self {
            state: Mutex::new((tests, Vec::new())),
            ended: Condvar::new(),
        }
    }

    /// The next one, as soon as it may run; none when nothing is left.
    fn take(&self) -> Option<Test> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let (left, running) = &mut *state;
            if let Some(test) = tests::next(left, running) {
                running.push(test.suite.name.clone());
                return Some(test);
            }
            if left.is_empty() {
                return None;
            }
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self, test: &Test) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = state.1.iter().position(|suite| *suite == test.suite.name) {
            state.1.swap_remove(place);
        }
        self.ended.notify_all();
    }
}

/// Runs all of them, `at_once` at a time and in this order; `on_end` hears of each as it ends.
///
/// # Errors
/// When a test cannot be started.
pub(super) fn run(
    tests: Vec<Test>,
    at_once: usize,
    world: &World<'_>,
    mut on_end: impl FnMut(Ended),
) -> anyhow::Result<()> {
    fs::create_dir_all(world.logs).with_context(|| format!("cannot make {}", world.logs.display()))?;
    let queue = &Queue::new(tests);
    let (told, heard) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..at_once {
            let told = told.clone();
            scope.spawn(move || {
                while let Some(test) = queue.take() {
                    let ended = one(&test, world);
                    queue.done(&test);
                    if told.send(ended).is_err() {
                        return;
                    }
                }
            });
        }
        drop(told);
        for ended in heard {
            on_end(ended?);
        }
        Ok(())
    })
}

fn one(test: &Test, world: &World<'_>) -> anyhow::Result<Ended> {
    let path = test.path();
    let log = world.logs.join(format!("{}.log", path.replace("::", ".")));
    let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let start = Instant::now();
    let mut command = Command::new(&test.suite.program);
    command
        .args(["--exact", &test.name, "--nocapture"])
        .envs(world.env.iter().copied())
        .current_dir(world.folder)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    let mut child = command.spawn().with_context(|| format!("cannot run {path}"))?;
    let ok = within(PATIENCE, &mut child).with_context(|| format!("cannot wait for {path}"))?;
    Ok(Ended {
        path,
        suite: test.suite.name.clone(),
        took: start.elapsed(),
        ok,
        log,
    })
}

/// Whether the process ends well in this time; kills it when it does not end.
fn within(patience: Duration, child: &mut Child) -> anyhow::Result<bool> {
    let end = Instant::now() + patience;
    // The standard library waits for a process without end or not at all.
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        thread::sleep(Duration::from_millis(50));
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}

/// The text a test printed, each line with a margin.
///
/// # Errors
/// When it cannot be read.
pub(super) fn words(ended: &Ended) -> anyhow::Result<String> {
    let Ok(bytes) = fs::read(&ended.log) else {
        bail!("cannot read {}", ended.log.display());
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut words = String::new();
    for line in text.lines() {
        let _ = writeln!(words, "    | {line}");
    }
    if ended.took >= PATIENCE {
        let _ = writeln!(words, "    ended by force after {} s", PATIENCE.as_secs());
    }
    Ok(words)
}

#[cfg(test)]
mod unit {
    use super::super::tests::Suite;
    use super::*;

    /// A test of a suite that is a shell script, in which `$2` is the test's name.
    fn test(folder: &Path, name: &str) -> Test {
        use std::os::unix::fs::PermissionsExt as _;
        let program = folder.join("suite");
        if !program.exists() {
            let script = "#!/bin/sh\necho \"$1 $2 $3 $WORD\"; echo oh >&2\n[ \"$2\" != bad ]\n";
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
    fn every_test_is_a_process_whose_end_and_words_are_told() {
        let folder = std::env::temp_dir().join(format!("xtask-pool-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let tests = ["good", "bad", "m::other"].map(|name| test(&folder, name));
        let world = World {
            env: &[("WORD", Path::new("w"))],
            folder: &folder,
            logs: &folder.join("logs"),
        };
        let mut ended = Vec::new();
        run(tests.into(), 2, &world, |one| ended.push(one)).unwrap();
        ended.sort_by(|a, b| a.path.cmp(&b.path));
        let told: Vec<_> = ended.iter().map(|one| (one.path.as_str(), one.ok)).collect();
        assert_eq!(
            told,
            [("s::bad", false), ("s::good", true), ("s::m::other", true)]
        );
        assert_eq!(
            words(&ended[0]).unwrap(),
            "    | --exact bad --nocapture w\n    | oh\n"
        );
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_hangs_is_ended() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(!within(Duration::from_millis(10), &mut child).unwrap());
        assert!(child.try_wait().unwrap().is_some());
    }
}
