//! `xtask bench-gateway` -> what a decision costs, beside a bare server: JSON under target/bench, table in the docs (IO).
//!
//! `xtask bench-operator` is in `operator`, `xtask bench-webhook` in `webhook`.

mod alone;
mod figures;
mod load;
pub(crate) mod operator;
mod report;
mod server;
pub(crate) mod webhook;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use self::figures::{Figures, Round, summary};
use self::load::Load;
use self::report::{Comparison, Report};
use self::server::Server;
use crate::apt;
use crate::exec::{Cmd, cargo};
use crate::paths::Paths;
use crate::progress::Progress;

/// Rounds that count, per server; they alternate, so that a machine that slows down slows both down.
const ROUNDS: usize = 5;
/// Requests of a round, and of the one before that does not count.
const REQUESTS: u32 = 100_000;
const WARM_UP: u32 = 20_000;

/// The two ways to ask, each with 64 requests under way.
const WAYS: [Load; 2] = [
    Load {
        name: "HTTP/1.1, 64 connections",
        transport: "plain",
        connections: 64,
        streams: 1,
    },
    Load {
        name: "HTTP/2 with TLS, 4 connections",
        transport: "tls",
        connections: 4,
        streams: 16,
    },
];

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
    for load in WAYS {
        progress.line(format_args!(
            "{}: {ROUNDS} rounds of {REQUESTS} requests each",
            load.name
        ));
        let gateway = Server::start(&program, "gateway", load.transport, server_cpu)?;
        let reference = Server::start(&program, "reference", load.transport, server_cpu)?;
        comparisons.push(Comparison {
            name: load.name,
            figures: compare(&load, &gateway, &reference, load_cpu)?,
        });
    }
    let report = Report {
        processor: processor(),
        comparisons,
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

/// Figures of the gateway and of the reference, measured in turns.
fn compare(load: &Load, gateway: &Server, reference: &Server, cpu: usize) -> anyhow::Result<[Figures; 2]> {
    let mut rounds: [Vec<Round>; 2] = Default::default();
    for number in 0..=ROUNDS {
        for (server, rounds) in [gateway, reference].into_iter().zip(&mut rounds) {
            let count = if number == 0 { WARM_UP } else { REQUESTS };
            let before = server.cpu_time()?;
            let answers = load.run(server, count, cpu)?;
            let spent = server.cpu_time()?.saturating_sub(before);
            if let Some(other) = answers.iter().find(|answer| answer.status != 200) {
                bail!("{} answered {} in place of 200", server.name(), other.status);
            }
            ensure!(
                answers.len() == count as usize,
                "{} of {count} requests were answered",
                answers.len()
            );
            if number > 0 {
                rounds.push(Round { cpu: spent, answers });
            }
        }
    }
    Ok(rounds.map(summary))
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

/// Builds a program with optimisation and gives its path; `target` is what cargo is told to build.
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

/// Puts a table into docs/performance.md, between the marks of that bench; gives the page.
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
