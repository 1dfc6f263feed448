//! Metrics of a program -> whether docs/monitoring.md lists the same ones (IO: reads that page).

use std::collections::BTreeSet;
use std::path::Path;

/// Compares docs/monitoring.md with `exposition`, which contains all metrics of a program.
/// Each metric must have a row with its name in Prometheus, its type and its meaning. No other row may begin with `prefix`.
///
/// # Panics
/// They differ. The message contains the correct rows.
pub fn assert_documented(exposition: &str, prefix: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/monitoring.md");
    let page = std::fs::read_to_string(&page).unwrap_or_default();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let (mut listed, mut missing) = (BTreeSet::new(), Vec::new());
    for help in exposition.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let (name, text) = help.split_once(' ').unwrap_or((help, ""));
        let text = text.trim_end_matches('.');
        let kind = exposition
            .lines()
            .find_map(|line| {
                line.strip_prefix("# TYPE ")?
                    .strip_prefix(name)?
                    .strip_prefix(' ')
            })
            .unwrap_or_default();
        // Prometheus shows a counter under a longer name than the exposition's `TYPE` line.
        let shown = match kind {
            "counter" => format!("{name}_total"),
            _ => name.to_owned(),
        };
        let (begin, end) = (format!("| `{shown}` | {kind} |"), format!("| {text} |"));
        if !rows
            .iter()
            .any(|row| row.starts_with(&begin) && row.ends_with(&end))
        {
            missing.push(format!("{begin} … {end}"));
        }
        listed.insert(shown);
    }
    let named = rows.iter().filter_map(|row| row.split('`').nth(1));
    let gone: Vec<_> = named
        .filter(|name| name.starts_with(prefix) && !listed.contains(*name))
        .collect();
    assert!(!listed.is_empty(), "the program has no metrics");
    assert!(
        missing.is_empty() && gone.is_empty(),
        "docs/monitoring.md lacks {missing:#?} and has {gone:#?} too many"
    );
}
