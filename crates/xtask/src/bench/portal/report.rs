//! Figures -> JSON and tables (pure).

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::browser::report::{self as browser, Shown};
use super::targets::Target;
use crate::bench::figures::{Figures, mebibytes, share};

/// Everything that was measured.
#[derive(Debug)]
pub(super) struct Report {
    /// Name of the processor.
    pub(super) processor: String,
    /// Workspaces, namespaces and open lists.
    pub(super) counts: [usize; 3],
    /// From the portal's start until it is ready.
    pub(super) ready: Duration,
    pub(super) first: First,
    pub(super) pages: Vec<Page>,
    pub(super) form: Option<Form>,
    /// Lists in a browser.
    pub(super) shown: Vec<Shown>,
    pub(super) lists: Vec<Lists>,
    /// Held by the portal before the load, and the most at a time, bytes.
    pub(super) memory: [u64; 2],
    pub(super) plugin: Vec<Command>,
}

/// What a browser loads for the list, as it is sent, bytes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct First {
    pub(super) page: usize,
    script: usize,
    style: usize,
    requests: usize,
}

/// One page, of the portal and of the bare server.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) name: &'static str,
    pub(super) bytes: usize,
    pub(super) portal: Figures,
    pub(super) bare: Figures,
    /// For its p99, milliseconds.
    pub(super) limit: Option<f64>,
}

/// Checks of a form, and the API server's own dry runs of the same object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Form {
    pub(super) portal: Figures,
    pub(super) api_server: Figures,
}

/// Lists that were open at the same time.
#[derive(Debug)]
pub(super) struct Lists {
    /// Whose.
    pub(super) name: &'static str,
    pub(super) idle: Usage,
    pub(super) changing: Usage,
    /// From the write until a list showed it, sorted.
    pub(super) millis: Vec<f64>,
    /// Changes that no list showed; they count in `millis` with the time until the end.
    pub(super) lost: usize,
    /// Held by the portal at the end, bytes.
    pub(super) memory: u64,
}

/// What open lists cost.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Usage {
    pub(super) portal_cores: f64,
    pub(super) api_server_cores: f64,
    /// Of the portal to the API server, without watches.
    pub(super) calls_per_second: f64,
}

/// A command of the plugin.
#[derive(Debug, Serialize)]
pub(super) struct Command {
    pub(super) name: &'static str,
    /// That each call took.
    pub(super) seconds: Vec<f64>,
    pub(super) limit: f64,
}

impl Command {
    /// Median of the calls.
    fn median(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        share(&sorted, 50)
    }
}

impl Lists {
    /// Half of the changes, and 99 of 100, were shown after at most so many seconds.
    fn seconds(&self) -> [f64; 2] {
        [50, 99].map(|percent| share(&self.millis, percent) / 1e3)
    }

    /// The figures in a line.
    pub(super) fn line(&self) -> String {
        let [p50, p99] = self.seconds();
        format!(
            "{:.1} % of a core idle, {:.1} % with changes, p50 {p50:.2} s, p99 {p99:.2} s",
            self.idle.portal_cores * 100.0,
            self.changing.portal_cores * 100.0
        )
    }
}

impl Form {
    /// The figures in a line.
    pub(super) fn line(&self) -> String {
        let [portal, own] = [self.portal, self.api_server].map(|of| [of.p50_millis, of.p99_millis]);
        format!(
            "p50 {:.2} ms, p99 {:.2} ms; the API server itself: {:.2} ms, {:.2} ms",
            portal[0], portal[1], own[0], own[1]
        )
    }
}

impl Report {
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    fn targets(&self) -> Vec<Target> {
        let target = |name: &str, unit, figure, limit, digits| Target {
            name: name.to_owned(),
            unit,
            figure,
            limit,
            digits,
        };
        let kilobytes = |bytes: usize| bytes as f64 / 1e3;
        let First {
            page,
            script,
            style,
            requests,
        } = self.first;
        let [.., streams] = self.counts;
        let mut all = vec![
            target("ready after the start", "s", self.ready.as_secs_f64(), 3.0, 2),
            target("first load, all", "KB", kilobytes(page + script + style), 60.0, 1),
            target("first load, scripts", "KB", kilobytes(script), 20.0, 1),
            target("first load, styles", "KB", kilobytes(style), 15.0, 1),
            target("first load, requests", "", requests as f64, 6.0, 0),
        ];
        let few = self.lists.first().map(|lists| {
            let name = format!("memory with {streams} open lists of {}", lists.name);
            target(&name, "MiB", mebibytes(lists.memory), 60.0, 0)
        });
        all.extend(few);
        for page in &self.pages {
            all.extend(page.limit.map(|limit| {
                target(
                    &format!("p99, {}", page.name),
                    "ms",
                    page.portal.p99_millis,
                    limit,
                    1,
                )
            }));
        }
        all.extend(self.form.as_ref().map(|form| {
            let beyond = form.portal.p99_millis - form.api_server.p99_millis;
            target(
                "dry run of a form, p99 beyond the API server's own",
                "ms",
                beyond,
                5.0,
                1,
            )
        }));
        all.extend(self.shown.iter().flat_map(Shown::targets));
        for lists in &self.lists {
            let [p50, p99] = lists.seconds();
            let mut of = |what: &str, unit, figure, limit, digits| {
                all.push(target(
                    &format!("{what}, {}", lists.name),
                    unit,
                    figure,
                    limit,
                    digits,
                ));
            };
            of("write to open list p50", "s", p50, 0.2, 2);
            of("write to open list p99", "s", p99, 1.0, 2);
            of(
                "processor without changes",
                "% of a core",
                lists.idle.portal_cores * 100.0,
                1.0,
                1,
            );
            of(
                "processor with changes",
                "% of a core",
                lists.changing.portal_cores * 100.0,
                15.0,
                1,
            );
        }
        for command in &self.plugin {
            let name = format!("`kubectl workspace {}`", command.name);
            all.push(target(&name, "s", command.median(), command.limit, 3));
        }
        all
    }

    pub(super) fn json(&self) -> String {
        let pages: Vec<Value> = self
            .pages
            .iter()
            .map(|page| json!({"name": page.name, "bytes": page.bytes, "portal": page.portal, "reference": page.bare}))
            .collect();
        let lists: Vec<Value> = self
            .lists
            .iter()
            .map(|lists| {
                let [p50, p99] = lists.seconds();
                json!({
                    "of": lists.name, "idle": lists.idle, "changing": lists.changing, "sightings": lists.millis.len(),
                    "lost": lists.lost,
                    "p50Seconds": p50, "p99Seconds": p99, "mebibytes": mebibytes(lists.memory),
                })
            })
            .collect();
        let missed: Vec<String> = self
            .targets()
            .into_iter()
            .filter(Target::is_missed)
            .map(|target| target.name)
            .collect();
        let [workspaces, namespaces, streams] = self.counts;
        let [before, peak] = self.memory.map(mebibytes);
        let report = json!({
            "processor": self.processor, "workspaces": workspaces, "namespaces": namespaces, "lists": lists, "streams": streams,
            "readySeconds": self.ready.as_secs_f64(), "firstLoadBytes": self.first, "pages": pages, "missed": missed,
            "form": self.form,
            "browser": self.shown.iter().map(Shown::json).collect::<Vec<_>>(),
            "mebibytes": {"beforeLoad": before, "peak": peak}, "plugin": self.plugin,
        });
        format!("{report:#}\n")
    }

    pub(super) fn table(&self) -> String {
        let [workspaces, namespaces, streams] = self.counts;
        let mut table = format!(
            "{workspaces} workspaces in {namespaces} namespaces, as many shares; one core of: {}.\n\n| | measured | target | |\n\
             |---|---|---|---|\n",
            self.processor
        );
        for target in self.targets() {
            table.push_str(&target.row());
        }
        table.push_str(
            "\n| page | bytes | p50 ms | p99 ms | CPU ms each | bare server: p50 ms | p99 ms | CPU ms each | CPU ratio |\n\
             |---|---|---|---|---|---|---|---|---|\n",
        );
        for Page {
            name,
            bytes,
            portal,
            bare,
            ..
        } in &self.pages
        {
            let _ = writeln!(
                table,
                "| {name} | {bytes} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} |",
                portal.p50_millis,
                portal.p99_millis,
                portal.cpu_micros / 1e3,
                bare.p50_millis,
                bare.p99_millis,
                bare.cpu_micros / 1e3,
                portal.cpu_micros / bare.cpu_micros,
            );
        }
        if let Some(form) = &self.form {
            let _ = writeln!(table, "\nDry run of a form: {}.\n", form.line());
        }
        table.push_str(&browser::table(&self.shown));
        let _ = write!(
            table,
            "\n| {streams} open lists of | p50 s | p99 s | portal's CPU %, idle / changing | API server's | portal's calls a second | not shown | MiB |\n\
             |---|---|---|---|---|---|---|---|\n"
        );
        for lists in &self.lists {
            let [p50, p99] = lists.seconds();
            let _ = writeln!(
                table,
                "| {} | {p50:.2} | {p99:.2} | {:.1} / {:.1} | {:.0} / {:.0} | {:.0} / {:.0} | {} | {:.0} |",
                lists.name,
                lists.idle.portal_cores * 100.0,
                lists.changing.portal_cores * 100.0,
                lists.idle.api_server_cores * 100.0,
                lists.changing.api_server_cores * 100.0,
                lists.idle.calls_per_second,
                lists.changing.calls_per_second,
                lists.lost,
                mebibytes(lists.memory),
            );
        }
        let [before, peak] = self.memory.map(mebibytes);
        let _ = writeln!(
            table,
            "\nMemory before the load: {before:.0} MiB; most of all: {peak:.0} MiB."
        );
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let figures = |cpu_micros, p99_millis| Figures {
            cpu_micros,
            requests_per_second: 25.0,
            p50_millis: 1.0,
            p99_millis,
        };
        let usage = |portal_cores| Usage {
            portal_cores,
            api_server_cores: 0.1,
            calls_per_second: 12.0,
        };
        Report {
            processor: "a machine".to_owned(),
            counts: [5000, 200, 200],
            ready: Duration::from_millis(900),
            first: First {
                page: 10_000,
                script: 9_000,
                style: 6_000,
                requests: 5,
            },
            pages: vec![Page {
                name: "list",
                bytes: 10_000,
                portal: figures(4000.0, 31.0),
                bare: figures(200.0, 2.0),
                limit: Some(30.0),
            }],
            form: Some(Form {
                portal: figures(900.0, 24.5),
                api_server: figures(2000.0, 20.0),
            }),
            shown: vec![],
            lists: vec![Lists {
                name: "owners",
                idle: usage(0.005),
                changing: usage(0.2),
                millis: (0..100).map(f64::from).collect(),
                lost: 2,
                memory: 50 << 20,
            }],
            memory: [30 << 20, 70 << 20],
            plugin: vec![Command {
                name: "version",
                seconds: vec![0.02, 0.01, 0.05],
                limit: 0.03,
            }],
        }
    }

    #[test]
    fn each_figure_stands_beside_its_target_and_a_missed_one_is_marked() {
        let table = report().table();
        for line in [
            "| ready after the start | 0.90 s | 3 s |  |\n",
            "| memory with 200 open lists of owners | 50 MiB | 60 MiB |  |\n",
            "| first load, all | 25.0 KB | 60 KB |  |\n",
            "| p99, list | 31.0 ms | 30 ms | **missed** |\n",
            "| dry run of a form, p99 beyond the API server's own | 4.5 ms | 5 ms |  |\n",
            "Dry run of a form: p50 1.00 ms, p99 24.50 ms; the API server itself: 1.00 ms, 20.00 ms.\n",
            "| processor without changes, owners | 0.5 % of a core | 1 % of a core |  |\n",
            "| processor with changes, owners | 20.0 % of a core | 15 % of a core | **missed** |\n",
            "| `kubectl workspace version` | 0.020 s | 0.03 s |  |\n",
            "| list | 10000 | 1.00 | 31.00 | 4.00 | 1.00 | 2.00 | 0.20 | 20 |\n",
            "| owners | 0.05 | 0.10 | 0.5 / 20.0 | 10 / 10 | 12 / 12 | 2 | 50 |\n",
        ] {
            assert!(table.contains(line), "{line} {table}");
        }
        let json: Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(
            json["missed"],
            json!(["p99, list", "processor with changes, owners"])
        );
        assert_eq!(json["lists"][0]["p99Seconds"], 0.099);
    }
}
