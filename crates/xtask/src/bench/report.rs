//! Figures -> JSON, a table, and the table in its place in a page (pure).

use std::fmt::Write as _;

use anyhow::Context as _;
use serde_json::json;

use super::figures::Figures;

/// Everything that was measured.
#[derive(Debug)]
pub(super) struct Report {
    /// Name of the processor.
    pub(super) processor: String,
    /// One for each way to ask.
    pub(super) comparisons: Vec<Comparison>,
    /// Most memory of the gateway over HTTP/2 with TLS, and of the bare server, MiB.
    pub(super) memory: [u64; 2],
}

/// The gateway beside the reference.
#[derive(Debug)]
pub(super) struct Comparison {
    /// How it was asked.
    pub(super) name: &'static str,
    /// Gateway, reference.
    pub(super) figures: [Figures; 2],
}

impl Comparison {
    fn ratio(&self) -> Figures {
        let [gateway, reference] = self.figures;
        Figures {
            cpu_micros: gateway.cpu_micros / reference.cpu_micros,
            requests_per_second: gateway.requests_per_second / reference.requests_per_second,
            p50_millis: gateway.p50_millis / reference.p50_millis,
            p99_millis: gateway.p99_millis / reference.p99_millis,
        }
    }
}

impl Report {
    pub(super) fn json(&self) -> String {
        let comparisons: Vec<_> = self
            .comparisons
            .iter()
            .map(|comparison| {
                let [gateway, reference] = comparison.figures;
                json!({"name": comparison.name, "gateway": gateway, "reference": reference, "ratio": comparison.ratio()})
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
            let [gateway, reference] = comparison.figures;
            for (what, figures) in [("`/verify`", gateway), ("bare hyper server", reference)] {
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
            let Figures {
                cpu_micros,
                requests_per_second,
                p50_millis,
                p99_millis,
            } = comparison.ratio();
            let _ = writeln!(
                table,
                "| ratio | **{cpu_micros:.2}** | {requests_per_second:.2} | {p50_millis:.2} | {p99_millis:.2} |"
            );
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
                figures: [figures(30.0), figures(20.0)],
            }],
            memory: [58, 8],
        }
    }

    #[test]
    fn the_table_shows_both_and_their_ratio() {
        let table = report().table();
        assert!(
            table.contains("| HTTP: `/verify` | 30.0 | 1000 | 1.00 | 2.00 |\n"),
            "{table}"
        );
        assert!(
            table.contains("| ratio | **1.50** | 1.00 | 1.00 | 1.00 |\n"),
            "{table}"
        );
        assert!(table.ends_with("58 MiB; the bare server: 8 MiB.\n"), "{table}");
        let json: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(json["comparisons"][0]["ratio"]["cpuMicros"], 1.5);
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
