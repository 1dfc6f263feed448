//! A profile and filters -> tests that ran, in nextest, installed when missing (IO).

use std::fs;
use std::path::{Path, PathBuf};

use super::{Run, stream};
use crate::exec::Cmd;
use crate::venv;

/// Below the checkout: its wheel.
const REQUIREMENTS: &str = "crates/xtask/components/nextest/requirements.txt";

fn ensure(run: &Run<'_>) -> anyhow::Result<PathBuf> {
    let folder = venv::ensure(run.paths, "nextest", REQUIREMENTS, &run.progress)?;
    Ok(folder.join("bin/cargo-nextest"))
}

/// Runs the tests of a profile that these arguments select. The end of the output is kept for the summary, and the report in the logs.
///
/// # Errors
/// When a test fails, or something does not compile.
pub(super) fn run(
    run: &mut Run<'_>,
    profile: &str,
    args: &[String],
    env: &[(&str, &Path)],
) -> anyhow::Result<()> {
    let nextest = ensure(run)?.display().to_string();
    let mut all = vec!["nextest", "run", "--profile", profile];
    all.extend(args.iter().map(String::as_str));
    let mut environment = run.compiler_env();
    environment.extend_from_slice(env);
    let mut end = Vec::new();
    let result = stream(&nextest, &all, &environment, run.paths.clone_root(), |line| {
        if !end.is_empty() || line.trim_start().starts_with("Summary [") {
            end.push(format!("    {profile}: {}", line.trim()));
        }
    });
    run.summary.extend(end);
    let report = run
        .paths
        .clone_root()
        .join(format!("target/nextest/{profile}/junit.xml"));
    let kept = run.paths.logs().join(format!("tests-{profile}.xml"));
    // Only a reader of the logs misses it.
    if fs::create_dir_all(run.paths.logs())
        .and_then(|()| fs::copy(&report, &kept))
        .is_ok()
    {
        println!("outputs: {}", kept.display());
    }
    result
}

/// Paths (`suite::module::name`) of the end-to-end tests of a profile.
///
/// # Errors
/// When they do not compile.
pub(super) fn list(run: &Run<'_>, profile: &str, args: &[String]) -> anyhow::Result<Vec<String>> {
    let mut command = Cmd::new(ensure(run)?)
        .args(["nextest", "list", "--profile", profile])
        .args(["--message-format", "oneline", "--cargo-quiet"])
        .args(args)
        .dir(run.paths.clone_root());
    for (name, value) in run.compiler_env() {
        command = command.env(name, value);
    }
    let lines = command.output()?;
    Ok(lines
        .lines()
        .filter_map(|line| line.strip_prefix("e2e::"))
        .map(|line| line.replace(' ', "::"))
        .collect())
}
