//! docs/capabilities.md and docs/refusals.md claim only what a test with that name shows.

use std::{collections::BTreeSet, fs, path::Path};

/// The pages with such tables.
const PAGES: [&str; 2] = ["docs/capabilities.md", "docs/refusals.md"];

/// `path::function` of a claim, as it stands between backquotes.
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
