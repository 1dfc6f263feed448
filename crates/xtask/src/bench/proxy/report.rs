//! Figures -> JSON and tables (pure).

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::site::Name;
use crate::bench::figures::{Figures, mebibytes, share};

/// All figures.
#[derive(Debug)]
pub(super) struct Report {
    /// Name of the processor.
    pub(super) processor: String,
    pub(super) measured: Vec<Measured>,
    pub(super) idle: Idle,
    pub(super) routes: Vec<Routes>,
}

/// One load, for each path.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) name: String,
    /// The first path is that with the gateway.
    pub(super) rows: Vec<Row>,
}

/// One path. The processor time of `figures` is the proxy's.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) way: Name,
    pub(super) figures: Figures,
    pub(super) gateway_micros: f64,
}

/// Idle open sockets. In pairs, the first value is the proxy's, the second the gateway's.
#[derive(Debug, Default)]
pub(super) struct Idle {
    pub(super) sockets: usize,
    /// KiB.
    pub(super) before: [u64; 2],
    /// KiB.
    pub(super) after: [u64; 2],
    pub(super) cpu_percent: [f64; 2],
}

/// Starting workspaces among this number of workspaces.
#[derive(Debug)]
pub(super) struct Routes {
    pub(super) workspaces: usize,
    /// Time until the first page of each.
    pub(super) millis: Vec<f64>,
    /// Of the proxy and of the gateway, per change.
    pub(super) cpu_millis: [f64; 2],
}

impl Row {
    fn label(&self) -> &'static str {
        match self.way {
            Name::Gateway => "Traefik and the gateway",
            Name::Alone => "Traefik alone",
            Name::Direct => "the pod itself, without TLS",
        }
    }

    fn key(&self) -> &'static str {
        match self.way {
            Name::Gateway => "gateway",
            Name::Alone => "proxyAlone",
            Name::Direct => "direct",
        }
    }

    fn cpu_micros(&self) -> f64 {
        self.figures.cpu_micros + self.gateway_micros
    }
}

impl Idle {
    /// KiB of each socket, in the proxy and in the gateway.
    #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 KiB")]
    fn each(&self) -> [f64; 2] {
        [0, 1].map(|at| self.after[at].saturating_sub(self.before[at]) as f64 / self.sockets.max(1) as f64)
    }
}

impl Routes {
    /// Milliseconds within which half, and 99 of 100, were reached.
    fn times(&self) -> [f64; 2] {
        let mut millis = self.millis.clone();
        millis.sort_by(f64::total_cmp);
        [50, 99].map(|percent| share(&millis, percent))
    }
}

impl Report {
    pub(super) fn json(&self) -> String {
        let measured: Vec<Value> = self.measured.iter().map(Measured::json).collect();
        let routes: Vec<Value> = self
            .routes
            .iter()
            .map(|routes| {
                let ([p50, p99], [proxy, gateway]) = (routes.times(), routes.cpu_millis);
                json!({
                    "workspaces": routes.workspaces, "changes": routes.millis.len(), "p50Millis": p50, "p99Millis": p99,
                    "proxyCpuMillis": proxy, "gatewayCpuMillis": gateway,
                })
            })
            .collect();
        let idle = json!({
            "sockets": self.idle.sockets, "kibibytesBefore": self.idle.before, "kibibytesAfter": self.idle.after,
            "cpuPercent": self.idle.cpu_percent,
        });
        format!(
            "{:#}\n",
            json!({"processor": self.processor, "measured": measured, "idle": idle, "routes": routes})
        )
    }

    pub(super) fn table(&self) -> String {
        let mut table = format!(
            "One core of: {}.\n\n| | a second | p50 ms | p99 ms | Traefik's CPU µs each | the gateway's CPU µs each |\n|---|---|---|---|---|---|\n",
            self.processor
        );
        for measured in &self.measured {
            measured.rows(&mut table);
        }
        let [proxy, gateway] = self.idle.each();
        let [proxy_cpu, gateway_cpu] = self.idle.cpu_percent;
        let _ = writeln!(
            table,
            "\n{} idle sockets: {gateway:.0} KiB each in the gateway, {:.0} MiB in all, and {gateway_cpu:.1} % of the core; \
             {proxy:.0} KiB each in Traefik, and {proxy_cpu:.1} %.\n",
            self.idle.sockets,
            mebibytes(self.idle.after[1] * 1024),
        );
        table.push_str(
            "| workspaces | a started one is reached: p50 ms | p99 ms | gateway's CPU ms per change | Traefik's CPU ms per change |\n|---|---|---|---|---|\n",
        );
        for routes in &self.routes {
            let ([p50, p99], [proxy, gateway]) = (routes.times(), routes.cpu_millis);
            let _ = writeln!(
                table,
                "| {} | {p50:.0} | {p99:.0} | {gateway:.1} | {proxy:.1} |",
                routes.workspaces
            );
        }
        if let [few, .., many] = self.routes.as_slice() {
            let [p50, p99] = [0, 1].map(|at| many.times()[at] / few.times()[at]);
            let [proxy, gateway] = [0, 1].map(|at| many.cpu_millis[at] / few.cpu_millis[at]);
            let _ = writeln!(
                table,
                "| ratio | **{p50:.2}** | **{p99:.2}** | {gateway:.2} | {proxy:.2} |"
            );
        }
        table
    }
}

impl Measured {
    fn json(&self) -> Value {
        let mut row = json!({"name": self.name});
        for way in &self.rows {
            let mut figures = json!(way.figures);
            figures["gatewayCpuMicros"] = json!(way.gateway_micros);
            row[way.key()] = figures;
        }
        row
    }

    fn rows(&self, table: &mut String) {
        for row in &self.rows {
            let figures = row.figures;
            let _ = writeln!(
                table,
                "| {}: {} | {:.0} | {:.2} | {:.2} | {} | {} |",
                self.name,
                row.label(),
                figures.requests_per_second,
                figures.p50_millis,
                figures.p99_millis,
                micros(figures.cpu_micros, row.way != Name::Direct),
                micros(row.gateway_micros, row.way == Name::Gateway),
            );
        }
        let [gateway, others @ ..] = self.rows.as_slice() else {
            return;
        };
        for other in others {
            let (of, to) = (gateway.figures, other.figures);
            let cpu = if other.way == Name::Alone {
                format!(
                    "both together: **{:.2}**",
                    gateway.cpu_micros() / other.cpu_micros()
                )
            } else {
                String::new()
            };
            let _ = writeln!(
                table,
                "| ratio to {} | **{:.2}** | {:.2} | {:.2} | {cpu} | |",
                other.label(),
                of.requests_per_second / to.requests_per_second,
                of.p50_millis / to.p50_millis,
                of.p99_millis / to.p99_millis,
            );
        }
    }
}

/// Empty if the proxy makes no requests.
fn micros(micros: f64, is_asked: bool) -> String {
    if is_asked {
        format!("{micros:.0}")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(way: Name, rate: f64, proxy: f64, gateway_micros: f64) -> Row {
        Row {
            way,
            gateway_micros,
            figures: Figures {
                cpu_micros: proxy,
                requests_per_second: rate,
                p50_millis: 2.0,
                p99_millis: 4.0,
            },
        }
    }

    fn report() -> Report {
        Report {
            processor: "a machine".into(),
            measured: vec![Measured {
                name: "requests".into(),
                rows: vec![
                    row(Name::Gateway, 5000.0, 130.0, 20.0),
                    row(Name::Alone, 10_000.0, 100.0, 0.0),
                    row(Name::Direct, 20_000.0, 0.0, 0.0),
                ],
            }],
            idle: Idle {
                sockets: 100,
                before: [1000, 2000],
                after: [3000, 5072],
                cpu_percent: [0.5, 1.25],
            },
            routes: [(100, 50.0), (5000, 200.0)]
                .map(|(workspaces, millis)| Routes {
                    workspaces,
                    millis: vec![millis; 10],
                    cpu_millis: [millis, millis / 10.0],
                })
                .into(),
        }
    }

    #[test]
    fn the_table_compares_the_gateway_with_every_other_way() {
        let table = report().table();
        for line in [
            "| requests: Traefik and the gateway | 5000 | 2.00 | 4.00 | 130 | 20 |\n",
            "| requests: Traefik alone | 10000 | 2.00 | 4.00 | 100 |  |\n",
            "| requests: the pod itself, without TLS | 20000 | 2.00 | 4.00 |  |  |\n",
            "| ratio to Traefik alone | **0.50** | 1.00 | 1.00 | both together: **1.50** | |\n",
            "| ratio to the pod itself, without TLS | **0.25** | 1.00 | 1.00 |  | |\n",
            "100 idle sockets: 31 KiB each in the gateway, 5 MiB in all, and 1.2 % of the core; 20 KiB each in Traefik, and 0.5 %.\n",
            "| 5000 | 200 | 200 | 20.0 | 200.0 |\n",
            "| ratio | **4.00** | **4.00** | 4.00 | 4.00 |\n",
        ] {
            assert!(table.contains(line), "{line}{table}");
        }
    }

    #[test]
    fn the_figures_name_each_way() {
        let json: Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(json["measured"][0]["gateway"]["gatewayCpuMicros"], 20.0);
        assert_eq!(json["measured"][0]["proxyAlone"]["requestsPerSecond"], 10_000.0);
        assert_eq!(json["routes"][1]["p99Millis"], 200.0);
    }
}
