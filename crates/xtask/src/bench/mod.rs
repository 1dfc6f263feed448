//! `xtask bench-gateway` -> cost of a decision: JSON under target/bench, table in the docs (IO).
//!
//! | file | content |
//! |---|---|
//! | `portal`, `webhook`, `operator`, `proxy` | `xtask bench-portal` and so on |
//! | `report` | figures of the gateway to text |
//! | `server` | the measured server and the bare one |
//! | `namespaced` | a benchmark in its own network and process namespaces |
//! | `load` | the load generator |
//! | `figures` | durations -> percentiles |

mod figures;
mod load;
mod namespaced;
pub(crate) mod operator;
pub(crate) mod portal;
pub(crate) mod proxy;
mod report;
mod server;
pub(crate) mod webhook;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::Value;

use self::figures::{Figures, Round, summary};
use self::load::{Load, Pace};
use self::report::{Comparison, Report};
use self::server::Server;
use crate::apt;
use crate::exec::{Cmd, cargo};
use crate::paths::Paths;
use crate::progress::Progress;

/// Requests of the warm-up round.
const WARM_UP: u32 = 5_000;
/// Requests per second of loads with a rate.
const RATE: u32 = 2_000;

const SIXTY_FOUR: Pace = Pace::Saturated {
    connections: 64,
    streams: 1,
};
const FOUR_BY_SIXTEEN: Pace = Pace::Saturated {
    connections: 4,
    streams: 16,
};

/// The loads, by transport. Traefik uses HTTP/2 with TLS.
const LOADS: [Load; 8] = [
    load(
        "HTTP/1.1, 64 connections",
        ("plain", "valid", 200),
        SIXTY_FOUR,
        (5, 60_000),
    ),
    load(
        "HTTP/2 with TLS, 4 connections",
        ("tls", "valid", 200),
        FOUR_BY_SIXTEEN,
        (5, 60_000),
    ),
    load(
        "the same, a page without ticket (302)",
        ("tls", "none", 302),
        FOUR_BY_SIXTEEN,
        (3, 20_000),
    ),
    load(
        "the same, a forged ticket (401)",
        ("tls", "forged", 401),
        FOUR_BY_SIXTEEN,
        (3, 20_000),
    ),
    load(
        "the same, an ended ticket (401)",
        ("tls", "expired", 401),
        FOUR_BY_SIXTEEN,
        (3, 20_000),
    ),
    load(
        "HTTP/2 with TLS, a connection per request",
        ("tls", "valid", 200),
        Pace::Fresh(8),
        (3, 2_000),
    ),
    load(
        "HTTP/2 with TLS, 2,000 requests a second",
        ("tls", "valid", 200),
        Pace::Steady(RATE),
        (7, 6_000),
    ),
    load(
        "the same, ahead of all else that the machine does",
        ("tls", "valid", 200),
        Pace::Ahead(RATE),
        (7, 6_000),
    ),
];

const fn load(
    name: &'static str,
    (transport, kind, status): (&'static str, &'static str, u16),
    pace: Pace,
    (rounds, requests): (usize, u32),
) -> Load {
    Load {
        name,
        transport,
        path: "/verify",
        kind,
        status,
        pace,
        rounds,
        requests,
    }
}

/// Measures, writes both files and prints the table.
///
/// # Errors
/// When there are fewer than two processors, a build or the load generator fails, or an answer is not 200.
pub(crate) fn run(paths: &Paths) -> anyhow::Result<()> {
    let progress = Progress::start();
    let (server_cpu, load_cpu) = two_processors()?;
    apt::ensure(&["nghttp2-client", "util-linux"], &progress)?;
    progress.line(format_args!("building the measured servers with optimisation"));
    let program = built(paths, &["--package", "gateway", "--bench", "verify"])?;
    let mut comparisons = Vec::new();
    let mut memory = [0; 2];
    for transport in ["plain", "tls"] {
        let servers: Vec<Server> = ["gateway", "reference", "headers"]
            .into_iter()
            .map(|name| Server::start(&program, name, transport, server_cpu))
            .collect::<Result<_, _>>()?;
        for load in LOADS.iter().filter(|load| load.transport == transport) {
            progress.line(format_args!(
                "{}: {} rounds of {} requests each",
                load.name, load.rounds, load.requests
            ));
            comparisons.push(Comparison {
                name: load.name,
                figures: compare(load, &servers[..load.servers()], load_cpu, &program)?,
            });
        }
        memory = [
            servers[0].process().peak_memory()?,
            servers[1].process().peak_memory()?,
        ];
    }
    let report = Report {
        processor: processor(),
        comparisons,
        memory,
    };
    let folder = target(paths).join("bench");
    fs::create_dir_all(&folder)?;
    let json = folder.join("gateway.json");
    fs::write(&json, report.json()).with_context(|| format!("cannot write {}", json.display()))?;
    let page = put_on_page(paths, "bench-gateway", &report.table())?;
    println!(
        "{}\nwritten to {} and {}",
        report.table(),
        page.display(),
        json.display()
    );
    Ok(())
}

/// Figures of the gateway and of the references, measured in turns, so that a machine that slows down slows all down.
fn compare(load: &Load, servers: &[Server], cpu: usize, generator: &Path) -> anyhow::Result<Vec<Figures>> {
    let mut rounds: Vec<Vec<Round>> = servers.iter().map(|_| Vec::new()).collect();
    for number in 0..=load.rounds {
        for ((server, rounds), is_gateway) in servers.iter().zip(&mut rounds).zip([true, false, false]) {
            let count = if number == 0 {
                WARM_UP.min(load.requests)
            } else {
                load.requests
            };
            let status = if is_gateway { load.status } else { 200 };
            let before = server.process().cpu_time()?;
            let answers = load.run(server, (count, status), cpu, generator)?;
            let cpu = server.process().cpu_time()?.saturating_sub(before);
            if number > 0 {
                rounds.push(Round { cpu, answers });
            }
        }
    }
    Ok(rounds.into_iter().map(summary).collect())
}

/// One processor for the servers and one for the load.
fn two_processors() -> anyhow::Result<(usize, usize)> {
    let status = fs::read_to_string("/proc/self/status")?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap_or_default();
    match server::processors(list).as_slice() {
        [server, load, ..] => Ok((*server, *load)),
        _ => bail!(
            "two processors are needed: one for the server, one for the load; this process may use {list}"
        ),
    }
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("unknown processor");
    model.trim_start_matches([' ', '\t', ':']).to_owned()
}

/// Builds a program with optimisation and returns its path; `target` holds cargo's arguments.
fn built(paths: &Paths, target: &[&str]) -> anyhow::Result<PathBuf> {
    let messages = Cmd::new(cargo())
        .args(["build", "--release", "--message-format=json"])
        .args(target)
        .dir(paths.clone_root())
        .output()?;
    let name = target.last().copied().unwrap_or_default();
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo named no program")
}

/// Writes a table into docs/performance.md, between the marks of that bench; returns the page.
fn put_on_page(paths: &Paths, bench: &str, table: &str) -> anyhow::Result<PathBuf> {
    let page = paths.clone_root().join("docs/performance.md");
    let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    fs::write(&page, report::insert(&text, bench, table)?)?;
    Ok(page)
}

fn target(paths: &Paths) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(
        || paths.clone_root().join("target"),
        |path| Path::new(&path).into(),
    )
}
