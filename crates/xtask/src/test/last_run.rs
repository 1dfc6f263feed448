//! Tests that are not in every run <-> their lines in docs/evidence/last-run.md (IO).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::exec::Cmd;

/// Below the checkout.
const PAGE: &str = "docs/evidence/last-run.md";
/// What comes before the lines.
const HEAD: &str = "# Tests that are not in every run

For readers of [capabilities.md](capabilities.md): when each of them passed last, and at which commit.
`./justw test e2e releases:: ::older registry::` writes it.

`./justw test` fails if one of them has no line, passed more than 300 commits ago, or did not pass since its file changed more than
50 commits ago. In a shallow clone it looks for missing lines only.

| test | day | commit |
|---|---|---|
";

/// A line counts for so many commits.
const VALID: usize = 300;
/// It counts for so many after its test changed.
const GRACE: usize = 50;

/// Today's day and this commit, as cells of a line.
///
/// # Errors
/// When git or `date` fails.
pub(super) fn now(checkout: &Path) -> anyhow::Result<String> {
    let day = Cmd::new("date").args(["-u", "+%F"]).output()?;
    let commit = git(checkout, &["describe", "--always", "--abbrev=12", "--dirty"])?;
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

/// Checks that each of `tests` has a line that still counts.
///
/// # Errors
/// Names those without. When git fails.
pub(super) fn check(checkout: &Path, tests: &[String]) -> anyhow::Result<()> {
    let page = fs::read_to_string(checkout.join(PAGE)).unwrap_or_default();
    let runs = lines(&page);
    let is_shallow = git(checkout, &["rev-parse", "--is-shallow-repository"])?.trim() == "true";
    let mut problems = Vec::new();
    for test in tests {
        let commit = runs
            .get(test.as_str())
            .and_then(|run| run.split_once(" | "))
            .map(|(_, commit)| commit);
        let ages = match commit {
            Some(commit) if !is_shallow && !commit.ends_with("-dirty") => {
                let since = |paths: &[String]| commits_since(checkout, commit, paths);
                let changes = since(&sources(test))?;
                let after_change = match changes.last() {
                    Some(first) => commits_since(checkout, first, &[])?.len(),
                    None => 0,
                };
                (since(&[])?.len(), after_change)
            }
            _ => (0, 0),
        };
        problems.extend(problem(commit, ages).map(|problem| format!("{test}: {problem}")));
    }
    ensure!(
        problems.is_empty(),
        "{PAGE} has no line that counts for:\n{}\n`./justw test e2e releases:: ::older registry::` writes them, before other changes",
        problems.join("\n")
    );
    Ok(())
}

/// Why a line does not count (pure). `ages`: numbers of commits since its own, and since the first one after it that changed the test.
fn problem(commit: Option<&str>, (age, changed): (usize, usize)) -> Option<String> {
    match commit {
        None => Some("has no line".to_owned()),
        Some(commit) if commit.ends_with("-dirty") => {
            Some(format!("ran with changes that no commit has ({commit})"))
        }
        Some(_) if age > VALID => Some(format!("passed {age} commits ago, which must be at most {VALID}")),
        Some(_) if changed > GRACE => Some(format!(
            "changed {changed} commits ago and did not pass since, which must be at most {GRACE}"
        )),
        Some(_) => None,
    }
}

/// The file of a test, or the folder of its module (pure).
fn sources(test: &str) -> Vec<String> {
    let parts: Vec<&str> = test.split("::").collect();
    match parts[..] {
        [suite, module, _, ..] => vec![
            format!("e2e/tests/{suite}/{module}.rs"),
            format!("e2e/tests/{suite}/{module}"),
        ],
        _ => vec![format!("e2e/tests/{}", parts[0])],
    }
}

/// Commits after this one, the newest first: all, or those that changed one of `paths`.
fn commits_since(checkout: &Path, commit: &str, paths: &[String]) -> anyhow::Result<Vec<String>> {
    let range = format!("{commit}..HEAD");
    let mut args = vec!["rev-list", range.as_str(), "--"];
    args.extend(paths.iter().map(String::as_str));
    let commits = git(checkout, &args)
        .with_context(|| format!("{PAGE} names the commit {commit}, which must be in the history"))?;
    Ok(commits.lines().map(str::to_owned).collect())
}

fn git(checkout: &Path, args: &[&str]) -> anyhow::Result<String> {
    Cmd::new("git").args(args).dir(checkout).output()
}

/// Day and commit of each test that has a line (pure).
fn lines(page: &str) -> BTreeMap<&str, &str> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "))
        .collect()
}

/// The page with `run` in the lines of `tests` (pure).
fn updated(before: &str, tests: &[String], run: &str) -> String {
    let mut runs = lines(before);
    runs.extend(tests.iter().map(|test| (test.as_str(), run)));
    let lines = runs.iter().map(|(test, run)| format!("| `{test}` | {run} |\n"));
    HEAD.to_owned() + &lines.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_replaced_when_its_test_passes_and_others_stay() {
        let first = updated(
            "",
            &["releases::b::works".into(), "registry::a".into()],
            "day | 1",
        );
        let second = updated(&first, &["registry::a".into()], "next day | 2");
        assert!(second.starts_with(HEAD));
        let expected = [("registry::a", "next day | 2"), ("releases::b::works", "day | 1")];
        assert_eq!(lines(&second), expected.into());
    }

    #[test]
    fn a_line_counts_for_300_commits_and_for_50_after_its_test_changed() {
        let counts = |commit, ages| problem(commit, ages).is_none();
        assert!(counts(Some("1"), (300, 50)));
        assert!(!counts(Some("1"), (301, 0)));
        assert!(!counts(Some("1"), (51, 51)));
        assert!(!counts(Some("1-dirty"), (0, 0)));
        assert!(!counts(None, (0, 0)));
    }

    #[test]
    fn a_test_changes_with_its_module() {
        let folder = |module: &str| format!("e2e/tests/releases/{module}");
        let both = |module: &str| vec![folder(&format!("{module}.rs")), folder(module)];
        assert_eq!(sources("releases::fronts::deep::serves"), both("fronts"));
        assert_eq!(sources("releases::usage::is_shown"), both("usage"));
        assert_eq!(sources("registry::installs"), ["e2e/tests/registry"]);
    }
}
