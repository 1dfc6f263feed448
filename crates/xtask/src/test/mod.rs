//! `xtask test` -> every check and test in order; output as it comes, a summary, an exit code (IO).

mod harness;
mod stream;
mod summary;
mod traefik;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use self::harness::Count;
use self::summary::{Done, summary};
use crate::args::Provider;
use crate::cluster::{self, Cluster};
use crate::demo::{self, helm};
use crate::paths::Paths;
use crate::progress::Progress;
use crate::{apt, definitions, generate};

/// What the browser tests need: Chromium, its driver, and certutil, by which it is told whom to trust.
const BROWSER: [&str; 3] = ["chromium", "chromium-driver", "libnss3-tools"];

/// One step: its name and what it does.
type Step = (&'static str, fn(&mut Run<'_>) -> anyhow::Result<()>);

const ALL: [Step; 7] = [
    ("generated files", generated_files),
    ("format", format),
    ("lints", lints),
    ("unit, property and router tests", unit_tests),
    ("the cluster leaves nothing behind", leak_check),
    ("cluster, images and chart", deploy),
    ("contract and end-to-end tests", end_to_end),
];

const CHECKS: [Step; 4] = [
    ("generated files", generated_files),
    ("format", format),
    ("lints", lints),
    ("dependencies", dependencies),
];

/// One run of the steps.
struct Run<'a> {
    paths: &'a Paths,
    progress: Progress,
    count: Count,
    /// Whether a cluster was there before: it is not checked for leaks then, and stays.
    cluster_was_there: bool,
    /// The cluster that is used, once it is up.
    cluster: Option<Cluster>,
    /// The file that tells end-to-end tests where everything is.
    access_file: PathBuf,
}

/// Runs everything that must pass. The cluster is left as it was found: down if it was down.
pub(crate) fn test(paths: &Paths) -> anyhow::Result<ExitCode> {
    run(&ALL, paths)
}

/// Runs the checks that need no cluster, and those of the dependencies, whose tool takes minutes to build the first time.
pub(crate) fn check(paths: &Paths) -> anyhow::Result<ExitCode> {
    run(&CHECKS, paths)
}

fn run(steps: &[Step], paths: &Paths) -> anyhow::Result<ExitCode> {
    let mut run = Run {
        paths,
        progress: Progress::start(),
        count: Count::default(),
        cluster_was_there: cluster::is_node_here(paths)?,
        cluster: None,
        access_file: PathBuf::new(),
    };
    let mut done = Vec::new();
    for (name, step) in steps {
        println!("\n=== {name}");
        let (start, before) = (Instant::now(), run.count.ran());
        let result = step(&mut run);
        if let Err(error) = &result {
            println!("error: {error:#}");
        }
        done.push(Done {
            name,
            took: start.elapsed(),
            tests: run.count.ran() - before,
            ok: result.is_ok(),
        });
        if result.is_err() {
            break;
        }
    }
    let ok = done.iter().all(|step| step.ok);
    run.leave_as_found(ok);
    println!("{}", summary(&done, steps.len(), &run.count));
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn generated_files(run: &mut Run<'_>) -> anyhow::Result<()> {
    generate::run(run.paths, true)
}

fn format(run: &mut Run<'_>) -> anyhow::Result<()> {
    run.cargo(&["fmt", "--all", "--check"], &[])
}

fn lints(run: &mut Run<'_>) -> anyhow::Result<()> {
    run.cargo(
        &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        &[],
    )
}

fn dependencies(run: &mut Run<'_>) -> anyhow::Result<()> {
    let folder = run.paths.cache().join("cargo-deny");
    let deny = folder.join("bin/cargo-deny");
    if !deny.exists() {
        let root = folder.display().to_string();
        run.cargo(
            &[
                "install",
                "--locked",
                "--version",
                "0.20.2",
                "--root",
                &root,
                "cargo-deny",
            ],
            &[],
        )?;
    }
    // Advisories are left out: their list lies on GitHub, which not every machine reaches.
    let checks = ["check", "bans", "licenses", "sources"];
    run.stream(&deny.display().to_string(), &checks, &[])
}

fn unit_tests(run: &mut Run<'_>) -> anyhow::Result<()> {
    let helm = helm::ensure(run.paths, &run.progress)?;
    let traefik = traefik::ensure(run.paths, &run.progress)?;
    run.cargo(
        &["test", "--workspace", "--exclude", "e2e", "--no-fail-fast"],
        &[("HELM", &helm), ("TRAEFIK", &traefik)],
    )
}

fn leak_check(run: &mut Run<'_>) -> anyhow::Result<()> {
    if run.cluster_was_there {
        println!("left out: a cluster is up, and this check needs the machine without one");
        return Ok(());
    }
    cluster::leak_check(run.paths)
}

fn deploy(run: &mut Run<'_>) -> anyhow::Result<()> {
    let cluster = demo::start(run.paths)?;
    run.cluster = Some(cluster.clone());
    run.access_file = demo::deploy(&cluster, run.paths, &run.progress)?.access_file;
    Ok(())
}

fn end_to_end(run: &mut Run<'_>) -> anyhow::Result<()> {
    apt::ensure(&BROWSER, &run.progress)?;
    if run
        .cluster
        .as_ref()
        .is_some_and(|cluster| cluster.provider() == Provider::Node)
    {
        cluster::kwok::up(run.paths, 0, &run.progress)?;
    }
    let access = run.access_file.clone();
    let definitions = definitions::ensure(run.paths, &run.progress)?;
    run.cargo(
        &["test", "--package", "e2e", "--no-fail-fast"],
        &[
            ("JUPYTER_K8S_E2E", &access),
            ("JUPYTER_K8S_DEFINITIONS", &definitions),
        ],
    )
}

impl Run<'_> {
    fn cargo(&mut self, args: &[&str], env: &[(&str, &Path)]) -> anyhow::Result<()> {
        let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        self.stream(&cargo, args, env)
    }

    fn stream(&mut self, program: &str, args: &[&str], env: &[(&str, &Path)]) -> anyhow::Result<()> {
        stream::stream(program, args, env, self.paths.clone_root(), |line| {
            self.count.line(line);
        })
    }

    /// After a failure keeps what the cluster can tell; takes it down if it was not there before.
    fn leave_as_found(&self, ok: bool) {
        let Some(cluster) = &self.cluster else { return };
        if !ok && let Some(file) = demo::diagnose::collect(cluster, self.paths) {
            println!("what pods and events say is in {}", file.display());
        }
        if !self.cluster_was_there
            && let Err(error) = cluster::down(self.paths)
        {
            println!("error: the cluster could not be taken down: {error:#}");
        }
    }
}
