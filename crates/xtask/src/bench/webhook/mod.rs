//! `xtask bench-webhook` -> cost of a review: JSON under target/bench, table in the docs (IO).
//!
//! All of it runs in its own network and process namespaces, as `bench-operator` does. etcd and API server run as on the local cluster. The
//! webhook and the bare server share one core, and everything else uses another. Nothing else of the machine changes, and nothing remains
//! when the bench ends.
//!
//! - `objects`: objects in that cluster
//! - `cases`: the requests
//! - `load`: runs the load generator, which is part of the webhook's benches, like the bare server
//! - `report`: figures to text

mod cases;
mod load;
mod objects;
mod report;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use serde_json::json;

use self::cases::Case;
use self::load::{Generator, Pace, Target};
use self::report::{Cold, Counted, Measured, Report};
use super::figures::{Round, summary};
use super::namespaced::{NamespacedBench, require_root};
use super::operator::instance::{Instance, WEBHOOK, wait_for};
use super::operator::requests::make;
use super::{built, processor, target, two_processors};
use crate::args::BenchWebhook;
use crate::cluster::control_plane;
use crate::cluster::kubeconfig::write_secret;
use crate::cluster::layout::NODE_ADDRESS;
use crate::cluster::process::{Service, wait_until};
use crate::components::{ETCD, HYPERKUBE};
use crate::paths::Paths;
use crate::progress::Progress;

/// Reviews per second: the rate of the performance target.
const RATE: u32 = 500;
/// Measured rounds of a case, per server and pace. Servers take turns, so that a slower machine affects both.
const ROUNDS: usize = 3;
/// Seconds of a round at a steady rate: shorter than the cache keeps permissions, so that all are cached from its start.
const SECONDS: u32 = 6;
/// Requests of a round without a rate.
const SATURATED: u32 = 6_000;
/// Creations per second by users who are not in the cache: each needs two access reviews, and the API server has one core.
const COLD_RATE: u32 = 100;
/// Seconds of such a round.
const COLD_SECONDS: u32 = 8;

const SERVER: &str = "webhook";
const REFERENCE: &str = "reference";
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9443);
const BARE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9444);
/// URLs of the measured server's readiness and metrics.
pub(super) const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// Measures, writes both files and prints the table.
///
/// # Errors
/// When this is not root on Linux with two processors, a build fails, or an answer is not the expected one.
pub(crate) fn run(args: &BenchWebhook, paths: &Paths) -> anyhow::Result<()> {
    let progress = Progress::start();
    if args.inside {
        return inside(args, paths, &progress);
    }
    require_root()?;
    let (server_cpu, load_cpu) = two_processors()?;
    for component in [&ETCD, &HYPERKUBE] {
        component.ensure(paths, &progress)?;
    }
    progress.line("building the webhook and the load generator with optimisation");
    let program = match &args.program {
        Some(program) => program.clone(),
        None => built(paths, &["--package", "webhook", "--bin", "jupyter-k8s-webhook"])?,
    };
    let generator = built(paths, &["--package", "webhook", "--bench", "admission"])?;
    // All processes except the servers use the core of the load.
    let namespaced = NamespacedBench {
        name: "webhook",
        processor: Some(load_cpu),
        args: vec![
            "--processor".into(),
            server_cpu.to_string().into(),
            "--program".into(),
            program.into(),
            "--generator".into(),
            generator.into(),
        ],
        dry_run: args.dry_run,
    };
    namespaced.run(paths)
}

fn inside(args: &BenchWebhook, paths: &Paths, progress: &Progress) -> anyhow::Result<()> {
    let folder = target(paths).join("bench");
    let state = folder.join("webhook-instance");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(async {
        let bench = Bench::start(args, paths, &state).await?;
        progress.line("the control plane, the webhook and the bare server are ready");
        bench.measure(progress)
    });
    let _ = fs::remove_dir_all(&state);
    let report = report?;
    fs::write(folder.join("webhook.json"), report.json())?;
    fs::write(folder.join("webhook.md"), report.table())?;
    Ok(())
}

struct Bench {
    instance: Instance,
    generator: Generator,
    webhook: Target,
    reference: Target,
    api_server: Target,
}

impl Bench {
    async fn start(args: &BenchWebhook, paths: &Paths, folder: &Path) -> anyhow::Result<Self> {
        let mut instance = Instance::bare(paths, folder).await?;
        let client = instance.client().await?;
        prepare(&client, paths).await?;
        let file = |name: &str| instance.layout().file(name);
        let (authority, pki) = (file("webhook-ca.crt"), file("pki"));
        let generator = Generator {
            program: args.generator.clone().context("no load generator")?,
            folder: file("load"),
        };
        fs::create_dir_all(&generator.folder)?;
        let program = args.program.as_ref().context("no program to measure")?;
        let webhook = service(SERVER, args.processor, program, webhook_args(&instance)?);
        instance.launch_as(&webhook, "webhook")?;
        ensure!(
            wait_until(Duration::from_mins(1), || get("/readyz").is_ok()),
            "the webhook does not get ready; see {}",
            instance.layout().log(SERVER).display()
        );
        let plan = certificate(&client, &instance, &authority).await?;
        let bare = service(
            REFERENCE,
            args.processor,
            &generator.program,
            vec![REFERENCE.to_owned(), plan],
        );
        instance.launch_as(&bare, "webhook")?;
        ensure!(
            wait_until(Duration::from_mins(1), || TcpStream::connect(BARE).is_ok()),
            "the bare server does not listen"
        );
        let target = |address, check| Target {
            address,
            name: format!("{}.{}.svc", objects::NAME, objects::SYSTEM),
            authority: authority.clone(),
            client: None,
            check,
            status: 200,
        };
        Ok(Self {
            webhook: target(LISTEN, true),
            reference: target(BARE, false),
            api_server: Target {
                address: SocketAddr::from((NODE_ADDRESS.parse::<Ipv4Addr>()?, 6443)),
                name: "kubernetes".to_owned(),
                authority: pki.join("ca.crt"),
                client: Some([pki.join("webhook.crt"), pki.join("webhook.key")]),
                check: true,
                status: 201,
            },
            instance,
            generator,
        })
    }

    fn measure(&self, progress: &Progress) -> anyhow::Result<Report> {
        let mut cases = Vec::new();
        for case in Case::ALL {
            let measured = self.case(case)?;
            progress.line(format_args!(
                "{}: p99 {:.2} ms",
                case.name(),
                measured.steady[0].p99_millis
            ));
            cases.push(measured);
        }
        let cold = self.cold()?;
        progress.line(format_args!(
            "unknown users: p99 {:.2} ms",
            cold.webhook.p99_millis
        ));
        Ok(Report {
            processor: processor(),
            rate: RATE,
            cases,
            cold,
            memory: [self.instance.memory(SERVER)?, self.instance.peak_memory(SERVER)?],
        })
    }

    fn case(&self, case: Case) -> anyhow::Result<Measured> {
        let requests = case.requests();
        let users = u32::try_from(requests.lines().count())?;
        let sides = [(SERVER, &self.webhook), (REFERENCE, &self.reference)];
        let (mut steady, mut saturated): ([Vec<Round>; 2], [Vec<Round>; 2]) = Default::default();
        let mut counted = Counted::default();
        for _ in 0..ROUNDS {
            for (side, (name, target)) in sides.into_iter().enumerate() {
                // From here on, the users of this round are in the cache.
                self.generator.run(target, &requests, Pace::Saturated, users)?;
                let before = Counted::read(&get("/metrics")?);
                steady[side].push(self.round(name, target, &requests, Pace::Steady(RATE), RATE * SECONDS)?);
                counted = counted.and(Counted::read(&get("/metrics")?).since(before));
                saturated[side].push(self.round(name, target, &requests, Pace::Saturated, SATURATED)?);
            }
        }
        Ok(Measured {
            case,
            steady: steady.map(summary),
            saturated: saturated.map(summary),
            counted,
        })
    }

    fn cold(&self) -> anyhow::Result<Cold> {
        let count = COLD_RATE * COLD_SECONDS;
        let (mut webhook, mut direct) = (Vec::new(), Vec::new());
        for number in 0..ROUNDS {
            let (round, users) = (format!("round-{number}"), usize::try_from(count)?);
            let requests = cases::unknown_users(&round, users);
            webhook.push(self.round(SERVER, &self.webhook, &requests, Pace::Steady(COLD_RATE), count)?);
            let requests = cases::rights(&format!("direct-{number}"), users);
            let pace = Pace::Steady(2 * COLD_RATE);
            direct.push(self.round("kube-apiserver", &self.api_server, &requests, pace, 2 * count)?);
        }
        Ok(Cold {
            rate: COLD_RATE,
            webhook: summary(webhook),
            direct: summary(direct),
        })
    }

    /// One round, with the processor time of the process called `name`.
    fn round(
        &self,
        name: &str,
        target: &Target,
        requests: &str,
        pace: Pace,
        count: u32,
    ) -> anyhow::Result<Round> {
        let before = self.instance.cpu(name)?;
        let answers = self.generator.run(target, requests, pace, count)?;
        let cpu = self.instance.cpu(name)?.saturating_sub(before);
        Ok(Round { cpu, answers })
    }
}

/// The product's kinds, and the objects that the webhook reads.
async fn prepare(client: &Client, paths: &Paths) -> anyhow::Result<()> {
    for crd in api::crds() {
        make(client, &serde_json::to_value(crd)?).await?;
    }
    for kind in [
        "workspaces",
        "workspacetemplates",
        "workspacemanagers",
        "workspaceexecutionprofiles",
    ] {
        wait_for(client, &format!("/apis/workspaces.jupyter.org/v1alpha1/{kind}")).await?;
    }
    for object in objects::all(paths, WEBHOOK)? {
        make(client, &object).await?;
    }
    Ok(())
}

/// A process on the measured core.
pub(super) fn service(name: &'static str, processor: usize, program: &Path, args: Vec<String>) -> Service {
    let mut all = vec![
        "--cpu-list".to_owned(),
        processor.to_string(),
        program.display().to_string(),
    ];
    all.extend(args);
    control_plane::service(name, PathBuf::from("taskset"), all)
}

fn webhook_args(instance: &Instance) -> anyhow::Result<Vec<String>> {
    let settings = instance.layout().file("settings.yaml");
    fs::write(&settings, objects::SETTINGS)?;
    let account = |name: &str| format!("system:serviceaccount:{}:{name}", objects::SYSTEM);
    Ok(vec![
        format!("--namespace={}", objects::SYSTEM),
        format!("--release-name={}", objects::RELEASE),
        format!("--settings-file={}", settings.display()),
        format!("--operator-service-account={}", account("bench-operator")),
        format!("--gateway-service-account={}", account("bench-gateway")),
        format!("--listen-address={LISTEN}"),
        format!("--admin-address={ADMIN}"),
    ])
}

/// Writes the webhook's authority to `authority`, and returns the plan of a server with the same certificate.
async fn certificate(client: &Client, instance: &Instance, authority: &Path) -> anyhow::Result<String> {
    let secrets = Api::<Secret>::namespaced(client.clone(), objects::SYSTEM);
    let data = secrets
        .get(&format!("{}-cert", objects::NAME))
        .await?
        .data
        .unwrap_or_default();
    let mut files = Vec::new();
    for key in ["ca.crt", "tls.crt", "tls.key"] {
        let text = data
            .get(key)
            .with_context(|| format!("the webhook's Secret has no {key}"))?;
        let file = if key == "ca.crt" {
            authority.to_path_buf()
        } else {
            instance.layout().file(&format!("webhook-{key}"))
        };
        write_secret(&file, &String::from_utf8_lossy(&text.0))?;
        files.push(file);
    }
    let plan = instance.layout().file("reference.json");
    let text = json!({"address": BARE, "certificate": files[1], "key": files[2]});
    fs::write(&plan, text.to_string())?;
    Ok(plan.display().to_string())
}

/// A page of the measured server's metrics port; an error unless the status is 200.
pub(super) fn get(path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(ADMIN)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    Ok(answer)
}
