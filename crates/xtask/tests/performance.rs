//! docs/performance.md -> its first lines name every figure that misses a target (IO).

use std::{fs, path::Path};

/// Maximum CPU of a decision, compared with a bare server.
const DECISION: f64 = 1.5;
/// Maximum p99 of a decision at 2,000 requests per second, in ms.
const P99: f64 = 1.0;
/// Maximum duration of a phase at scale, compared with the creation of bare objects.
const TO_CREATION: f64 = 1.3;
/// Maximum duration of a phase at scale, compared with the same phase of bare objects.
const TO_SAME: f64 = 1.6;
/// Maximum CPU of the operator per start, in ms.
const START: f64 = 5.0;

/// The cells of the tables between the marks of a bench.
fn rows<'a>(page: &'a str, bench: &str) -> Vec<Vec<&'a str>> {
    let (begin, end) = (
        format!("<!-- {bench}: begin -->"),
        format!("<!-- {bench}: end -->"),
    );
    let table = page
        .split_once(&begin)
        .and_then(|(_, rest)| rest.split_once(&end));
    assert!(table.is_some(), "no table of {bench}");
    let table = table.unwrap_or_default().0;
    let rows = table
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.map(|row| row.split(" | ").map(|cell| cell.trim_matches('*')).collect())
        .collect()
}

fn is_over(figure: &str, most: f64) -> bool {
    figure.parse::<f64>().is_ok_and(|figure| figure > most)
}

/// Figures that miss their target.
fn missed(page: &str) -> Vec<String> {
    let mut missed = Vec::new();
    for row in rows(page, "bench-gateway") {
        match row.as_slice() {
            ["ratio", cpu, ..] if is_over(cpu, DECISION) => missed.push((*cpu).to_owned()),
            [what, .., p99] if what.contains("2,000 requests a second: `/verify`") && is_over(p99, P99) => {
                missed.push((*p99).to_owned());
            }
            _ => {}
        }
    }
    for row in rows(page, "bench-operator") {
        let [_, phase, _, _, same, creation, .., cpu, _] = row.as_slice() else {
            continue;
        };
        missed.extend(
            [(same, TO_SAME), (creation, TO_CREATION)]
                .into_iter()
                .filter(|(ratio, most)| is_over(ratio, *most))
                .map(|(ratio, _)| (*ratio).to_owned()),
        );
        if matches!(*phase, "create" | "start") && is_over(cpu, START) {
            missed.push((*cpu).to_owned());
        }
    }
    missed
}

/// Figures that miss their target and are missing in the first lines, each as often as it occurs.
fn unnamed(page: &str) -> Vec<String> {
    let first = page.split("\n## ").next().unwrap_or_default();
    let mut figures: Vec<_> = first.split("**").skip(1).step_by(2).collect();
    let is_unsaid = |figure: &String| {
        let at = figures.iter().position(|it| it == figure);
        at.map(|at| figures.remove(at)).is_none()
    };
    missed(page).into_iter().filter(is_unsaid).collect()
}

fn page() -> std::io::Result<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/performance.md"))
}

#[test]
fn every_missed_target_is_named_in_the_first_lines() {
    let page = page().unwrap();
    assert_eq!(unnamed(&page), Vec::<String>::new());
    assert!(missed(&page).len() >= 5, "{:?}", missed(&page));
}

#[test]
fn a_new_table_that_misses_a_target_by_another_figure_is_found() {
    let worse = page()
        .unwrap()
        .replacen("| ratio | **1.33** |", "| ratio | **9.87** |", 1);
    assert_eq!(unnamed(&worse), ["9.87"]);
}
