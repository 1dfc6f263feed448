//! Tests that passed and are not in every run -> their lines in docs/evidence/last-run.md (IO).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::exec::Cmd;

/// Below the checkout.
const PAGE: &str = "docs/evidence/last-run.md";
/// What comes before the lines.
const HEAD: &str = "# Tests that are not in every run

For who reads [capabilities.md](capabilities.md): when each of them passed last, and at which commit. One without a line has not passed
since this page began. `./justw test e2e releases:: ::older registry::` writes it.

| test | day | commit |
|---|---|---|
";

/// Today's day and this commit, as cells of a line.
///
/// # Errors
/// When git or `date` fails.
pub(super) fn now(checkout: &Path) -> anyhow::Result<String> {
    let day = Cmd::new("date").args(["-u", "+%F"]).output()?;
    let commit = Cmd::new("git")
        .args(["describe", "--always", "--abbrev=12", "--dirty"])
        .dir(checkout)
        .output()?;
    Ok(format!("{} | {}", day.trim(), commit.trim()))
}

/// Writes [`now`], as it was before the first stage, into the lines of `tests`.
///
/// # Errors
/// When the page cannot be written.
pub(super) fn write(checkout: &Path, tests: &[String], now: &str) -> anyhow::Result<()> {
    let page = checkout.join(PAGE);
    let before = fs::read_to_string(&page).unwrap_or_default();
    fs::write(&page, updated(&before, tests, now)).with_context(|| format!("cannot write {PAGE}"))
}

/// The page with `run` in the lines of `tests` (pure).
fn updated(before: &str, tests: &[String], run: &str) -> String {
    let mut runs: BTreeMap<&str, &str> = before
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "))
        .collect();
    runs.extend(tests.iter().map(|test| (test.as_str(), run)));
    let lines = runs.iter().map(|(test, run)| format!("| `{test}` | {run} |\n"));
    HEAD.to_owned() + &lines.collect::<String>()
}
