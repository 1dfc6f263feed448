//! Figures -> JSON, a table, and the table in its place in a page (pure).

use std::fmt::Write as _;

use anyhow::Context as _;
use serde_json::json;

use super::figures::Figures;

/// All figures.
#[derive(Debug)]
pub(super) struct Report {
    /// Name of the processor.
    pub(super) processor: String,
    /// One for each load.
    pub(super) comparisons: Vec<Comparison>,
    /// Peak memory of the gateway over HTTP/2 with TLS, and of the bare server, MiB.
    pub(super) memory: [u64; 2],
}

/// The gateway beside the references.
#[derive(Debug)]
pub(super) struct Comparison {
    /// Name of the load.
    pub(super) name: &'static str,
    /// In the order of [`SERVERS`]; the last one only where it was measured.
    pub(super) figures: Vec<Figures>,
}

/// Measured servers: name in the table, name in the JSON, name of the ratio to it.
const SERVERS: [[&str; 3]; 3] = [
    ["`/verify`", "gateway", ""],
    ["bare hyper server", "reference", "ratio"],
    [
        "bare hyper server that answers with as many headers",
        "referenceWithHeaders",
        "ratio to the latter",
    ],
];

fn ratio(of: Figures, to: Figures) -> Figures {
    Figures {
        cpu_micros: of.cpu_micros / to.cpu_micros,
        requests_per_second: of.requests_per_second / to.requests_per_second,
        p50_millis: of.p50_millis / to.p50_millis,
        p99_millis: of.p99_millis / to.p99_millis,
    }
}

impl Comparison {
    /// The gateway's figures and each reference's, with the names of that reference.
    fn ratios(&self) -> impl Iterator<Item = ([&'static str; 3], Figures)> {
        let (gateway, references) = match self.figures.as_slice() {
            [gateway, references @ ..] => (Some(*gateway), references),
            [] => (None, &[][..]),
        };
        let named = SERVERS.into_iter().skip(1).zip(references);
        named.filter_map(move |(names, reference)| Some((names, ratio(gateway?, *reference))))
    }
}

impl Report {
    pub(super) fn json(&self) -> String {
        let comparisons: Vec<_> = self
            .comparisons
            .iter()
            .map(|comparison| {
                let mut row = json!({"name": comparison.name});
                for ([_, key, _], figures) in SERVERS.iter().zip(&comparison.figures) {
                    row[key] = json!(figures);
                }
                for ([_, key, _], figures) in comparison.ratios() {
                    let key = match key {
                        "reference" => "ratio",
                        _ => "ratioToReferenceWithHeaders",
                    };
                    row[key] = json!(figures);
                }
                row
            })
            .collect();
        format!(
            "{:#}\n",
            json!({"processor": self.processor, "comparisons": comparisons, "peakMemoryMebibytes": self.memory})
        )
    }

    pub(super) fn table(&self) -> String {
        let mut table = format!(
            "One core of: {}.\n\n| | CPU µs per request | requests/s | p50 ms | p99 ms |\n|---|---|---|---|---|\n",
            self.processor
        );
        for comparison in &self.comparisons {
            for ([what, ..], figures) in SERVERS.iter().zip(&comparison.figures) {
                let Figures {
                    cpu_micros,
                    requests_per_second,
                    p50_millis,
                    p99_millis,
                } = figures;
                let _ = writeln!(
                    table,
                    "| {}: {what} | {cpu_micros:.1} | {requests_per_second:.0} | {p50_millis:.2} | {p99_millis:.2} |",
                    comparison.name
                );
            }
            for ([.., name], figures) in comparison.ratios() {
                let Figures {
                    cpu_micros,
                    requests_per_second,
                    p50_millis,
                    p99_millis,
                } = figures;
                let _ = writeln!(
                    table,
                    "| {name} | **{cpu_micros:.2}** | {requests_per_second:.2} | {p50_millis:.2} | {p99_millis:.2} |"
                );
            }
        }
        let [gateway, reference] = self.memory;
        let _ = writeln!(
            table,
            "\nMost memory after all of it: {gateway} MiB; the bare server: {reference} MiB."
        );
        table
    }
}

/// `page` with `table` between the marks of this bench.
pub(super) fn insert(page: &str, bench: &str, table: &str) -> anyhow::Result<String> {
    let (begin, end) = (
        format!("<!-- {bench}: begin -->\n"),
        format!("<!-- {bench}: end -->"),
    );
    let (before, rest) = page
        .split_once(&begin)
        .with_context(|| format!("docs/performance.md has no place for the table of {bench}"))?;
    let (_, after) = rest
        .split_once(&end)
        .with_context(|| format!("docs/performance.md: the place for the table of {bench} does not end"))?;
    Ok(format!("{before}{begin}{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let figures = |cpu_micros| Figures {
            cpu_micros,
            requests_per_second: 1000.0,
            p50_millis: 1.0,
            p99_millis: 2.0,
        };
        Report {
            processor: "a machine".into(),
            comparisons: vec![Comparison {
                name: "HTTP",
                figures: vec![figures(30.0), figures(20.0), figures(24.0)],
            }],
            memory: [58, 8],
        }
    }

    #[test]
    fn the_table_shows_all_and_their_ratios() {
        let table = report().table();
        assert!(
            table.contains("| HTTP: `/verify` | 30.0 | 1000 | 1.00 | 2.00 |\n"),
            "{table}"
        );
        assert!(
            table.contains("| ratio | **1.50** | 1.00 | 1.00 | 1.00 |\n"),
            "{table}"
        );
        assert!(
            table.contains("| ratio to the latter | **1.25** | 1.00 | 1.00 | 1.00 |\n"),
            "{table}"
        );
        assert!(table.ends_with("58 MiB; the bare server: 8 MiB.\n"), "{table}");
        let json: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(json["comparisons"][0]["ratio"]["cpuMicros"], 1.5);
        assert_eq!(
            json["comparisons"][0]["ratioToReferenceWithHeaders"]["cpuMicros"],
            1.25
        );
    }

    #[test]
    fn only_the_place_of_the_table_changes() {
        let page = "before\n<!-- b: begin -->\nold\n<!-- b: end -->\nafter\n";
        let once = insert(page, "b", "new\n").unwrap();
        assert_eq!(once, "before\n<!-- b: begin -->\nnew\n<!-- b: end -->\nafter\n");
        assert_eq!(insert(&once, "b", "new\n").unwrap(), once);
        assert!(insert("no marks", "b", "new").is_err());
    }
}
