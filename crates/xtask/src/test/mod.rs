//! `xtask test` -> every check and test in order, a summary, an exit code (IO).
//!
//! CI runs the steps of [`all`]. After a failed step no later step starts. The output ends with a line per step, nextest's summaries, the
//! failed step and the names of failed and flaky tests.
//!
//! | file | function |
//! |---|---|
//! | `nextest` | runs tests (`.config/nextest.toml`) |
//! | `end_to_end` | stages of the end-to-end tests, and the release's values |
//! | `compiler` | clippy as the compiler of a run |
//! | `from_registry` | empties the cluster for the tests that install from a registry |
//! | `last_run` | writes when tests that are not in every run passed last |
//! | `workflows` | checks of the workflows of CI |
//! | `axe`, `paramiko`, `python`, `promtool`, `traefik` | tools that tests need, installed when missing |

mod axe;
mod compiler;
mod end_to_end;
mod from_registry;
mod last_run;
mod nextest;
mod paramiko;
mod promtool;
mod python;
pub(crate) mod traefik;
mod workflows;

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, bail};

use crate::applications;
use crate::apt;
use crate::args::TestCommand;
use crate::cluster::{self, Cluster};
use crate::components::{VALIDATE_KREW_MANIFEST, ensure_kubectl};
use crate::definitions;
use crate::demo;
use crate::exec::cargo;
use crate::generate;
use crate::helm;
use crate::paths::Paths;
use crate::progress::Progress;

/// A proxy other than Traefik for tests of the gateway.
const PROXIES: [&str; 1] = ["nginx-light"];
/// A registry for tests of releases, and the programs that push to it.
const REGISTRY: [&str; 3] = ["buildah", "docker-registry", "skopeo"];

/// A shell beside bash, for tests of completion.
const SHELLS: [&str; 1] = ["zsh"];

/// One run of the steps.
struct Run<'a> {
    paths: &'a Paths,
    progress: Progress,
    /// Environment of cargo.
    compiler: Vec<(&'static str, PathBuf)>,
    /// What is printed at the end.
    summary: Vec<String>,
    /// Whether a cluster existed before. Then it stays.
    cluster_was_there: bool,
    /// The cluster in use, once it is up.
    cluster: Option<Cluster>,
}

/// Runs all checks and tests, or the tests that are named. A cluster that was down before is taken down.
pub(crate) fn test(command: Option<&TestCommand>, paths: &Paths) -> anyhow::Result<ExitCode> {
    match command {
        None => run(all, compiler::clippy(paths)?, paths),
        Some(TestCommand::Crates { names }) => {
            let steps =
                |run: &mut Run<'_>| run.step("unit, property and router tests", |run| unit_tests(run, names));
            run(steps, Vec::new(), paths)
        }
        Some(TestCommand::E2e { names }) => {
            let steps = |run: &mut Run<'_>| {
                run.step("contract and end-to-end tests", |run| {
                    let access_file = end_to_end::installed(run)?;
                    end_to_end::run(run, &access_file, names)
                })
            };
            run(steps, Vec::new(), paths)
        }
    }
}

/// Runs the checks that need no cluster, and those of the dependencies, whose tool takes minutes to build the first time.
pub(crate) fn check(paths: &Paths) -> anyhow::Result<ExitCode> {
    let steps = |run: &mut Run<'_>| {
        unbuilt(run)?;
        run.step("lints", lints)?;
        run.step("dependencies", dependencies)
    };
    run(steps, Vec::new(), paths)
}

fn run(
    steps: impl FnOnce(&mut Run<'_>) -> anyhow::Result<()>,
    compiler: Vec<(&'static str, PathBuf)>,
    paths: &Paths,
) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let mut run = Run {
        paths,
        progress: Progress::start(),
        compiler,
        summary: Vec::new(),
        cluster_was_there: cluster::is_node_here(paths)?,
        cluster: None,
    };
    let outcome = steps(&mut run);
    run.restore(outcome.is_ok());
    println!("\n{}", run.summary.join("\n"));
    let took = start.elapsed().as_secs();
    match &outcome {
        Ok(()) => println!("everything passed, in {took} s"),
        Err(error) => println!("{error:#}\nlater steps did not run; failed after {took} s"),
    }
    Ok(ExitCode::from(u8::from(outcome.is_err())))
}

fn all(run: &mut Run<'_>) -> anyhow::Result<()> {
    unbuilt(run)?;
    // The cluster's start mostly waits, while compilers work.
    let paths = run.paths;
    let deployed = thread::scope(|scope| {
        let deployed = scope.spawn(|| deploy(paths));
        let built = run.step("lints and build of the tests", build);
        let deployed = deployed.join().unwrap_or_else(|panic| resume_unwind(panic));
        run.cluster = Cluster::current(paths).ok();
        built?;
        anyhow::Ok(deployed)
    })?;
    let mut access_file = PathBuf::new();
    run.step("cluster, images and chart", |_| {
        access_file = deployed?;
        Ok(())
    })?;
    run.step("unit, property and router tests", |run| unit_tests(run, &[]))?;
    run.step("contract and end-to-end tests", |run| {
        end_to_end::run(run, &access_file, &[])
    })
}

fn unbuilt(run: &mut Run<'_>) -> anyhow::Result<()> {
    run.step("generated files", |run| generate::run(run.paths, true))?;
    run.step("format", |run| run.cargo(&["fmt", "--all", "--check"]))?;
    run.step("workflows", workflows::check)
}

fn lints(run: &mut Run<'_>) -> anyhow::Result<()> {
    run.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    // The end-to-end tests are none of those targets: `cargo test` should leave them out.
    let suites = end_to_end::suites(run.paths)?;
    let mut lint = vec!["clippy"];
    lint.extend(suites.iter().map(String::as_str));
    lint.extend(["--", "-D", "warnings"]);
    run.cargo(&lint)
}

fn dependencies(run: &mut Run<'_>) -> anyhow::Result<()> {
    let folder = run.paths.cache().join("cargo-deny");
    let deny = folder.join("bin/cargo-deny");
    if !deny.exists() {
        let root = folder.display().to_string();
        run.cargo(&[
            "install",
            "--locked",
            "--version",
            "0.20.2",
            "--root",
            &root,
            "cargo-deny",
        ])?;
    }
    // Advisories are left out: their list is on GitHub, which not every machine reaches.
    let checks = ["check", "bans", "licenses", "sources"];
    run.stream(&deny.display().to_string(), &checks, &[])
}

/// All tests, including those of the cluster, and their tools.
fn build(run: &mut Run<'_>) -> anyhow::Result<()> {
    run.cargo(&["test", "--workspace", "--all-targets", "--no-run"])?;
    end_to_end::build(run)
}

fn deploy(paths: &Paths) -> anyhow::Result<PathBuf> {
    let progress = Progress::start();
    let _lock = cluster::lock::of_installation(paths, &progress)?;
    let (cluster, references) = demo::start(&applications::images(), paths, &progress)?;
    let deployed = demo::deploy(&cluster, &references?, paths, &progress)?;
    demo::check(&deployed, paths, &progress)?;
    Ok(deployed.access_file)
}

/// Those whose path contains one of `names`, or all, with Python's.
fn unit_tests(run: &mut Run<'_>, names: &[String]) -> anyhow::Result<()> {
    let helm = helm::ensure(run.paths, &run.progress)?;
    let traefik = traefik::ensure(run.paths, &run.progress)?;
    apt::ensure(&[&PROXIES[..], &REGISTRY, &SHELLS].concat(), &run.progress)?;
    let promtool = promtool::ensure(run.paths, &run.progress)?;
    definitions::ensure_pod_security(run.paths)?;
    let krew = VALIDATE_KREW_MANIFEST.ensure(run.paths, &run.progress)?;
    ensure_kubectl(run.paths, &run.progress)?;
    let kubectl = run.paths.kubectl();
    let env = [
        ("HELM", helm.as_path()),
        ("TRAEFIK", &traefik),
        ("PROMTOOL", &promtool),
        ("VALIDATE_KREW_MANIFEST", &krew),
        ("KUBECTL", &kubectl),
    ];
    let selected = [&["--workspace".to_owned()], names].concat();
    nextest::run(run, "default", &selected, &env)?;
    if names.is_empty() {
        python_tests(run)
    } else {
        Ok(())
    }
}

/// One beside the other: each uses one core at most, and waits for its servers.
fn python_tests(run: &mut Run<'_>) -> anyhow::Result<()> {
    let paths = run.paths;
    let mut suites = Vec::new();
    for suite in &python::SUITES {
        suites.push((suite, suite.ensure(paths, &run.progress)?));
    }
    let ended: Vec<_> = thread::scope(|scope| {
        let started = suites
            .iter()
            .map(|(suite, python)| scope.spawn(move || suite.run(python, paths)))
            .collect::<Vec<_>>();
        let join = |suite: thread::ScopedJoinHandle<'_, _>| {
            suite.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        started.into_iter().map(join).collect()
    });
    let mut all = Ok(());
    for ((suite, _), (lines, result)) in suites.iter().zip(ended) {
        println!("{}", lines.join("\n"));
        let ends = |line: &&String| line.starts_with("test result: ") || line.ends_with(" ... FAILED");
        let ended = lines.iter().filter(ends);
        run.summary
            .extend(ended.map(|line| format!("    {}: {line}", suite.name)));
        all = all.and(result);
    }
    all
}

impl Run<'_> {
    fn step(&mut self, name: &str, step: impl FnOnce(&mut Self) -> anyhow::Result<()>) -> anyhow::Result<()> {
        println!("\n=== {name}");
        let start = Instant::now();
        let result = step(self);
        let mark = if result.is_ok() { "ok    " } else { "FAILED" };
        let took = start.elapsed().as_secs_f64();
        self.summary.push(format!("{mark}  {name} ({took:.1} s)"));
        result.with_context(|| format!("the step \"{name}\" failed"))
    }

    fn cargo(&self, args: &[&str]) -> anyhow::Result<()> {
        self.stream(&cargo(), args, &self.compiler_env())
    }

    fn compiler_env(&self) -> Vec<(&str, &Path)> {
        let env = self.compiler.iter().map(|(name, value)| (*name, value.as_path()));
        env.collect()
    }

    fn stream(&self, program: &str, args: &[&str], env: &[(&str, &Path)]) -> anyhow::Result<()> {
        stream(program, args, env, self.paths.clone_root(), |_| ())
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

/// Runs a command in `folder` to its end. Both of its streams go to our standard output, line by line, and to `on_line`.
///
/// # Errors
/// When it cannot be started or exits with anything but 0.
fn stream(
    program: &str,
    args: &[&str],
    env: &[(&str, &Path)],
    folder: &Path,
    mut on_line: impl FnMut(&str),
) -> anyhow::Result<()> {
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).envs(env.iter().copied());
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run `{program}`"))?;
    // The builder holds the pipe's writing ends. The reader ends only when they are closed.
    drop(command);
    for line in BufReader::new(reader).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        // The reader of our output may have closed it; the tests continue.
        let _ = writeln!(io::stdout(), "{line}");
        on_line(&line);
    }
    let status = child.wait()?;
    if !status.success() {
        let first = args.first().unwrap_or(&"");
        bail!("`{program} {first} …` failed ({status})");
    }
    Ok(())
}
