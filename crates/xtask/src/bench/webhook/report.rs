//! Figures -> JSON, a table, and the durations in the webhook's metrics (pure).

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::cases::Case;
use crate::bench::figures::{Figures, mebibytes};

/// All figures.
#[derive(Debug)]
pub(super) struct Report {
    /// Name of the processor.
    pub(super) processor: String,
    /// Reviews per second at a steady rate.
    pub(super) rate: u32,
    pub(super) cases: Vec<Measured>,
    pub(super) cold: Cold,
    /// Memory of the webhook at the end, and its peak, in bytes.
    pub(super) memory: [u64; 2],
}

/// One kind of request: the webhook's figures, then the bare server's.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) case: Case,
    /// At a steady rate.
    pub(super) steady: [Figures; 2],
    /// At the maximum rate.
    pub(super) saturated: [Figures; 2],
    /// The webhook's own count at the steady rate.
    pub(super) counted: Counted,
}

/// Users who are not in the cache.
#[derive(Debug)]
pub(super) struct Cold {
    /// Reviews per second.
    pub(super) rate: u32,
    /// The webhook's figures. Each review needs two access reviews.
    pub(super) webhook: Figures,
    /// The API server's figures for the same access reviews from the load generator, at twice the rate.
    pub(super) direct: Figures,
}

/// Part of the webhook's histogram of durations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// All answers.
    pub(super) all: u64,
    /// Those that took at most 4 ms.
    pub(super) quick: u64,
}

impl Counted {
    /// From the text of `/metrics`, both webhooks together.
    pub(super) fn read(metrics: &str) -> Self {
        let sum = |name: &str, label: &str| {
            metrics
                .lines()
                .filter(|line| line.starts_with(name) && line.contains(label))
                .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
                .sum()
        };
        let name = "jupyter_k8s_webhook_request_duration_seconds_";
        Self {
            all: sum(&format!("{name}count"), ""),
            quick: sum(&format!("{name}bucket"), "le=\"0.004\""),
        }
    }

    /// The difference to `earlier`.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            all: self.all - earlier.all,
            quick: self.quick - earlier.quick,
        }
    }

    /// The sum of both.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            all: self.all + other.all,
            quick: self.quick + other.quick,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn percent(self) -> f64 {
        self.quick as f64 * 100.0 / self.all as f64
    }
}

impl Measured {
    fn ratio(&self) -> f64 {
        self.saturated[0].cpu_micros / self.saturated[1].cpu_micros
    }

    fn json(&self) -> Value {
        let [webhook, reference] =
            [0, 1].map(|side| json!({"steady": self.steady[side], "saturated": self.saturated[side]}));
        json!({
            "name": self.case.name(),
            "webhook": webhook,
            "reference": reference,
            "cpuRatio": self.ratio(),
            "percentWithin4Millis": self.counted.percent(),
        })
    }
}

impl Report {
    pub(super) fn json(&self) -> String {
        let cases: Vec<_> = self.cases.iter().map(Measured::json).collect();
        let [now, peak] = self.memory.map(mebibytes);
        let report = json!({
            "processor": self.processor,
            "rate": self.rate,
            "cases": cases,
            "cold": {"rate": self.cold.rate, "webhook": self.cold.webhook, "accessReviews": self.cold.direct},
            "mebibytes": {"after": now, "peak": peak},
        });
        format!("{report:#}\n")
    }

    pub(super) fn table(&self) -> String {
        let mut table = format!(
            "One core of: {}.\n\n| | CPU µs each, saturated | reviews/s, saturated | CPU µs each at {rate}/s | p50 ms at {rate}/s | p99 ms at {rate}/s | \
             within 4 ms by its own count |\n|---|---|---|---|---|---|---|\n",
            self.processor,
            rate = self.rate
        );
        for measured in &self.cases {
            let rows = [
                (
                    measured.case.name(),
                    format!("{:.2} %", measured.counted.percent()),
                ),
                ("the same at the bare hyper server", String::new()),
            ];
            for ((name, counted), (full, steady)) in
                rows.iter().zip(measured.saturated.iter().zip(&measured.steady))
            {
                let _ = writeln!(
                    table,
                    "| {name} | {:.1} | {:.0} | {:.1} | {:.2} | {:.2} | {counted} |",
                    full.cpu_micros,
                    full.requests_per_second,
                    steady.cpu_micros,
                    steady.p50_millis,
                    steady.p99_millis,
                );
            }
            let _ = writeln!(table, "| ratio | **{:.2}** | | | | | |", measured.ratio());
        }
        let [now, peak] = self.memory.map(mebibytes);
        let Cold {
            rate,
            webhook,
            direct,
        } = &self.cold;
        let _ = write!(
            table,
            "\n- Creations by users without a cached answer (none in the last ten seconds), {rate} a second with two access reviews each: p50 {:.2} ms, \
             p99 {:.2} ms, {:.0} µs of CPU. The same access reviews asked of the API server by the load, {} a second: p50 {:.2} ms, p99 {:.2} ms.\n\
             - Memory of the webhook after all of it: {now:.0} MiB; at most {peak:.0} MiB.\n",
            webhook.p50_millis,
            webhook.p99_millis,
            webhook.cpu_micros,
            2 * rate,
            direct.p50_millis,
            direct.p99_millis,
        );
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(cpu_micros: f64) -> Figures {
        Figures {
            cpu_micros,
            requests_per_second: 1000.0,
            p50_millis: 1.0,
            p99_millis: 2.0,
        }
    }

    fn report() -> Report {
        Report {
            processor: "a machine".to_owned(),
            rate: 500,
            cases: vec![Measured {
                case: Case::Create,
                steady: [figures(200.0), figures(60.0)],
                saturated: [figures(150.0), figures(50.0)],
                counted: Counted {
                    all: 1000,
                    quick: 999,
                },
            }],
            cold: Cold {
                rate: 100,
                webhook: figures(300.0),
                direct: figures(0.0),
            },
            memory: [20 << 20, 24 << 20],
        }
    }

    #[test]
    fn the_table_sets_the_webhook_beside_the_bare_server() {
        let table = report().table();
        for line in [
            "| create, everyday template | 150.0 | 1000 | 200.0 | 1.00 | 2.00 | 99.90 % |\n",
            "| the same at the bare hyper server | 50.0 | 1000 | 60.0 | 1.00 | 2.00 |  |\n",
            "| ratio | **3.00** |",
            "after all of it: 20 MiB; at most 24 MiB.\n",
        ] {
            assert!(table.contains(line), "{line} {table}");
        }
        let json: Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(json["cases"][0]["cpuRatio"], 3.0);
        assert_eq!(json["cold"]["accessReviews"]["p99Millis"], 2.0);
    }

    #[test]
    fn the_webhooks_own_count_is_of_both_paths() {
        let metrics = "\
# TYPE jupyter_k8s_webhook_request_duration_seconds histogram
jupyter_k8s_webhook_request_duration_seconds_sum{webhook=\"mutate\"} 0.5
jupyter_k8s_webhook_request_duration_seconds_count{webhook=\"mutate\"} 10
jupyter_k8s_webhook_request_duration_seconds_bucket{le=\"0.002\",webhook=\"mutate\"} 7
jupyter_k8s_webhook_request_duration_seconds_bucket{le=\"0.004\",webhook=\"mutate\"} 9
jupyter_k8s_webhook_request_duration_seconds_count{webhook=\"validate\"} 5
jupyter_k8s_webhook_request_duration_seconds_bucket{le=\"0.004\",webhook=\"validate\"} 5
";
        let counted = Counted::read(metrics);
        assert_eq!(counted, Counted { all: 15, quick: 14 });
        assert_eq!(
            counted.since(Counted { all: 5, quick: 4 }),
            Counted { all: 10, quick: 10 }
        );
    }
}
