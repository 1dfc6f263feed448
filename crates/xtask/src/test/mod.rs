//! `xtask test` -> every check and test in order, a summary, an exit code (IO).
//!
//! CI runs the steps of [`ALL`]. After a failed step no later step starts. The output ends with a line per step, the failed step and the
//! names of failed tests. The output of each end-to-end test is also in a file of its own, whose folder is printed.
//!
//! | file | function |
//! |---|---|
//! | `stream`, `harness` | runs a command and counts the tests that its output reports |
//! | `compiler` | clippy as the compiler of a run |
//! | `tests`, `stages`, `pool` | selection, order and concurrency of end-to-end tests |
//! | `end_to_end` | runs them, and failed ones once more |
//! | `from_registry` | empties the cluster for the tests that install from a registry |
//! | `workflows` | checks of the workflows of CI |
//! | `axe`, `python`, `promtool`, `traefik` | tools that tests need, installed when missing |
//! | `durations`, `summary` | tables and text at the end of a run |

mod axe;
mod compiler;
mod durations;
mod end_to_end;
mod from_registry;
mod harness;
mod pool;
mod promtool;
mod python;
mod stages;
mod stream;
mod summary;
mod tests;
pub(crate) mod traefik;
mod workflows;

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use self::durations::Durations;
use self::harness::Count;
use self::summary::{Done, summary};
use crate::apt;
use crate::args::TestCommand;
use crate::cluster::{self, Cluster};
use crate::demo;
use crate::exec::cargo;
use crate::generate;
use crate::helm;
use crate::paths::Paths;
use crate::progress::Progress;

/// Proxies other than Traefik for tests of the gateway.
const PROXIES: [&str; 2] = ["nginx-light", "caddy"];
/// A registry for tests of releases, and the program that pushes to it.
const REGISTRY: [&str; 2] = ["docker-registry", "skopeo"];

/// A shell beside bash, for tests of completion.
const SHELLS: [&str; 1] = ["zsh"];

/// One step: its name and its function.
type Step = (&'static str, fn(&mut Run<'_>) -> anyhow::Result<()>);

/// Steps that run in sequence.
type Track = &'static [Step];
/// Tracks that run concurrently. Parts run in sequence.
type Part = &'static [Track];

const ALL: &[Part] = &[
    &[&[
        ("generated files", generated_files),
        ("format", format),
        ("workflows", workflows::check),
    ]],
    // The cluster's start mostly waits, while compilers work. Tests run later, because the check for leaks looks at all processes of the
    // machine.
    &[
        &[("lints and build of the tests", build_tests)],
        &[
            ("the cluster leaves nothing behind", leak_check),
            ("cluster, images and chart", deploy),
        ],
    ],
    &[&[("unit, property and router tests", unit_tests)]],
    &[&[("contract and end-to-end tests", end_to_end)]],
];

const END_TO_END: &[Part] = &[&[&[("contract and end-to-end tests", end_to_end_as_installed)]]];

const CHECKS: &[Part] = &[&[&[
    ("generated files", generated_files),
    ("format", format),
    ("workflows", workflows::check),
    ("lints", lints),
    ("dependencies", dependencies),
]]];

/// One run of the steps.
struct Run<'a> {
    paths: &'a Paths,
    progress: Progress,
    count: Count,
    durations: Durations,
    /// Filters for end-to-end tests; none: all of them.
    wanted: &'a [String],
    /// Whether a cluster existed before. Then it is not checked for leaks, and stays.
    cluster_was_there: bool,
    /// The cluster in use, once it is up.
    cluster: Option<Cluster>,
    /// The file with the installation's addresses and users, for end-to-end tests.
    access_file: PathBuf,
    /// Environment of cargo.
    compiler: Vec<(&'static str, PathBuf)>,
}

/// Runs all checks and tests, or the tests that are named. A cluster that was down before is taken down.
pub(crate) fn test(command: Option<&TestCommand>, paths: &Paths) -> anyhow::Result<ExitCode> {
    match command {
        None => run(ALL, &[], compiler::clippy(paths)?, paths),
        Some(TestCommand::E2e { names }) => run(END_TO_END, names, Vec::new(), paths),
    }
}

/// Runs the checks that need no cluster, and those of the dependencies, whose tool takes minutes to build the first time.
pub(crate) fn check(paths: &Paths) -> anyhow::Result<ExitCode> {
    run(CHECKS, &[], Vec::new(), paths)
}

fn run(
    parts: &[Part],
    wanted: &[String],
    compiler: Vec<(&'static str, PathBuf)>,
    paths: &Paths,
) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let mut run = Run {
        paths,
        progress: Progress::start(),
        count: Count::default(),
        durations: Durations::default(),
        wanted,
        cluster_was_there: cluster::is_node_here(paths)?,
        cluster: None,
        access_file: PathBuf::new(),
        compiler,
    };
    let mut done = Vec::new();
    for part in parts {
        run.part(part, &mut done);
        if done.iter().any(|step| !step.ok) {
            break;
        }
    }
    let ok = done.iter().all(|step| step.ok);
    run.restore(ok);
    print!("{}", run.durations.table());
    let planned = parts.iter().copied().flatten().copied().flatten().count();
    println!("{}", summary(&done, planned, &run.count, start.elapsed()));
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn generated_files(run: &mut Run<'_>) -> anyhow::Result<()> {
    generate::run(run.paths, true)
}

fn format(run: &mut Run<'_>) -> anyhow::Result<()> {
    run.cargo(&["fmt", "--all", "--check"], &[])
}

fn lints(run: &mut Run<'_>) -> anyhow::Result<()> {
    run.cargo(
        &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        &[],
    )?;
    // The end-to-end tests are none of those targets: `cargo test` should leave them out.
    let suites = end_to_end::suites(run.paths)?;
    let mut lint = vec!["clippy", "--workspace"];
    lint.extend(suites.iter().flat_map(|name| ["--test", name]));
    lint.extend(["--", "-D", "warnings"]);
    run.cargo(&lint, &[])
}

fn dependencies(run: &mut Run<'_>) -> anyhow::Result<()> {
    let folder = run.paths.cache().join("cargo-deny");
    let deny = folder.join("bin/cargo-deny");
    if !deny.exists() {
        let root = folder.display().to_string();
        run.cargo(
            &[
                "install",
                "--locked",
                "--version",
                "0.20.2",
                "--root",
                &root,
                "cargo-deny",
            ],
            &[],
        )?;
    }
    // Advisories are left out: their list is on GitHub, which not every machine reaches.
    let checks = ["check", "bans", "licenses", "sources"];
    run.stream(&deny.display().to_string(), &checks, &[])
}

/// All tests, including those of the cluster, and their tools.
fn build_tests(run: &mut Run<'_>) -> anyhow::Result<()> {
    run.cargo(&["test", "--workspace", "--all-targets", "--no-run"], &[])?;
    end_to_end::build(run)
}

fn unit_tests(run: &mut Run<'_>) -> anyhow::Result<()> {
    let helm = helm::ensure(run.paths, &run.progress)?;
    let traefik = traefik::ensure(run.paths, &run.progress)?;
    apt::ensure(&[&PROXIES[..], &REGISTRY, &SHELLS].concat(), &run.progress)?;
    let promtool = promtool::ensure(run.paths, &run.progress)?;
    run.cargo(
        &["test", "--workspace", "--no-fail-fast"],
        &[("HELM", &helm), ("TRAEFIK", &traefik), ("PROMTOOL", &promtool)],
    )?;
    "application image".clone_into(&mut run.count.suite);
    let python = python::ensure(run.paths, &run.progress)?;
    // The image may contain no files of a test run.
    let env = [("PYTHONDONTWRITEBYTECODE", Path::new("1"))];
    run.stream(&python.display().to_string(), &[python::TESTS], &env)
}

fn leak_check(run: &mut Run<'_>) -> anyhow::Result<()> {
    if run.cluster_was_there {
        println!("skipped: a cluster is up, and this check needs a machine without one");
        return Ok(());
    }
    cluster::leak_check(run.paths)
}

fn deploy(run: &mut Run<'_>) -> anyhow::Result<()> {
    let cluster = demo::start(run.paths)?;
    run.cluster = Some(cluster.clone());
    run.access_file = demo::deploy(&cluster, run.paths, &run.progress)?.access_file;
    Ok(())
}

fn end_to_end(run: &mut Run<'_>) -> anyhow::Result<()> {
    let access_file = run.access_file.clone();
    end_to_end::run(run, &access_file, run.wanted)
}

fn end_to_end_as_installed(run: &mut Run<'_>) -> anyhow::Result<()> {
    let access_file = end_to_end::installed(run)?;
    end_to_end::run(run, &access_file, run.wanted)
}

impl Run<'_> {
    /// Runs the tracks of a part concurrently. When a step fails, its track ends. The other tracks end after their current step.
    fn part(&mut self, part: Part, done: &mut Vec<Done>) {
        let failed = &AtomicBool::new(false);
        let mut tracks: Vec<_> = part.iter().map(|track| (self.fork(), *track)).collect();
        let ended: Vec<_> = thread::scope(|scope| {
            let handles: Vec<_> = tracks
                .iter_mut()
                .map(|(run, track)| scope.spawn(|| run.track(track, failed)))
                .collect();
            let joined = handles.into_iter().map(thread::ScopedJoinHandle::join);
            joined.collect()
        });
        for steps in ended {
            done.extend(steps.unwrap_or_else(|panic| resume_unwind(panic)));
        }
        for (run, _) in tracks {
            self.join(run);
        }
    }

    fn track(&mut self, track: Track, failed: &AtomicBool) -> Vec<Done> {
        let mut done = Vec::new();
        for (name, step) in track {
            if failed.load(Ordering::SeqCst) {
                break;
            }
            println!("\n=== {name}");
            let (start, before) = (Instant::now(), self.count.ran());
            let result = step(self);
            if let Err(error) = &result {
                println!("error: {name}: {error:#}");
                failed.store(true, Ordering::SeqCst);
            }
            done.push(Done {
                name,
                took: start.elapsed(),
                tests: self.count.ran() - before,
                ok: result.is_ok(),
            });
        }
        done
    }

    /// A copy of the run without results.
    fn fork(&self) -> Self {
        Self {
            paths: self.paths,
            progress: Progress::start(),
            count: Count::default(),
            durations: Durations::default(),
            wanted: self.wanted,
            cluster_was_there: self.cluster_was_there,
            cluster: self.cluster.clone(),
            access_file: self.access_file.clone(),
            compiler: self.compiler.clone(),
        }
    }

    /// Adds the results of a fork.
    fn join(&mut self, fork: Self) {
        self.count.add(fork.count);
        self.durations.add(fork.durations);
        if fork.cluster.is_some() {
            self.cluster = fork.cluster;
            self.access_file = fork.access_file;
        }
    }

    fn cargo(&mut self, args: &[&str], env: &[(&str, &Path)]) -> anyhow::Result<()> {
        let compiler = self.compiler.clone();
        let compiler = compiler.iter().map(|(name, value)| (*name, value.as_path()));
        let env: Vec<_> = compiler.chain(env.iter().copied()).collect();
        self.stream(&cargo(), args, &env)
    }

    fn stream(&mut self, program: &str, args: &[&str], env: &[(&str, &Path)]) -> anyhow::Result<()> {
        stream::stream(program, args, env, self.paths.clone_root(), |line| {
            if let Some((suite, tests, took)) = self.count.line(line) {
                self.durations.suite(&suite, tests, took);
            }
        })
    }

    /// After a failure saves diagnostics. Takes the cluster down if it did not exist before.
    fn restore(&self, ok: bool) {
        let Some(cluster) = &self.cluster else { return };
        if !ok && let Some(file) = demo::diagnose::collect(cluster, self.paths) {
            println!("state of pods, and events: {}", file.display());
        }
        if !self.cluster_was_there
            && let Err(error) = cluster::down(self.paths)
        {
            println!("error: the cluster could not be taken down: {error:#}");
        }
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "it is called as a step")]
    fn good(run: &mut Run<'_>) -> anyhow::Result<()> {
        run.count.ended("good", true);
        Ok(())
    }

    fn bad(run: &mut Run<'_>) -> anyhow::Result<()> {
        run.count.ended("bad", false);
        anyhow::bail!("it is bad")
    }

    fn of(part: Part) -> (Vec<(&'static str, bool)>, Count) {
        let paths = Paths::new("/cache", "/clone");
        let mut run = Run {
            paths: &paths,
            progress: Progress::start(),
            count: Count::default(),
            durations: Durations::default(),
            wanted: &[],
            cluster_was_there: true,
            cluster: None,
            access_file: PathBuf::new(),
            compiler: Vec::new(),
        };
        let mut done = Vec::new();
        run.part(part, &mut done);
        (done.iter().map(|step| (step.name, step.ok)).collect(), run.count)
    }

    #[test]
    fn tracks_run_in_parallel_and_are_reported_in_order_with_their_counts() {
        let (reported, count) = of(&[&[("a", good), ("b", good)], &[("c", good)]]);
        assert_eq!(reported, [("a", true), ("b", true), ("c", true)]);
        assert_eq!((count.passed, count.failed), (3, 0));
    }

    #[test]
    fn steps_after_a_failure_in_their_track_do_not_run() {
        let (reported, count) = of(&[&[("a", bad), ("b", good)]]);
        assert_eq!(reported, [("a", false)]);
        assert_eq!((count.passed, count.failed), (0, 1));
        assert_eq!(count.failures, ["bad"]);
    }

    #[test]
    fn the_whole_run_is_lints_and_every_kind_of_test() {
        let names: Vec<_> = ALL
            .iter()
            .copied()
            .flatten()
            .copied()
            .flatten()
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(
            names,
            [
                "generated files",
                "format",
                "workflows",
                "lints and build of the tests",
                "the cluster leaves nothing behind",
                "cluster, images and chart",
                "unit, property and router tests",
                "contract and end-to-end tests",
            ]
        );
    }
}
