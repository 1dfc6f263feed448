//! docs/evidence/capabilities.md and docs/evidence/refusals.md claim only what a test with that name shows.

use std::{collections::BTreeSet, fs, path::Path};

/// The pages with such tables.
const PAGES: [&str; 2] = ["docs/evidence/capabilities.md", "docs/evidence/refusals.md"];

/// The rows of the product's list: each is claimed, or listed as not claimed.
const ROWS: std::ops::RangeInclusive<u32> = 1..=100;

/// Kinds of tests, in the order of the table.
const KINDS: [&str; 5] = ["live", "router", "in memory", "unit", "rendered"];

/// The kind of the test at this path.
fn kind(path: &str) -> &'static str {
    let is_of = |folder: &str| path.starts_with(folder);
    if is_of("e2e/tests/") {
        "live"
    } else if ["gateway", "webhook", "portal"]
        .iter()
        .any(|of| is_of(&format!("crates/{of}/tests/")))
    {
        "router"
    } else if is_of("crates/operator/tests/") {
        "in memory"
    } else if is_of("crates/xtask/tests/chart/") {
        "rendered"
    } else {
        "unit"
    }
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

/// `path::function` of each claim between backquotes.
fn claims(page: &str) -> Vec<(String, String, String)> {
    page.lines()
        .filter(|line| {
            line.starts_with("| ") && line.chars().nth(2).is_some_and(|first| first.is_ascii_digit())
        })
        .flat_map(|line| {
            let row = line
                .trim_start_matches("| ")
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned();
            line.split('`')
                .skip(1)
                .step_by(2)
                .filter_map(move |claim| {
                    let (path, function) = claim.split_once("::")?;
                    Some((row.clone(), path.to_owned(), function.to_owned()))
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn every_claimed_test_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let claims: Vec<_> = PAGES
        .iter()
        .flat_map(|page| {
            let claims = claims(&fs::read_to_string(root.join(page)).unwrap());
            assert!(claims.len() > 10, "{page} lists claims");
            claims
        })
        .collect();
    let missing: BTreeSet<_> =
        claims
            .iter()
            .filter(|(_, path, function)| {
                let source = fs::read_to_string(root.join(path)).unwrap_or_default();
                let Some(at) = source.find(&format!("fn {function}(")) else {
                    return true;
                };
                // The attribute stands right above, with or without `async`.
                let before = &source[..at];
                !before.lines().rev().take(4).any(|line| {
                    line.contains("test]") || line.contains("::test(") || line.contains("proptest!")
                })
            })
            .collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

#[test]
fn every_row_of_the_table_names_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    for name in PAGES {
        let page = fs::read_to_string(root.join(name)).unwrap();
        let claimed: BTreeSet<_> = claims(&page).into_iter().map(|(row, ..)| row).collect();
        let rows = page.lines().filter_map(|line| {
            let row = line.strip_prefix("| ")?.split(' ').next()?;
            row.parse::<u32>().ok().map(|_| row.to_owned())
        });
        let unproved: Vec<_> = rows.filter(|row| !claimed.contains(row)).collect();
        assert!(unproved.is_empty(), "rows of {name} without a test: {unproved:?}");
    }
}

#[test]
fn every_row_is_claimed_or_listed_as_not_claimed_once_and_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let page = fs::read_to_string(root.join(PAGES[0])).unwrap();
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let page = fs::read_to_string(root.join(PAGES[0])).unwrap();
    let wrong: Vec<_> = rows(&page).iter().filter_map(dishonest).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
