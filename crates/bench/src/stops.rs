//! Cluster with the product and kwok -> when idle workspaces stop, of which some never answer (IO).
//!
//! One responder on this machine answers for all fake pods: their addresses are made the machine's own. So it counts the questions, and knows by
//! the address which pod is asked.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use api::Workspace;
use api::workspace::DesiredStatus;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::load::percentile;
use crate::operator::{self, Bench, LIMIT, PARALLEL, TEMPLATE, number};
use crate::page::{Figure, Target};

/// Port of the application, at which pods are asked.
const PORT: u16 = 8888;
/// Of each workspace, in minutes.
const TIMEOUT: u32 = 5;
/// One address of so many never answers.
const SILENT: u8 = 5;
/// How late a stop may be, in seconds.
const BOUND: f64 = 60.0;
/// Ranges of 256 addresses, of which each node gets one.
const RANGES: usize = 32;
/// How long the operator's processor time is measured without rules.
const REFERENCE: Duration = Duration::from_mins(5);
/// How many seconds before the last stop is due the leader's pod ends.
const BEFORE: u32 = 30;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Idle workspaces whose stops are measured, of which a fifth never answers; 0: none are
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    stops: usize,
    /// Namespaces of these workspaces
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    namespaces: usize,
    /// End the pod of the leading operator amid the stops; its processor time and memory are then not measured
    #[arg(long)]
    end_leader: bool,
    /// Leave out the reference: the same workspaces without a rule
    #[arg(long)]
    no_reference: bool,
}

impl Args {
    pub(crate) fn is_absent(&self) -> bool {
        self.stops == 0
    }

    /// Namespace and name of each workspace.
    fn names(&self) -> impl Iterator<Item = (String, String)> {
        let namespaces = self.namespaces.max(1);
        (0..self.stops).map(move |count| (space(count % namespaces), format!("w-{count:05}")))
    }
}

/// Questions to each address.
type Asked = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// What is known of a workspace.
#[derive(Debug, Default)]
struct Run {
    is_available: bool,
    stopped: Option<Timestamp>,
}

struct ReadyPod {
    since: Timestamp,
    is_silent: bool,
}

/// Figures of the stops.
pub(crate) async fn measure(args: &Args, operator: &operator::Args) -> anyhow::Result<Vec<Figure>> {
    let bench = Bench::connect(operator).await?;
    let figures = measure_on(args, &bench).await;
    bench.clean_after(figures).await
}

async fn measure_on(args: &Args, bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    bench.prepare(args.stops).await?;
    for count in 0..args.namespaces.max(1) {
        bench.apply(operator::namespace(&space(count))).await?;
    }
    let ranges = ranges(&bench.client).await?;
    for range in &ranges {
        route("replace", range)?;
    }
    let asked = Asked::default();
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    let responder = tokio::spawn(respond(listener, Arc::clone(&asked)));
    let figures = Stage { args, bench, asked }.figures().await;
    responder.abort();
    for range in &ranges {
        route("del", range)?;
    }
    for count in 0..args.namespaces.max(1) {
        let namespaces = Api::<Namespace>::all(bench.client.clone());
        namespaces.delete(&space(count), &DeleteParams::default()).await?;
    }
    figures
}

struct Stage<'a> {
    args: &'a Args,
    bench: &'a Bench,
    asked: Asked,
}

impl Stage<'_> {
    async fn figures(&self) -> anyhow::Result<Vec<Figure>> {
        let count = self.args.stops;
        let reference = if self.args.end_leader || self.args.no_reference {
            None
        } else {
            Some(self.without_rules().await?)
        };
        self.create(true).await?;
        self.follow(|run| run.is_available, count).await?;
        let pods = self.pods().await?;
        ensure!(pods.len() == count, "{} of {count} pods are ready", pods.len());
        let silent = pods.values().filter(|pod| pod.is_silent).count();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let (before, begin) = (self.bench.operators.cpu()?, Instant::now());
        self.bench.operators.forget_peaks()?;
        let stopping = self.follow(|run| run.stopped.is_some(), count - silent);
        let (runs, ended) = tokio::join!(stopping, self.end_leader());
        let (runs, took) = (runs?, begin.elapsed());
        ended?;
        let mut late = Vec::new();
        for (name, run) in &runs {
            if let (Some(pod), Some(stopped)) = (pods.get(name), run.stopped) {
                ensure!(!pod.is_silent, "{name:?} has stopped and never answered");
                late.push(stopped.duration_since(pod.since).as_secs_f64() - f64::from(60 * TIMEOUT));
            }
        }
        let namespaces = self.args.namespaces;
        let name = if self.args.end_leader {
            format!("{count} idle in {namespaces}, the leader ends")
        } else {
            format!("{count} idle in {namespaces}")
        };
        let after = |what: &str, percent| {
            Figure::alone(
                format!("{name}: stop after its time, {what}, s"),
                percentile(&mut late.clone(), percent),
            )
        };
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let hours = took.as_secs_f64() / 3600.0;
        let questions = |is_silent: bool| {
            let each = asked
                .iter()
                .filter(|(address, _)| is_silenced(**address) == is_silent);
            let counts: Vec<usize> = each.map(|(_, count)| *count).collect();
            number(counts.iter().sum()) / number(counts.len().max(1)) / hours
        };
        let mut figures = vec![
            after("first", 0),
            after("p50", 50),
            after("p99", 99),
            after("last", 100).within(Target::AtMost(BOUND)),
            Figure::alone(
                "the same: requests for each and hour, of those that answer",
                questions(false),
            ),
            Figure::alone("the same: of those that never answer", questions(true)),
        ];
        if let Some((reference, peak_before)) = reference {
            let used = in_a_minute(self.bench.operators.cpu()? - before, took);
            figures.push(Figure::new(
                "the same: operator's CPU in a minute, ms, and without rules",
                [used, reference],
            ));
            if let (Some(peak), Some(without)) = (self.bench.operators.peak()?, peak_before) {
                figures.push(Figure::new(
                    "the same: operator's memory at most, MiB, and without rules",
                    [peak, without],
                ));
            }
        }
        self.delete().await?;
        Ok(figures)
    }

    /// The operator's processor time in a minute, and its memory at most, with the same workspaces and no rule.
    async fn without_rules(&self) -> anyhow::Result<(f64, Option<f64>)> {
        self.create(false).await?;
        self.follow(|run| run.is_available, self.args.stops).await?;
        let (before, begin) = (self.bench.operators.cpu()?, Instant::now());
        self.bench.operators.forget_peaks()?;
        tokio::time::sleep(REFERENCE).await;
        let reference = in_a_minute(self.bench.operators.cpu()? - before, begin.elapsed());
        let peak = self.bench.operators.peak()?;
        self.delete().await?;
        Ok((reference, peak))
    }

    async fn create(&self, is_idle: bool) -> anyhow::Result<()> {
        let asked = stream::iter(self.args.names()).map(|(namespace, name)| {
            let api = Api::<Workspace>::namespaced(self.bench.client.clone(), &namespace);
            async move {
                let idle = json!({"idleTimeoutInMinutes": TIMEOUT, "enabled": is_idle});
                let spec = json!({"displayName": "Bench", "templateRef": TEMPLATE, "idleShutdown": idle});
                let workspace = serde_json::from_value(json!({
                    "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "Workspace", "metadata": {"name": name}, "spec": spec,
                }))?;
                api.create(&PostParams::default(), &workspace).await?;
                anyhow::Ok(())
            }
        });
        asked.buffer_unordered(PARALLEL).try_collect().await
    }

    /// Watches until so many workspaces are `done`.
    async fn follow(
        &self,
        done: fn(&Run) -> bool,
        count: usize,
    ) -> anyhow::Result<HashMap<(String, String), Run>> {
        let all = Api::<Workspace>::all(self.bench.client.clone());
        let mut events = watcher(all, Config::default()).boxed();
        let mut runs: HashMap<(String, String), Run> = HashMap::new();
        let until = tokio::time::Instant::now() + LIMIT;
        while runs.values().filter(|run| done(run)).count() < count {
            let event = tokio::time::timeout_at(until, events.try_next()).await;
            let event = event.with_context(|| format!("not all of {count} workspaces are done"))??;
            let (Event::Apply(workspace) | Event::InitApply(workspace)) = event.context("the watch ended")?
            else {
                continue;
            };
            let namespace = workspace.namespace().unwrap_or_default();
            if !namespace.starts_with(SPACES) {
                continue;
            }
            let run = runs.entry((namespace, workspace.name_any())).or_default();
            let conditions = workspace.status.iter().flat_map(|status| &status.conditions);
            let mut available = conditions.filter(|one| one.type_ == "Available" && one.status == "True");
            run.is_available |= available.next().is_some();
            if workspace.spec.desired_status == DesiredStatus::Stopped {
                run.stopped = run.stopped.or_else(|| Some(Timestamp::now()));
            }
        }
        Ok(runs)
    }

    /// When the pod of each workspace was ready: its timeout counts from then.
    async fn pods(&self) -> anyhow::Result<HashMap<(String, String), ReadyPod>> {
        let pods = Api::<Pod>::all(self.bench.client.clone());
        let pods = pods.list(&ListParams::default()).await?.items.into_iter();
        let ready = pods.filter_map(|pod| {
            let namespace = pod
                .namespace()
                .filter(|namespace| namespace.starts_with(SPACES))?;
            let name = pod.name_any();
            let name = name.strip_prefix("workspace-")?;
            let status = pod.status?;
            let address: IpAddr = status.pod_ip?.parse().ok()?;
            let mut conditions = status.conditions?.into_iter();
            let ready = conditions.find(|one| one.type_ == "Ready" && one.status == "True")?;
            let pod = ReadyPod {
                since: ready.last_transition_time?.0,
                is_silent: is_silenced(address),
            };
            Some(((namespace, name.to_owned()), pod))
        });
        Ok(ready.collect())
    }

    /// Ends the leader's pod, if that is asked for.
    async fn end_leader(&self) -> anyhow::Result<()> {
        if !self.args.end_leader {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(u64::from(TIMEOUT * 60 - BEFORE))).await;
        let client = || self.bench.client.clone();
        let leases = Api::<Lease>::all(client())
            .list(&ListParams::default())
            .await?
            .items;
        let leases = leases
            .into_iter()
            .filter(|lease| lease.name_any().ends_with("-operator"));
        let held = leases.filter_map(|lease| Some((lease.namespace()?, lease.spec?.holder_identity?)));
        for (namespace, pod) in held {
            let now = DeleteParams::default().grace_period(0);
            Api::<Pod>::namespaced(client(), &namespace)
                .delete(&pod, &now)
                .await?;
        }
        Ok(())
    }

    async fn delete(&self) -> anyhow::Result<()> {
        let begin = Instant::now();
        for count in 0..self.args.namespaces.max(1) {
            let api = Api::<Workspace>::namespaced(self.bench.client.clone(), &space(count));
            while !api.list_metadata(&ListParams::default()).await?.items.is_empty() {
                ensure!(
                    begin.elapsed() < LIMIT,
                    "workspaces of {} are not gone",
                    space(count)
                );
                // The API server ends a request after a minute, when it has deleted a part.
                let _ = api
                    .delete_collection(&DeleteParams::background(), &ListParams::default())
                    .await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Ok(())
    }
}

fn in_a_minute(used: f64, took: Duration) -> f64 {
    used / took.as_secs_f64() * 60.0
}

/// Beginning of the namespaces' names.
const SPACES: &str = "bench-stops-";

fn space(count: usize) -> String {
    format!("{SPACES}{count}")
}

fn is_silenced(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.octets()[3] % SILENT == 0)
}

/// Ranges of the fake pods' addresses. kwok may give a pod an address outside its node's range, so these are all that no real node has.
async fn ranges(client: &Client) -> anyhow::Result<Vec<String>> {
    let nodes = Api::<Node>::all(client.clone());
    let nodes = nodes.list(&ListParams::default()).await?.items;
    let (mut fake, mut real) = (Vec::new(), Vec::new());
    for node in nodes {
        let is_fake = node.labels().get("type").is_some_and(|label| label == TEMPLATE);
        let range = node.spec.and_then(|spec| spec.pod_cidr);
        let range = range.context("a node has no range of addresses")?;
        if is_fake {
            fake.push(range);
        } else {
            real.push(range);
        }
    }
    let network: Vec<_> = fake.first().context("no fake node")?.split('.').take(2).collect();
    let network = network.join(".");
    let ranges = (0..RANGES).map(|count| format!("{network}.{count}.0/24"));
    Ok(ranges.filter(|range| !real.contains(range)).collect())
}

/// Makes addresses this machine's own, or no more.
fn route(verb: &str, range: &str) -> anyhow::Result<()> {
    let done = Command::new("ip")
        .args(["route", verb, "local", range, "dev", "lo"])
        .status()?;
    ensure!(
        done.success(),
        "ip route {verb} local {range} failed; it needs root"
    );
    Ok(())
}

/// Answers as an idle Jupyter, by the address that is asked.
async fn respond(listener: TcpListener, asked: Asked) {
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(address) = stream.local_addr() else {
            continue;
        };
        let mut counts = asked.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(address.ip()).or_default() += 1;
        drop(counts);
        let is_silent = is_silenced(address.ip());
        tokio::spawn(async move {
            if let Err(error) = answer(stream, is_silent).await {
                eprintln!("{address}: {error}");
            }
        });
    }
}

async fn answer(mut stream: TcpStream, is_silent: bool) -> std::io::Result<()> {
    let mut head = vec![0; 8192];
    let length = stream.read(&mut head).await?;
    if is_silent {
        // Until the client gives up.
        while stream.read(&mut head).await? > 0 {}
        return Ok(());
    }
    let head = String::from_utf8_lossy(&head[..length]);
    let path = head.split(' ').nth(1).unwrap_or_default();
    let page = path.split('?').next().unwrap_or_default();
    let body = if page.ends_with("/status") {
        r#"{"last_activity":"2020-01-01T00:00:00Z"}"#
    } else {
        "[]"
    };
    let text = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await
}
