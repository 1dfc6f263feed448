//! `xtask bench-portal` -> cost of portal and plugin: JSON under target/bench, tables in docs (IO).
//!
//! All of it runs in its own network and process namespaces, as `bench-webhook` does. The portal and a bare server share
//! one core; etcd, API server and load share another. Rights are those of the chart. The load is part of the portal's
//! benches.
//!
//! - `objects`: objects and users of that cluster
//! - `prepare`: creates them, with the files that the portal reads
//! - `forms`, `browser`, `lists`, `plugin`: measure
//! - `report`: figures to text
//! - `targets`: a figure and its limit

mod browser;
mod forms;
mod lists;
mod objects;
mod plugin;
mod prepare;
mod report;
mod targets;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use self::objects::Kind;
use self::prepare::{prepare, write_files};
use self::report::{First, Page, Report};
use super::figures::{Round, summary};
use super::load::{generate, read};
use super::namespaced::{NamespacedBench, require_root};
use super::operator::audit::Log;
use super::operator::instance::{Instance, PORTAL};
use super::server::Process;
use super::webhook::{ADMIN, get, service};
use super::{built, processor, target, two_processors};
use crate::apt;
use crate::args::{BenchPortal, BenchPortalPart as Part};
use crate::cluster::process::wait_until;
use crate::components::{ETCD, HYPERKUBE};
use crate::exec::Cmd;
use crate::helm;
use crate::paths::Paths;
use crate::progress::Progress;

const SERVER: &str = "portal";
const REFERENCE: &str = "reference";
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8443);
const BARE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8444);
/// Pages per second, and their number in a round: less than one user's limit.
const RATE: u32 = 25;
const COUNT: u32 = 100;
/// The same for users whose rights are not cached: each page takes an access review for each namespace.
const COLD: (u32, u32) = (4, 20);
/// Changes a second.
const CHANGES: u32 = 20;
/// Rows of the first page of a list.
const ROWS: usize = 50;

/// Measures, writes both files and prints the tables.
///
/// # Errors
/// When this is not root on Linux with two processors, a build fails, or a page is not answered as it ought to be.
pub(crate) fn run(args: &BenchPortal, paths: &Paths) -> anyhow::Result<()> {
    let progress = Progress::start();
    if args.inside {
        return inside(args, paths, &progress);
    }
    require_root()?;
    ensure!(
        args.namespaces > 0
            && args.streams > 0
            && args.rounds > 0
            && args.workspaces >= 4 * args.namespaces.max(ROWS),
        "--workspaces {}: at least {} are needed, four in each namespace; and of everything else one",
        args.workspaces,
        4 * args.namespaces.max(ROWS)
    );
    two_processors()?;
    for component in [&ETCD, &HYPERKUBE] {
        component.ensure(paths, &progress)?;
    }
    helm::ensure(paths, &progress)?;
    apt::ensure(&["chromium"], &progress)?;
    let program = |given: &Option<PathBuf>, target: &[&str]| {
        if let Some(program) = given {
            return Ok(std::path::absolute(program)?);
        }
        progress.line(format_args!("building {} with optimisation", target[3]));
        built(paths, target)
    };
    let portal = program(
        &args.program,
        &["--package", "portal", "--bin", "jupyter-k8s-portal"],
    )?;
    let plugin = program(&args.plugin, &["--package", "cli", "--bin", "kubectl-workspace"])?;
    let generator = program(&args.generator, &["--package", "portal", "--bench", "pages"])?;
    let mut inner = Vec::new();
    for (name, number) in [
        ("--workspaces", args.workspaces),
        ("--namespaces", args.namespaces),
        ("--streams", args.streams),
        ("--seconds", usize::try_from(args.seconds)?),
        ("--rounds", args.rounds),
    ] {
        inner.extend([name.into(), number.to_string().into()]);
    }
    for (name, program) in [
        ("--program", portal),
        ("--plugin", plugin),
        ("--generator", generator),
    ] {
        inner.extend([name.into(), program.into()]);
    }
    if let Some(part) = args.only.as_ref().and_then(clap::ValueEnum::to_possible_value) {
        inner.extend(["--dry-run".into(), "--only".into(), part.get_name().into()]);
    }
    let namespaced = NamespacedBench {
        name: SERVER,
        // Making so many objects takes both; what is measured has one.
        processor: None,
        args: inner,
        dry_run: args.dry_run,
    };
    namespaced.run(paths)
}

fn inside(args: &BenchPortal, paths: &Paths, progress: &Progress) -> anyhow::Result<()> {
    let folder = target(paths).join("bench");
    let state = folder.join("portal-instance");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut bench = runtime.block_on(Bench::start(args, paths, &state, progress))?;
    let report = bench.measure(progress);
    drop(bench);
    let report = report?;
    let _ = fs::remove_dir_all(&state);
    fs::write(folder.join("portal.json"), report.json())?;
    fs::write(folder.join("portal.md"), report.table())?;
    Ok(())
}

struct Bench<'a> {
    args: &'a BenchPortal,
    instance: Instance,
    generator: &'a Path,
    /// The core of the servers, and that of everything else.
    processors: (usize, usize),
    /// From the portal's start until it is ready.
    ready: Duration,
    calls: Log,
}

impl<'a> Bench<'a> {
    async fn start(
        args: &'a BenchPortal,
        paths: &Paths,
        folder: &Path,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let processors = two_processors()?;
        let mut instance = Instance::bare(paths, folder).await?;
        let client = instance.client().await?;
        let settings = prepare(&client, args, paths, progress).await?;
        let generator = args.generator.as_deref().context("no load generator")?;
        let program = args.program.as_deref().context("no program to measure")?;
        write_files(&instance, &settings, &Cmd::new(generator).arg("keys").output()?)?;
        let text = |name: &str| instance.layout().file(name).display().to_string();
        let arguments = vec![
            "--namespace=jupyter-k8s-system".to_owned(),
            "--release-name=bench".to_owned(),
            format!("--settings-file={}", text("settings.yaml")),
            format!("--assertion-keys-file={}", text("jwks.json")),
            format!("--tls-dir={}", text("tls")),
            format!("--listen-address={LISTEN}"),
            format!("--admin-address={ADMIN}"),
        ];
        instance.pin(processors.1)?;
        let begin = Instant::now();
        instance.launch_as(&service(SERVER, processors.0, program, arguments), "portal")?;
        ensure!(
            wait_until(Duration::from_mins(1), || get("/readyz").is_ok()),
            "the portal does not get ready; see {}",
            instance.layout().log(SERVER).display()
        );
        let ready = begin.elapsed();
        progress.line(format_args!(
            "the portal is ready after {:.2} s",
            ready.as_secs_f64()
        ));
        Ok(Self {
            args,
            calls: Log::new(instance.audit_log(), PORTAL),
            processors,
            instance,
            generator,
            ready,
        })
    }

    fn measure(&mut self, progress: &Progress) -> anyhow::Result<Report> {
        let first = self.first(&self.user(Kind::Member, "/"))?;
        let started = self.instance.memory(SERVER)?;
        let mut pages = Vec::new();
        if self.wants(Part::Pages) {
            pages = self.pages(progress)?;
        }
        let mut form = None;
        if self.wants(Part::Forms) {
            let measured = self.form()?;
            progress.line(format_args!("dry run of a form: {}", measured.line()));
            form = Some(measured);
        }
        let mut shown = Vec::new();
        if self.wants(Part::Browser) {
            shown = self.browser(progress)?;
        }
        let mut lists = Vec::new();
        for (kind, what) in [
            (Kind::Member, "people who see few workspaces"),
            (Kind::Admin, "administrators who see all"),
        ] {
            if self.wants(Part::Lists) {
                let measured = self.lists(kind, what)?;
                progress.line(format_args!("open lists of {what}: {}", measured.line()));
                lists.push(measured);
            }
        }
        let mut plugin = Vec::new();
        if self.wants(Part::Plugin) {
            plugin = self.plugin()?;
        }
        Ok(Report {
            processor: processor(),
            counts: [self.args.workspaces, self.args.namespaces, self.args.streams],
            ready: self.ready,
            first,
            pages,
            form,
            shown,
            lists,
            memory: [started, self.instance.peak_memory(SERVER)?],
            plugin,
        })
    }

    fn wants(&self, part: Part) -> bool {
        self.args.only.is_none_or(|only| only == part)
    }

    /// The first user of a kind, who opens `path`. They own a workspace in their own namespace.
    fn user(&self, kind: Kind, path: &str) -> Value {
        kind.user(0, self.args.namespaces, path)
    }

    fn first(&self, user: &Value) -> anyhow::Result<First> {
        let port = LISTEN.port().to_string();
        let plan = self.plan(&self.requests(&port, std::slice::from_ref(user), (1, 1), true))?;
        let (process, first) = Process::announced(self.generator, &["first", &plan], self.processors.1)?;
        process.finish()?;
        Ok(first)
    }

    fn pages(&mut self, progress: &Progress) -> anyhow::Result<Vec<Page>> {
        let (namespace, name) = objects::named(self.args.namespaces, self.args.namespaces);
        let own = format!("/w/{namespace}/{name}");
        let known = [
            ("list of an owner of 3", Kind::Owner, "/", 30.0),
            (
                "list of the same owner with the role in a namespace",
                Kind::Member,
                "/",
                30.0,
            ),
            ("list of an administrator of all", Kind::Admin, "/", 30.0),
            ("page of a workspace, its owner", Kind::Member, &own, 20.0),
            ("page of a workspace, an administrator", Kind::Admin, &own, 20.0),
        ];
        let mut pages = Vec::new();
        for (name, kind, path, limit) in known {
            let users = [self.user(kind, path)];
            pages.push(self.page(name, &users, (RATE, COUNT), Some(limit))?);
        }
        // Each user sends one request: the rights of a user who sent one less than 30 s ago are cached.
        let (rate, count) = COLD;
        let strangers: Vec<_> = (1..=usize::try_from(count)? * self.args.rounds)
            .map(|number| Kind::Member.user(number, self.args.namespaces, "/"))
            .collect();
        pages.push(self.page(
            "list of people with that role who did not ask for 30 s",
            &strangers,
            (rate, count),
            None,
        )?);
        for page in &pages {
            progress.line(format_args!(
                "{}: p99 {:.1} ms",
                page.name, page.portal.p99_millis
            ));
        }
        Ok(pages)
    }

    /// One page, beside a bare server that answers as many bytes; both take turns.
    fn page(
        &mut self,
        name: &'static str,
        users: &[Value],
        (rate, count): (u32, u32),
        limit: Option<f64>,
    ) -> anyhow::Result<Page> {
        let bytes = self.first(&users[0])?.page;
        self.bare(bytes)?;
        let (mut portal, mut bare) = (Vec::new(), Vec::new());
        for number in 0..self.args.rounds {
            let each = users.len().div_ceil(self.args.rounds).max(1);
            let users = users.chunks(each).cycle().nth(number).unwrap_or_default();
            let known = users.len() == 1;
            let plan =
                |server: SocketAddr| self.requests(&server.port().to_string(), users, (rate, count), known);
            portal.push(self.round(SERVER, &plan(LISTEN))?);
            bare.push(self.round(REFERENCE, &plan(BARE))?);
        }
        self.instance.stop(REFERENCE);
        Ok(Page {
            name,
            bytes,
            portal: summary(portal),
            bare: summary(bare),
            limit,
        })
    }

    /// Starts the bare server.
    fn bare(&mut self, bytes: usize) -> anyhow::Result<()> {
        let tls = self.instance.layout().file("tls").display().to_string();
        let args = ["bare".to_owned(), BARE.to_string(), tls, bytes.to_string()];
        let bare = service(REFERENCE, self.processors.0, self.generator, args.into());
        self.instance.launch_as(&bare, SERVER)?;
        ensure!(
            wait_until(Duration::from_mins(1), || TcpStream::connect(BARE).is_ok()),
            "the bare server does not listen"
        );
        Ok(())
    }

    /// What `name` answers to the requests of a plan, and what it takes for that.
    fn round(&self, name: &str, plan: &Value) -> anyhow::Result<Round> {
        let before = self.instance.cpu(name)?;
        generate((self.generator, "requests"), plan, self.processors.1)?;
        let cpu = self.instance.cpu(name)?.saturating_sub(before);
        let answers = read(&self.log())?;
        let other = answers.iter().find(|answer| !(200..300).contains(&answer.status));
        ensure!(other.is_none(), "{name} answered {other:?}");
        ensure!(
            plan["count"] == answers.len(),
            "{} of {} answers",
            answers.len(),
            plan["count"]
        );
        Ok(Round { cpu, answers })
    }

    /// A plan of requests to the server of a kubeconfig.
    fn requests(&self, kubeconfig: &str, users: &[Value], (rate, count): (u32, u32), known: bool) -> Value {
        let server = self.instance.layout().kubeconfig(kubeconfig);
        json!({
            "server": server, "people": users, "rate": rate, "count": count, "known": known, "log": self.log(),
        })
    }

    fn log(&self) -> PathBuf {
        self.instance.layout().file("load.tsv")
    }

    fn plan(&self, plan: &Value) -> anyhow::Result<String> {
        let file = self.instance.layout().file("load.json");
        fs::write(&file, plan.to_string())?;
        Ok(file.display().to_string())
    }
}
