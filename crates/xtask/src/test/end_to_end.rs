//! The installation, and filters -> end-to-end tests that ran (IO).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::Run;
use super::axe;
use super::from_registry;
use super::pool::{self, Ended, RunContext};
use super::stages::{self, Stage};
use super::tests::{self, Test, Times};
use crate::cluster;
use crate::components::{CERT_MANAGER, Component, HELM4, METRICS_SERVER, OLDER_API_SERVER};
use crate::exec::{Cmd, cargo};
use crate::paths::Paths;
use crate::{apt, definitions};

/// Chromium, its driver, certutil for its trusted authorities, and jq for commands of docs/operations.md.
const PACKAGES: [&str; 4] = ["chromium", "chromium-driver", "libnss3-tools", "jq"];

/// Suites and modules of tests, the program that each runs, and the environment variable with its path. The programs take minutes to
/// build the first time.
const PROGRAMS: [(&str, Component, &str); 4] = [
    (
        "before_release::certificates::",
        CERT_MANAGER,
        "JUPYTER_K8S_CERT_MANAGER",
    ),
    (
        "before_release::usage::",
        METRICS_SERVER,
        "JUPYTER_K8S_METRICS_SERVER",
    ),
    (
        "rendered::catalog::",
        OLDER_API_SERVER,
        "JUPYTER_K8S_OLDER_API_SERVER",
    ),
    (
        "upgrade::older_api_server::",
        OLDER_API_SERVER,
        "JUPYTER_K8S_OLDER_API_SERVER",
    ),
];

/// Failed tests of a whole run that run again, alone. More failures count as failed at once.
const MAX_RETRIED: usize = 1;

/// Runs the tests whose path contains one of `wanted`, or all of them, on the installation in `access_file`.
///
/// # Errors
/// When a test fails, a filter matches no test, or a requirement of tests cannot be installed or built.
pub(super) fn run(run: &mut Run<'_>, access_file: &Path, wanted: &[String]) -> anyhow::Result<()> {
    let paths = run.paths;
    apt::ensure(&PACKAGES, &run.progress)?;
    if cluster::is_node_here(paths)? {
        cluster::kwok::up(paths, 0, &run.progress)?;
    }
    let messages = programs(run)?;
    let [cleanup, release, remove] =
        ["cleanup", "release", "remove"].map(|name| program(&messages, "bin", name));
    let (cleanup, release, remove) = (cleanup?, release?, remove?.display().to_string());
    let mut all = Vec::new();
    for suite in tests::suites(&messages) {
        let listed = Cmd::new(&suite.program)
            .args(["--list", "--format=terse"])
            .output()?;
        all.extend(tests::tests(&suite, &listed));
    }
    let mut chosen = tests::chosen(all, wanted)
        .map_err(|filter| anyhow::anyhow!("no end-to-end test's path contains `{filter}`"))?;
    if wanted.is_empty() {
        chosen.retain(|test| stages::is_in_whole_runs(&test.path()));
    }
    let mut programs = Vec::new();
    for (suite, component, variable) in &PROGRAMS {
        if chosen.iter().any(|test| test.path().starts_with(suite)) {
            programs.push((*variable, component.ensure(paths, &run.progress)?));
        }
    }
    let tools = Tools {
        definitions: definitions::ensure(paths, &run.progress)?,
        axe: axe::ensure(paths, &run.progress)?,
        helm4: HELM4.ensure(paths, &run.progress)?,
        another_operator: another_operator(run)?,
        programs,
    };

    let _alone = cluster::lock::of_tests(paths, &run.progress)?;
    let cleanup = cleanup.display().to_string();
    let installed = tools.env(access_file);
    run.stream(&cleanup, &[], &installed)?;
    let file = paths.cache().join("test-times.json");
    let mut times = read(&file);
    let folder = paths.clone_root().join("e2e");
    let logs = paths.logs().join("e2e");
    let context = RunContext {
        env: &installed,
        folder: &folder,
        logs: &logs,
    };
    println!("output of each test: {}", logs.display());
    let before = run.count.failed;
    let mut release = Release {
        program: release.display().to_string(),
        env: &installed,
        values: Some(&[]),
    };
    // With filters, a failed test is not repeated.
    let mut retries = if wanted.is_empty() { MAX_RETRIED } else { 0 };
    let (mut outcome, mut is_emptied) = (Ok(()), false);
    for (stage, some) in tests::ordered(chosen, &times) {
        println!("{}: {} tests, {} at once", stage.name, some.len(), stage.at_once);
        outcome = match stage.release {
            stages::Release::Installed(values) => release
                .set(run, values)
                .and_then(|()| run_stage(run, &context, &mut times, &mut retries, stage, some))
                .and_then(|was_flaky| {
                    // Remains of an flaky test would disturb those of the next stage. Remains of a test that failed for good are kept
                    // for inspection.
                    if was_flaky && run.count.failed == before {
                        run.stream(&cleanup, &[], &installed)?;
                    }
                    Ok(())
                }),
            stages::Release::InRegistry if run.count.failed > before => {
                println!("skipped: this stage would delete what the failed tests left for inspection");
                break;
            }
            stages::Release::InRegistry => {
                is_emptied = true;
                let access_file =
                    from_registry::begin(run, access_file, |run| run.stream(&remove, &[], &installed));
                let tested = access_file.and_then(|file| {
                    let env = tools.env(&file);
                    let context = RunContext { env: &env, ..context };
                    // Each test starts by emptying the cluster, so its remains disturb no other test.
                    run_stage(run, &context, &mut times, &mut retries, stage, some).map(drop)
                });
                let ok = tested.is_ok() && run.count.failed == before;
                let ended = from_registry::end(run, ok);
                tested.and(ended)
            }
        };
        if outcome.is_err() {
            break;
        }
    }
    // Also after a failure, because other runs follow.
    let back = if is_emptied { Ok(()) } else { release.set(run, &[]) };
    outcome.and(back)?;
    // Only the order of the next run depends on it.
    let _ = fs::write(&file, written(&times));
    match run.count.failed - before {
        0 => Ok(()),
        failed => bail!("{failed} end-to-end tests failed"),
    }
}

/// Programs and files that tests use, besides the cluster.
struct Tools {
    /// Folder with definitions of other projects' kinds.
    definitions: PathBuf,
    /// Script of axe-core.
    axe: PathBuf,
    helm4: PathBuf,
    another_operator: PathBuf,
    /// Programs of chosen suites, each with its environment variable.
    programs: Vec<(&'static str, PathBuf)>,
}

impl Tools {
    /// Environment of tests of the installation in `access_file`.
    fn env<'a>(&'a self, access_file: &'a Path) -> Vec<(&'static str, &'a Path)> {
        let mut env = vec![
            ("JUPYTER_K8S_E2E", access_file),
            ("JUPYTER_K8S_DEFINITIONS", self.definitions.as_path()),
            ("JUPYTER_K8S_ANOTHER_OPERATOR", self.another_operator.as_path()),
            ("JUPYTER_K8S_HELM4", self.helm4.as_path()),
            ("JUPYTER_K8S_AXE", self.axe.as_path()),
        ];
        env.extend(
            self.programs
                .iter()
                .map(|(name, program)| (*name, program.as_path())),
        );
        env
    }
}

/// Runs the tests of a stage. Repeats failed ones alone, as long as repetitions are left. Returns whether some passed only then.
fn run_stage(
    run: &mut Run<'_>,
    context: &RunContext<'_>,
    times: &mut Times,
    retries: &mut usize,
    stage: &Stage,
    tests: Vec<Test>,
) -> anyhow::Result<bool> {
    let before = run.count.flaky.len();
    let failed = run_once(run, context, times, stage.at_once, tests)?;
    let (again, mut lost) = tests::retried(failed, retries);
    for test in again {
        println!("{} failed: it runs again, alone", test.path());
        pool::keep_log(context, &test);
        // Each repeated test runs alone. If it only waited for its namespaces to end, the next one would start.
        let failed = run_once(run, context, times, 1, vec![test.clone()])?;
        if failed.is_empty() {
            run.count.flaky.push(test.path());
        }
        lost.extend(failed);
    }
    count_failed(run, &lost);
    Ok(run.count.flaky.len() > before)
}

fn count_failed(run: &mut Run<'_>, tests: &[Test]) {
    for test in tests {
        run.count.ended(&test.path(), false);
    }
}

/// Runs tests, at most so many at a time. Returns the failed ones, which are not counted yet.
fn run_once(
    run: &mut Run<'_>,
    context: &RunContext<'_>,
    times: &mut Times,
    at_once: usize,
    tests: Vec<Test>,
) -> anyhow::Result<Vec<Test>> {
    let mut failed = Vec::new();
    let outcome = pool::run(tests, at_once, context, |ended| {
        print_result(&ended);
        let path = ended.test.path();
        run.durations.test(&ended.test.suite.name, &path, ended.took);
        if ended.ok {
            run.count.ended(&path, true);
            times.insert(path, ended.took);
        } else {
            failed.push(ended.test);
        }
    });
    if outcome.is_err() {
        count_failed(run, &failed);
    }
    outcome.map(|()| failed)
}

/// The release under test.
struct Release<'a> {
    /// The program that sets it (e2e/src/bin/release.rs).
    program: String,
    env: &'a [(&'a str, &'a Path)],
    /// Its values, besides those of its installation; `None`: unknown.
    values: Option<&'static [&'static str]>,
}

impl Release<'_> {
    /// Sets it to the values of its installation and these values, unless it has them.
    fn set(&mut self, run: &mut Run<'_>, values: &'static [&'static str]) -> anyhow::Result<()> {
        if self.values == Some(values) {
            return Ok(());
        }
        self.values = None;
        run.stream(&self.program, values, self.env)?;
        self.values = Some(values);
        Ok(())
    }
}

/// Builds the tests and their programs.
///
/// # Errors
/// When something does not compile.
pub(super) fn build(run: &mut Run<'_>) -> anyhow::Result<()> {
    programs(run)?;
    another_operator(run).map(drop)
}

/// The operator as another version might be, for the tests of upgrades: an example of its crate, which is built with the unit tests.
fn another_operator(run: &mut Run<'_>) -> anyhow::Result<PathBuf> {
    let build = ["build", "--workspace", "--example", "another_build"];
    let messages = built(run, &build)?;
    program(&messages, "example", "another_build")
}

/// Names of the suites.
pub(super) fn suites(paths: &Paths) -> anyhow::Result<Vec<String>> {
    let folder = paths.clone_root().join("e2e/tests");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Builds the suites and their helpers; returns cargo's messages.
fn programs(run: &mut Run<'_>) -> anyhow::Result<String> {
    let names = suites(run.paths)?;
    // The selection decides the features of dependencies: all crates, as for the unit tests.
    let mut build = vec!["test", "--workspace", "--no-run"];
    build.extend(names.iter().flat_map(|name| ["--test", name]));
    built(run, &build)
}

/// Runs cargo, and returns its messages about the built programs.
fn built(run: &mut Run<'_>, build: &[&str]) -> anyhow::Result<String> {
    run.cargo(build, &[])?;
    let mut command = Cmd::new(cargo()).args(build).arg("--message-format=json");
    for (name, value) in &run.compiler {
        command = command.env(name, value);
    }
    command.dir(run.paths.clone_root()).output()
}

/// The program of this kind and name in the messages of cargo.
fn program(messages: &str, kind: &str, name: &str) -> anyhow::Result<PathBuf> {
    let named = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let target = &message["target"];
        let is_it = target["name"] == name && target["kind"].as_array()?.iter().any(|one| one == kind);
        message["executable"]
            .as_str()
            .filter(|_| is_it)
            .map(PathBuf::from)
    });
    named.with_context(|| format!("cargo built no {kind} {name}"))
}

fn print_result(ended: &Ended) {
    let mark = if ended.ok { "ok    " } else { "FAILED" };
    println!(
        "{mark} {:>6.1} s  {}",
        ended.took.as_secs_f64(),
        ended.test.path()
    );
    if !ended.ok {
        match pool::log_text(ended) {
            Ok(text) => print!("{text}"),
            Err(error) => println!("    {error:#}"),
        }
    }
}

/// The file that the last `demo` or `test` wrote.
///
/// # Errors
/// When there is none.
pub(super) fn installed(run: &Run<'_>) -> anyhow::Result<PathBuf> {
    let file = run.paths.cluster().join("access.json");
    fs::metadata(&file).context(
        "nothing is installed: `./justw demo` installs this checkout's state, then run this again",
    )?;
    Ok(file)
}

fn read(file: &Path) -> Times {
    let text = fs::read_to_string(file).unwrap_or_default();
    let seconds: Vec<(String, f64)> = serde_json::from_str(&text).unwrap_or_default();
    let valid = |(path, seconds)| Some((path, Duration::try_from_secs_f64(seconds).ok()?));
    seconds.into_iter().filter_map(valid).collect()
}

fn written(times: &Times) -> String {
    let seconds: Vec<_> = times
        .iter()
        .map(|(path, took)| (path, took.as_secs_f64()))
        .collect();
    serde_json::json!(seconds).to_string()
}

#[cfg(test)]
mod tests_of_messages {
    use super::*;

    #[test]
    fn a_program_is_found_by_kind_and_name() {
        let artifact = |kind: &str, name: &str, program: Option<&str>| {
            serde_json::json!({
                "reason": "compiler-artifact", "target": {"kind": [kind], "name": name}, "executable": program,
            })
            .to_string()
        };
        let lines = [
            artifact("lib", "one", None),
            artifact("bin", "one", Some("/t/one")),
            artifact("bin", "two", Some("/t/two")),
            artifact("example", "one", Some("/t/examples/one")),
            r#"{"reason": "build-finished"}"#.to_owned(),
        ]
        .join("\n");
        let found = |kind, name| program(&lines, kind, name).unwrap();
        assert_eq!(found("example", "one"), PathBuf::from("/t/examples/one"));
        assert_eq!(found("bin", "two"), PathBuf::from("/t/two"));
        let missing = program(&lines, "example", "two").unwrap_err();
        assert_eq!(missing.to_string(), "cargo built no example two");
    }
}
