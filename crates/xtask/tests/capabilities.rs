//! docs/evidence/capabilities.md and docs/evidence/refusals.md claim only what a test with that name shows.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

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

/// Whether cargo compiles this file: it is the root of a target, or a file that is compiled declares it as its module.
fn is_compiled(file: &Path) -> bool {
    is_root(file)
        || parents(file).is_some_and(|(name, parents)| {
            let declares = |parent: &PathBuf| {
                let source = fs::read_to_string(parent).unwrap_or_default();
                let called = file
                    .file_name()
                    .and_then(|name| name.to_str())
                    .unwrap_or_default();
                let by_path = source.contains(&declaration(called));
                by_path
                    || source.lines().any(|line| {
                        let line = line.trim();
                        let declared = line.strip_suffix(';').and_then(|it| it.rsplit_once("mod "));
                        declared.is_some_and(|(before, it)| it == name && !before.contains("//"))
                    })
            };
            let mut declaring = parents.iter().filter(|parent| declares(parent));
            declaring.any(|parent| is_compiled(parent))
        })
}

/// Whether a file is the root of a library, a program, or a test that cargo finds by itself or that its manifest declares of.
fn is_root(file: &Path) -> bool {
    let is = |end: &str| file.ends_with(end) && file.exists();
    if is("src/lib.rs") || is("src/main.rs") {
        return true;
    }
    let Some(package) = file.ancestors().find(|folder| folder.join("Cargo.toml").exists()) else {
        return false;
    };
    let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap_or_default();
    let Ok(inside) = file.strip_prefix(package) else {
        return false;
    };
    if manifest.contains(&format!("path = {:?}", inside.display().to_string())) {
        return true;
    }
    let parts: Vec<_> = inside.iter().filter_map(|part| part.to_str()).collect();
    let found = match parts.as_slice() {
        ["tests", name] => name.strip_suffix(".rs"),
        ["tests", name, "main.rs"] => Some(*name),
        _ => None,
    };
    let declares = |name: &str| manifest.contains(&format!("[[test]]\nname = {name:?}"));
    found.is_some_and(|name| !manifest.contains("autotests = false") || declares(name))
}

/// The attribute that declares a file beside another by its path.
fn declaration(file: &str) -> String {
    format!("#[path = {file:?}]\n")
}

/// The name of a file's module, and the files that may declare it.
fn parents(file: &Path) -> Option<(String, Vec<PathBuf>)> {
    let file = if file.ends_with("mod.rs") {
        file.parent()?
    } else {
        file
    };
    let folder = file.parent()?;
    let mut parents: Vec<_> = ["mod.rs", "lib.rs", "main.rs"]
        .map(|name| folder.join(name))
        .into();
    parents.push(folder.with_extension("rs"));
    // Beside it, by an attribute `path`.
    let beside = fs::read_dir(folder).into_iter().flatten().flatten();
    let beside = beside.map(|entry| entry.path()).filter(|path| path != file);
    let is_declared_by_path = |path: &PathBuf| {
        let source = fs::read_to_string(path).unwrap_or_default();
        file.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| source.contains(&declaration(name)))
    };
    parents.extend(beside.filter(is_declared_by_path));
    Some((file.file_stem()?.to_str()?.to_owned(), parents))
}

#[test]
fn every_claimed_test_is_in_a_file_that_is_compiled() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let files = PAGES
        .iter()
        .flat_map(|page| claims(&fs::read_to_string(root.join(page)).unwrap()))
        .map(|(_, path, _)| path);
    let left_out: BTreeSet<_> = files.filter(|path| !is_compiled(&root.join(path))).collect();
    assert!(left_out.is_empty(), "no module declares: {left_out:#?}");
}

#[test]
fn a_file_that_no_module_declares_is_found() {
    let folder = std::env::temp_dir().join(format!("xtask-capabilities-{}", std::process::id()));
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("Cargo.toml", "[package]\nname = \"x\"");
    write("tests/suite/main.rs", "mod declared;\n// mod silent;\n");
    write("tests/suite/declared.rs", "pub(crate) mod deep;\n");
    write("src/lost.rs", "mod deep;\n");
    write("src/lib.rs", "");
    for path in [
        "tests/alone.rs",
        "tests/suite/silent.rs",
        "tests/suite/declared/deep.rs",
        "src/lost/deep.rs",
    ] {
        write(path, "");
    }
    let compiled = |path: &str| is_compiled(&folder.join(path));
    assert!(compiled("tests/suite/declared.rs") && compiled("tests/suite/declared/deep.rs"));
    assert!(compiled("tests/alone.rs") && compiled("src/lib.rs"));
    assert!(!compiled("tests/suite/silent.rs"));
    assert!(!compiled("src/lost.rs") && !compiled("src/lost/deep.rs"));
    fs::remove_dir_all(&folder).unwrap();
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

#[test]
fn a_row_that_claims_more_than_its_tests_show_is_found() {
    let found = |shown: &str, tests: &str, state: &str| {
        let page = format!("| 7 | something | {shown} | {tests} | {state} |");
        dishonest(&rows(&page)[0])
    };
    let (live, unit) = ("`e2e/tests/flow/a.rs::b`", "`crates/rules/tests/a.rs::b`");
    let both = format!("{live}, {unit}");
    assert_eq!(found("live", live, "whole"), None);
    assert_eq!(found("live, unit", &both, "partly: a half"), None);
    assert_eq!(found("unit", unit, "partly: not live"), None);
    for (shown, tests, state) in [
        ("live", unit, "whole"),
        ("live, unit", live, "whole"),
        ("live", both.as_str(), "whole"),
        ("unit", unit, "whole"),
        ("live", live, "partly: not live"),
        ("live", live, "claimed"),
    ] {
        assert!(found(shown, tests, state).is_some(), "{shown} {tests} {state}");
    }
}
