//! Times that readers waited -> figures beside their targets, JSON and a table (pure).

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::targets::Target;
use crate::bench::figures::share;

/// Of the slow network, ms.
pub(super) const LATENCY: u32 = 40;
/// Of the slow network, a second: 10 Mbit.
pub(super) const BYTES: u32 = 1_250_000;
/// The conditions of the other loads.
const SLOW: &str = "4 times slower processor, 40 ms, 10 Mbit/s";

/// One load as the page's script saw it, milliseconds since the navigation.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Load {
    rows: usize,
    /// Until the last row was shown.
    last: f64,
    /// Until the largest contentful paint.
    largest: f64,
    /// Sum of the layout shifts.
    pub(super) shift: f64,
    /// Sum of what tasks took beyond 50 ms, after the first contentful paint.
    blocked: f64,
    /// Patches of the stream.
    pub(super) patches: u32,
}

/// An open list while statuses changed.
#[derive(Debug, Clone, Copy, Serialize)]
pub(in super::super) struct Update {
    pub(super) changes: u32,
    pub(super) patches: u32,
    /// Longest task, milliseconds.
    pub(super) longest: f64,
    /// Sum of the layout shifts.
    pub(super) shift: f64,
}

/// A reader's list.
#[derive(Debug)]
pub(in super::super) struct Shown {
    pub(super) name: &'static str,
    /// For the last row, seconds.
    pub(super) limit: f64,
    pub(super) usual: Vec<Load>,
    pub(super) slow: Vec<Load>,
    pub(super) update: Update,
}

/// Median of a part of loads, and the most.
fn spread(loads: &[Load], part: fn(&Load) -> f64) -> [f64; 2] {
    let mut sorted: Vec<f64> = loads.iter().map(part).collect();
    sorted.sort_by(f64::total_cmp);
    [share(&sorted, 50), sorted.last().copied().unwrap_or_default()]
}

impl Shown {
    /// The figures in a line.
    pub(super) fn line(&self) -> String {
        let last = |loads: &[Load]| spread(loads, |load| load.last)[0];
        format!(
            "{}: last row after {:.0} ms, slow {:.0} ms, longest task on update {:.0} ms",
            self.name,
            last(&self.usual),
            last(&self.slow),
            self.update.longest
        )
    }

    pub(in super::super) fn targets(&self) -> Vec<Target> {
        let target = |what: &str, unit, figure, limit, digits| Target {
            name: format!("list of {} in a browser: {what}", self.name),
            unit,
            figure,
            limit,
            digits,
        };
        let [last, _] = spread(&self.usual, |load| load.last);
        let [slow, _] = spread(&self.slow, |load| load.last);
        let [largest, _] = spread(&self.usual, |load| load.largest);
        let [blocked, _] = spread(&self.usual, |load| load.blocked);
        let [_, shift] = spread(&self.usual, |load| load.shift);
        vec![
            target("last row shown", "s", last / 1e3, self.limit, 2),
            target(&format!("last row shown, {SLOW}"), "s", slow / 1e3, 2.0, 2),
            target("largest contentful paint", "s", largest / 1e3, 1.0, 2),
            target("total blocking time", "ms", blocked, 50.0, 0),
            target("layout shift while it loads", "", shift, 0.0, 4),
            target("layout shift at updates", "", self.update.shift, 0.0, 4),
            target("longest task on update", "ms", self.update.longest, 50.0, 0),
        ]
    }

    pub(in super::super) fn json(&self) -> Value {
        json!({"of": self.name, "loads": self.usual, "slowLoads": self.slow, "update": self.update})
    }
}

/// Loads by list and network; updates by list.
pub(in super::super) fn table(all: &[Shown]) -> String {
    let mut table = "| list in a browser | rows | last row, ms: median | most | largest contentful paint, ms: median | most | blocked, ms: median | most | layout shift: most |\n\
                     |---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for shown in all {
        for (loads, network) in [(&shown.usual, String::new()), (&shown.slow, format!(", {SLOW}"))] {
            let rows = loads.iter().map(|load| load.rows).max().unwrap_or_default();
            let _ = write!(table, "| {}{network} | {rows} |", shown.name);
            for part in [
                (|load| load.last) as fn(&Load) -> f64,
                |load| load.largest,
                |load| load.blocked,
            ] {
                let [median, most] = spread(loads, part);
                let _ = write!(table, " {median:.0} | {most:.0} |");
            }
            let [_, shift] = spread(loads, |load| load.shift);
            let _ = writeln!(table, " {shift:.4} |");
        }
    }
    table.push_str("\n| open list in a browser | changes | patches | longest task, ms | layout shift |\n|---|---|---|---|---|\n");
    for Shown { name, update, .. } in all {
        let Update {
            changes,
            patches,
            longest,
            shift,
        } = update;
        let _ = writeln!(
            table,
            "| {name} | {changes} | {patches} | {longest:.0} | {shift:.4} |"
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(last: f64, shift: f64) -> Load {
        Load {
            rows: 50,
            last,
            largest: last / 2.0,
            shift,
            blocked: 20.0,
            patches: 1,
        }
    }

    fn shown() -> Shown {
        Shown {
            name: "an owner",
            limit: 0.6,
            usual: vec![load(700.0, 0.0), load(300.0, 0.01), load(500.0, 0.0)],
            slow: vec![load(2100.0, 0.0)],
            update: Update {
                changes: 200,
                patches: 40,
                longest: 12.4,
                shift: 0.0,
            },
        }
    }

    #[test]
    fn a_list_is_held_to_the_median_of_its_loads_and_to_its_worst_shift() {
        let targets = shown().targets();
        let missed: Vec<_> = targets
            .iter()
            .filter(|it| it.is_missed())
            .map(|it| &*it.name)
            .collect();
        assert_eq!(
            missed,
            [
                "list of an owner in a browser: last row shown, 4 times slower processor, 40 ms, 10 Mbit/s",
                "list of an owner in a browser: layout shift while it loads",
            ]
        );
    }

    #[test]
    fn the_table_has_a_row_for_each_network_and_each_update() {
        let table = table(&[shown()]);
        for line in [
            "| an owner | 50 | 500 | 700 | 250 | 350 | 20 | 20 | 0.0100 |\n",
            "| an owner, 4 times slower processor, 40 ms, 10 Mbit/s | 50 | 2100 | 2100 | 1050 | 1050 | 20 | 20 | 0.0000 |\n",
            "| an owner | 200 | 40 | 12 | 0.0000 |\n",
        ] {
            assert!(table.contains(line), "{line} {table}");
        }
    }

    #[test]
    fn what_the_page_s_script_says_is_read() {
        let said = json!({"rows": 50, "last": 312.5, "largest": 200, "shift": 0, "blocked": 0, "patches": 1});
        let load: Load = serde_json::from_value(said).unwrap();
        assert_eq!((load.rows, load.patches), (50, 1));
    }
}
