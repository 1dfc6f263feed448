//! docs/evidence/capabilities.md and docs/evidence/refusals.md claim only what a test with that name shows.

use std::{collections::BTreeSet, fs, path::Path};

/// The pages with such tables.
const PAGES: [&str; 2] = ["docs/evidence/capabilities.md", "docs/evidence/refusals.md"];

/// The rows of the product's list: each is claimed, or listed as not claimed.
const ROWS: std::ops::RangeInclusive<u32> = 1..=100;

/// Kinds of tests, in the order of the table.
const KINDS: [&str; 6] = ["live", "application", "router", "in memory", "unit", "rendered"];

/// The kind of the test at this path.
fn kind(path: &str) -> &'static str {
    let is_of = |folder: &str| path.starts_with(folder);
    if is_of("e2e/tests/") {
        "live"
    } else if is_of("deploy/images/") {
        "application"
    } else if ["gateway", "webhook", "portal"]
        .iter()
        .any(|of| is_of(&format!("crates/{of}/tests/")))
    {
        "router"
    } else if is_of("crates/operator/tests/") || is_of("python/") {
        "in memory"
    } else if is_of("crates/xtask/tests/chart/") {
        "rendered"
    } else {
        "unit"
    }
}

/// A file of the repository; empty: there is none.
fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap_or_default()
}

/// One row of the table of capabilities.
struct Row {
    number: u32,
    shown: String,
    tests: String,
    state: String,
}

/// The rows of the table of capabilities.
fn rows(page: &str) -> Vec<Row> {
    let cells = |line: &str| -> Option<Row> {
        let cells: Vec<_> = line
            .strip_prefix("| ")?
            .strip_suffix(" |")?
            .split(" | ")
            .collect();
        let number = cells[0].parse().ok()?;
        assert_eq!(cells.len(), 5, "cells of row {number}");
        Some(Row {
            number,
            shown: cells[2].to_owned(),
            tests: cells[3].to_owned(),
            state: cells[4].to_owned(),
        })
    };
    page.lines().filter_map(cells).collect()
}

/// The wrong statement of a row about its tests.
fn dishonest(row: &Row) -> Option<String> {
    let paths = row
        .tests
        .split('`')
        .filter_map(|claim| Some(claim.split_once("::")?.0));
    let kinds: BTreeSet<_> = paths.map(kind).collect();
    let shown: Vec<_> = KINDS.into_iter().filter(|kind| kinds.contains(kind)).collect();
    let shown = shown.join(", ");
    let number = row.number;
    if row.shown != shown {
        return Some(format!(
            "row {number} is shown {:?}; its tests are {shown:?}",
            row.shown
        ));
    }
    let says_so = row.state.starts_with("partly: not live");
    if kinds.contains("live") == says_so {
        return Some(format!(
            "row {number} is shown {shown:?}; its state is {:?}",
            row.state
        ));
    }
    let is_known = row.state.starts_with("whole") || row.state.starts_with("partly: ");
    (!is_known).then(|| format!("row {number} is neither whole nor partly: {:?}", row.state))
}

/// Number of a row, with `path`, `function` of each claim between backquotes.
fn claims(line: &str) -> Option<(u32, Vec<(&str, &str)>)> {
    let number = line.strip_prefix("| ")?.split(' ').next()?.parse().ok()?;
    let quoted = line.split('`').skip(1).step_by(2);
    let claims = quoted.filter_map(|claim| claim.split_once("::"));
    Some((number, claims.collect()))
}

#[test]
fn every_row_of_the_table_names_a_test_and_every_claimed_test_exists() {
    let exists = |(path, function): &(&str, &str)| {
        let source = read(path);
        if Path::new(path).extension().is_some_and(|of| of == "py") {
            let is_test =
                function.starts_with("test_") && path.rsplit('/').next().unwrap().starts_with("test_");
            return is_test && source.contains(&format!("def {function}(self)"));
        }
        let before = source
            .split_once(&format!("fn {function}("))
            .map(|(before, _)| before);
        // The attribute stands right above, with or without `async`.
        before.is_some_and(|before| {
            let mut above = before.lines().rev().take(4);
            above.any(|line| line.contains("test]") || line.contains("::test(") || line.contains("proptest!"))
        })
    };
    for name in PAGES {
        let page = read(name);
        let rows: Vec<_> = page.lines().filter_map(claims).collect();
        assert!(rows.len() > 10, "{name} has rows");
        let unproved: Vec<_> = rows.iter().filter(|(_, tests)| tests.is_empty()).collect();
        assert!(unproved.is_empty(), "rows of {name} without a test: {unproved:?}");
        let missing: BTreeSet<_> = rows
            .iter()
            .flat_map(|(_, tests)| tests)
            .filter(|test| !exists(test))
            .collect();
        assert!(missing.is_empty(), "no such tests in {name}: {missing:#?}");
    }
}

#[test]
fn every_row_is_claimed_or_listed_as_not_claimed_once_and_in_order() {
    let page = read(PAGES[0]);
    let claimed: Vec<_> = rows(&page).into_iter().map(|row| row.number).collect();
    let unclaimed: Vec<u32> = page
        .lines()
        .filter_map(|line| {
            let (number, missing) = line.strip_prefix("- ")?.split_once(": ")?;
            let number = number.parse().ok()?;
            assert!(missing.len() > 4, "row {number} does not say what is missing");
            Some(number)
        })
        .collect();
    assert!(claimed.is_sorted_by(|one, next| one < next), "{claimed:?}");
    assert!(unclaimed.is_sorted_by(|one, next| one < next), "{unclaimed:?}");
    let mut all = [claimed, unclaimed].concat();
    all.sort_unstable();
    assert_eq!(all, ROWS.collect::<Vec<_>>());
}

#[test]
fn every_row_says_by_what_it_is_shown_as_the_paths_of_its_tests_do() {
    let page = read(PAGES[0]);
    let wrong: Vec<_> = rows(&page).iter().filter_map(dishonest).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_row_that_claims_more_than_its_tests_show_is_found() {
    let (live, unit) = ("`e2e/tests/flow/a.rs::b`", "`crates/rules/tests/a.rs::b`");
    let hub = "`python/jupyterhub-workspacespawner/tests/test_a.py::test_b`";
    for (shown, tests, state, is_honest) in [
        ("live", live, "whole", true),
        ("unit", unit, "partly: not live", true),
        ("live", unit, "whole", false),
        ("unit", unit, "whole", false),
        ("in memory", hub, "partly: not live", true),
        ("live", hub, "whole", false),
        ("live", live, "partly: not live", false),
        ("live", live, "claimed", false),
    ] {
        let row = &rows(&format!("| 7 | something | {shown} | {tests} | {state} |"))[0];
        assert_eq!(dishonest(row).is_none(), is_honest, "{shown} {tests} {state}");
    }
}
