//! `xtask bench-proxy` -> cost of the gateway behind Traefik: JSON and a table in the docs (IO).
//!
//! Traefik is started as the chart starts it. A second Traefik has the same configuration without the gateway. Both and the gateway share a
//! core; the pod and the load share another.
//!
//! - `site`: gateway, pod and proxies as processes
//! - `report`: figures to text

mod report;
mod site;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use self::report::{Idle, Measured, Report, Routes, Row};
use self::site::{Name, Site};
use super::figures::{Round, summary};
use super::load::{Load, Pace, file, generate, read};
use super::server::Process;
use super::{built, processor, put_on_page, target, two_processors};
use crate::apt;
use crate::args::BenchProxy;
use crate::helm;
use crate::paths::Paths;
use crate::progress::Progress;
use crate::test::traefik;

/// Number of workspaces for requests and sockets, and for changes.
const WORKSPACES: [usize; 2] = [100, 5_000];
/// Requests per second when times are measured.
const RATE: u32 = 500;
/// Seconds of a round at that rate.
const SECONDS: u32 = 6;
/// Requests of a round without a rate, and messages.
const SATURATED: u32 = 12_000;
/// Sockets that carry messages concurrently.
const TALKING: usize = 64;
/// Bytes of a small and of a large message, and their number per round: text output of a cell, and an image.
const MESSAGES: [(usize, u32); 2] = [(512, SATURATED), (64 * 1024, SATURATED / 6)];
/// Number of idle sockets.
const IDLE: usize = 2_000;
/// How long they stay open.
const QUIET: Duration = Duration::from_secs(10);
/// Number of changes whose routes are awaited, and of changes whose cost is measured.
const CHANGES: [usize; 2] = [40, 20];

const fn load(name: &'static str, pace: Pace, requests: u32) -> Load {
    Load {
        name,
        transport: "tls",
        path: "/api/contents/work/analysis.ipynb?content=0",
        kind: "valid",
        status: 200,
        pace,
        rounds: 0,
        requests,
    }
}

const LOADS: [Load; 2] = [
    load(
        "requests, 64 at a time",
        Pace::Saturated {
            connections: 64,
            streams: 1,
        },
        SATURATED,
    ),
    load("requests, 500 a second", Pace::Steady(RATE), RATE * SECONDS),
];

/// Shared state of all parts.
struct Bench<'a> {
    /// The gateway's benches.
    program: PathBuf,
    traefik: PathBuf,
    /// Files of the proxies.
    folder: PathBuf,
    /// Processor of the proxy and the gateway, and processor of load and pod.
    processors: (usize, usize),
    rounds: usize,
    progress: &'a Progress,
}

/// Measures, writes both files and prints the table.
///
/// # Errors
/// When there are fewer than two processors, a build, a proxy or the load generator fails, or an answer is not the expected one.
pub(crate) fn run(args: &BenchProxy, paths: &Paths) -> anyhow::Result<()> {
    ensure!(args.rounds > 0, "--rounds 0: at least one is needed");
    let progress = Progress::start();
    let processors = two_processors()?;
    apt::ensure(&["nghttp2-client", "util-linux"], &progress)?;
    // The gateway's benches look for helm there.
    helm::ensure(paths, &progress)?;
    let traefik = traefik::ensure(paths, &progress)?;
    let program = if let Some(program) = &args.program {
        program.clone()
    } else {
        progress.line(format_args!("building the measured servers with optimisation"));
        built(paths, &["--package", "gateway", "--bench", "verify"])?
    };
    let out = target(paths).join("bench");
    let bench = Bench {
        program,
        traefik,
        folder: out.join("proxy"),
        processors,
        rounds: args.rounds,
        progress: &progress,
    };
    let [few, many] = WORKSPACES;
    let mut report = Report {
        processor: processor(),
        measured: vec![],
        idle: Idle::default(),
        routes: vec![],
    };
    for count in [few, many] {
        let site = bench.site(count)?;
        if count == few {
            report.measured = bench.measured(&site)?;
            report.idle = bench.idle(&site)?;
        }
        report.routes.push(bench.routes(&site, count)?);
    }
    fs::remove_dir_all(&bench.folder)?;
    let json = out.join("proxy.json");
    fs::write(&json, report.json()).with_context(|| format!("cannot write {}", json.display()))?;
    println!("{}\nfigures: {}", report.table(), json.display());
    if !args.dry_run {
        put_on_page(paths, "bench-proxy", &report.table())?;
    }
    Ok(())
}

impl Bench<'_> {
    fn site(&self, count: usize) -> anyhow::Result<Site> {
        self.progress
            .line(format_args!("a gateway and proxies with {count} workspaces"));
        Site::start(&self.program, &self.traefik, count, &self.folder, self.processors)
    }

    /// Measures requests and messages, with and without the gateway.
    fn measured(&self, site: &Site) -> anyhow::Result<Vec<Measured>> {
        let mut measured = Vec::new();
        for load in &LOADS {
            self.progress.line(format_args!("{}", load.name));
            let rows = self.compare(site, &[Name::Gateway, Name::Alone], |way, part| {
                let count = (load.requests / part, 200);
                load.run(site.way(way), count, self.processors.1, &self.program)
            })?;
            measured.push(Measured {
                name: load.name.to_owned(),
                rows,
            });
        }
        for (size, count) in MESSAGES {
            let name = format!("messages of {size} bytes, {TALKING} sockets");
            self.progress.line(format_args!("{name}"));
            let rows = self.compare(site, &[Name::Gateway, Name::Alone, Name::Direct], |way, part| {
                let log = file("tsv");
                let plan = sockets(site, way, (TALKING, count / part, size), &log);
                generate((&self.program, "messages"), &plan, self.processors.1)?;
                read(&log)
            })?;
            measured.push(Measured { name, rows });
        }
        Ok(measured)
    }

    /// Measures each path to the pod in turns. `run` runs one round. The first round is a warm-up.
    fn compare(
        &self,
        site: &Site,
        ways: &[Name],
        run: impl Fn(Name, u32) -> anyhow::Result<Vec<super::figures::Answer>>,
    ) -> anyhow::Result<Vec<Row>> {
        // Rounds by the processor time of the proxy, and of the gateway.
        let mut rounds: Vec<(Name, [Vec<Round>; 2])> =
            ways.iter().map(|way| (*way, Default::default())).collect();
        for number in 0..=self.rounds {
            for (way, rounds) in &mut rounds {
                let before = site.cpu_times(*way)?;
                let answers = run(*way, if number == 0 { 4 } else { 1 })?;
                let after = site.cpu_times(*way)?;
                if number > 0 {
                    for (at, rounds) in rounds.iter_mut().enumerate() {
                        rounds.push(Round {
                            cpu: after[at].saturating_sub(before[at]),
                            answers: answers.clone(),
                        });
                    }
                }
            }
        }
        let rows = rounds.into_iter().map(|(way, [proxy, gateway])| Row {
            way,
            gateway_micros: summary(gateway).cpu_micros,
            figures: summary(proxy),
        });
        Ok(rows.collect())
    }

    /// Measures the memory and processor time of idle sockets.
    fn idle(&self, site: &Site) -> anyhow::Result<Idle> {
        self.progress.line(format_args!("{IDLE} idle sockets"));
        let plan = file("json");
        let sockets = sockets(site, Name::Gateway, (IDLE, 0, 512), &file("tsv"));
        fs::write(&plan, sockets.to_string())?;
        let before = site.memory()?;
        let plan_path = plan.display().to_string();
        let mut held = Process::held(&self.program, &["idle", &plan_path], self.processors.1)?;
        let line = held.line()?;
        let _ = fs::remove_file(&plan);
        ensure!(line == "open", "the sockets did not open: {line:?}");
        // The memory of the handshakes is freed within seconds.
        sleep(QUIET / 2);
        let cpu = site.cpu_times(Name::Gateway)?;
        sleep(QUIET);
        let (after, cpu_after) = (site.memory()?, site.cpu_times(Name::Gateway)?);
        held.finish()?;
        let share =
            |at: usize| (cpu_after[at].saturating_sub(cpu[at])).as_secs_f64() / QUIET.as_secs_f64() * 100.0;
        Ok(Idle {
            sockets: IDLE,
            before,
            after,
            cpu_percent: [share(0), share(1)],
        })
    }

    /// Measures how soon a starting workspace is reachable, and the cost.
    fn routes(&self, site: &Site, workspaces: usize) -> anyhow::Result<Routes> {
        let [awaited, quiet] = CHANGES;
        self.progress
            .line(format_args!("{} changes of {workspaces} routes", awaited + quiet));
        let times = self.changes(site, (0, awaited), true)?;
        let before = site.cpu_times(Name::Gateway)?;
        self.changes(site, (awaited, quiet), false)?;
        let after = site.cpu_times(Name::Gateway)?;
        let each = |at: usize| {
            let quiet = u32::try_from(quiet).unwrap_or(u32::MAX);
            (after[at].saturating_sub(before[at]) / quiet).as_secs_f64() * 1e3
        };
        Ok(Routes {
            workspaces,
            millis: times.iter().map(|answer| answer.millis()).collect(),
            cpu_millis: [each(0), each(1)],
        })
    }

    fn changes(
        &self,
        site: &Site,
        (from, count): (usize, usize),
        asks: bool,
    ) -> anyhow::Result<Vec<super::figures::Answer>> {
        let log = file("tsv");
        let server = site.way(Name::Gateway);
        let plan = json!({
            "address": server.address(), "authority": server.authority(), "commands": site.commands(),
            "workspaces": site.stopped(), "from": from, "count": count, "asks": asks, "log": log,
        });
        generate((&self.program, "changes"), &plan, self.processors.1)?;
        read(&log)
    }
}

/// The plan for this number of sockets and messages, with this size.
fn sockets(site: &Site, by: Name, (open, count, bytes): (usize, u32, usize), log: &Path) -> Value {
    let server = site.way(by);
    json!({
        "address": server.address(), "authority": server.authority(), "workspaces": site.running(),
        "open": open, "count": count, "size": bytes, "log": log,
    })
}
