//! The installation, and words that choose tests -> end-to-end tests that ran (IO).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::Run;
use super::pool::{self, Ended, World};
use super::tests::{self, Suite, Times};
use crate::cluster;
use crate::exec::{Cmd, cargo};
use crate::{apt, definitions};

/// What the browser tests need: Chromium, its driver, and certutil, by which it is told whom to trust.
const BROWSER: [&str; 3] = ["chromium", "chromium-driver", "libnss3-tools"];
/// Tests that run at the same time, on a machine of two cores. They wait more than they work; with more of them the cluster
/// is what they wait for.
const AT_ONCE: usize = 6;

/// Runs the tests whose path contains one of `wanted`, or all of them, on what `access_file` tells of.
///
/// # Errors
/// When a test fails, none is called like a word, or what tests need cannot be installed or built.
pub(super) fn run(run: &mut Run<'_>, access_file: &Path, wanted: &[String]) -> anyhow::Result<()> {
    let paths = run.paths;
    apt::ensure(&BROWSER, &run.progress)?;
    if cluster::is_node_here(paths)? {
        cluster::kwok::up(paths, 0, &run.progress)?;
    }
    let definitions = definitions::ensure(paths, &run.progress)?;
    let another = another_operator(run)?;
    let env = [
        ("JUPYTER_K8S_E2E", access_file),
        ("JUPYTER_K8S_DEFINITIONS", definitions.as_path()),
        ("JUPYTER_K8S_ANOTHER_OPERATOR", another.as_path()),
    ];
    run.cargo(&["test", "--package", "e2e", "--no-run"], &[])?;
    let mut all = Vec::new();
    for suite in suites(run)? {
        let listed = Cmd::new(&suite.program)
            .args(["--list", "--format=terse"])
            .output()?;
        all.extend(tests::tests(&suite, &listed));
    }
    let chosen = tests::chosen(all, wanted)
        .map_err(|word| anyhow::anyhow!("no end-to-end test's path contains `{word}`"))?;

    let _alone = cluster::lock::of_tests(paths, &run.progress)?;
    run.cargo(&["run", "--quiet", "--package", "e2e", "--bin", "sweep"], &env)?;
    let file = paths.cache().join("test-times.json");
    let mut times = read(&file);
    let (beside, alone) = tests::ordered(chosen, &times);
    let world = World {
        env: &env,
        folder: &paths.clone_root().join("e2e"),
        logs: &paths.logs().join("e2e"),
    };
    println!(
        "{} tests beside each other, {AT_ONCE} at once, then {} alone; what each prints is in {}",
        beside.len(),
        alone.len(),
        world.logs.display()
    );
    let before = run.count.failed;
    for (some, at_once) in [(beside, AT_ONCE), (alone, 1)] {
        pool::run(some, at_once, &world, |ended| {
            tell(&ended);
            if ended.ok {
                times.insert(ended.path.clone(), ended.took);
            }
            run.durations.test(&ended.suite, &ended.path, ended.took);
            run.count.ended(&ended.path, ended.ok);
        })?;
    }
    // Only the order of the next run depends on it.
    let _ = fs::write(&file, written(&times));
    match run.count.failed - before {
        0 => Ok(()),
        failed => bail!("{failed} end-to-end tests failed"),
    }
}

/// The operator as another version might be, which the tests of upgrades run: an example of its crate, which is built with the unit tests.
fn another_operator(run: &mut Run<'_>) -> anyhow::Result<PathBuf> {
    // What else is chosen decides the features of dependencies: it is what the unit tests choose.
    let build = [
        "build",
        "--workspace",
        "--exclude",
        "e2e",
        "--example",
        "another_build",
    ];
    run.cargo(&build, &[])?;
    let messages = Cmd::new(cargo())
        .args(build)
        .arg("--message-format=json")
        .dir(run.paths.clone_root())
        .output()?;
    example(&messages).context("cargo names no example another_build")
}

/// The one example among the messages of `cargo build --message-format=json`.
fn example(messages: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let kinds = message["target"]["kind"].as_array()?;
        let program = message["executable"].as_str()?;
        kinds
            .iter()
            .any(|kind| kind == "example")
            .then(|| PathBuf::from(program))
    })
}

fn suites(run: &Run<'_>) -> anyhow::Result<Vec<Suite>> {
    let messages = Cmd::new(cargo())
        .args(["test", "--package", "e2e", "--no-run", "--message-format=json"])
        .dir(run.paths.clone_root())
        .output()?;
    Ok(tests::suites(&messages))
}

fn tell(ended: &Ended) {
    let verdict = if ended.ok { "ok    " } else { "FAILED" };
    println!("{verdict} {:>6.1} s  {}", ended.took.as_secs_f64(), ended.path);
    if !ended.ok {
        match pool::words(ended) {
            Ok(words) => print!("{words}"),
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
    fn an_example_is_found_among_libraries_and_programs() {
        let artifact = |kind: &str, program: Option<&str>| {
            serde_json::json!({"reason": "compiler-artifact", "target": {"kind": [kind]}, "executable": program}).to_string()
        };
        let lines = [
            artifact("lib", None),
            artifact("bin", Some("/t/server")),
            artifact("example", Some("/t/examples/one")),
            r#"{"reason": "build-finished"}"#.to_owned(),
        ];
        assert_eq!(example(&lines.join("\n")), Some(PathBuf::from("/t/examples/one")));
        assert_eq!(example(&lines[..2].join("\n")), None);
    }
}
