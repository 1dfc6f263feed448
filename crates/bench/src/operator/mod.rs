//! Cluster with the product and kwok -> what workspaces cost beside their bare children (IO).
//!
//! A first workspace shows which children the client makes: those with an owner reference to it, with the same specs. Both sides run on fake
//! nodes, whose pods are ready at once, and their claims find volumes that are there before.
//!
//! | file | content |
//! |---|---|
//! | `side.rs` | workspaces, and their children |
//! | `objects.rs` | what both need: nodes, templates, volumes |
//! | `processes.rs` | processor time and memory of the operator |

mod objects;
mod processes;
mod side;

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

pub(crate) use self::objects::namespace;
use self::objects::{BARE, PLAIN, WHOLE, node_name, objects, room, volume};
use self::processes::Processes;
use self::side::{Side, Times};
use crate::full_template::{CLASS, FULL, choices};
use crate::load::percentile;
use crate::page::{Figure, Target};

/// Name of the template, and label of the fake nodes.
pub(crate) const TEMPLATE: &str = "bench";
/// Pods of a fake node, which has 254 addresses.
const PODS: usize = 200;
/// Requests at a time.
pub(crate) const PARALLEL: usize = 32;
/// Most time until all objects of a step are done.
pub(crate) const LIMIT: Duration = Duration::from_mins(20);
/// Volumes for the claims of the workspace that stays: a template has at most as many.
const MOST_CLAIMS: usize = 8;
/// Time for what follows a status, such as Events.
const SETTLE: Duration = Duration::from_secs(5);
/// Most that a start of the full template takes, compared with a client that makes the same children.
const FULL_START: Target = Target::Ratio(1.3);
/// Most processor time of the operator for each workspace of the plain template, in milliseconds.
const PLAIN_CPU: Target = Target::AtMost(5.0);

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Workspaces that are created at once; given more than once, so many measurements
    #[arg(long = "count", value_name = "NUMBER", default_values_t = [1, 200, 1_000])]
    counts: Vec<usize>,
    /// The same of a template with three containers, two disks and three options; 0: none are
    #[arg(long = "full-count", value_name = "NUMBER", default_values_t = [1, 50])]
    full_counts: Vec<usize>,
    /// Stopped workspaces at which the operator's memory is measured last, such as 10000; 0: it is not
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    stopped: usize,
    /// Label selector of the operator's pods, on this machine; '': their processor time and memory are not measured
    #[arg(
        long,
        value_name = "SELECTOR",
        default_value = "app.kubernetes.io/component=operator"
    )]
    operator: String,
}

/// Workspaces of a template, and the client beside them.
struct Pair {
    /// In the names of figures.
    name: &'static str,
    ours: Side,
    theirs: Side,
    /// Targets of the start and of the operator's processor time.
    targets: [Option<Target>; 2],
}

/// Figures of one side beside the other.
pub(crate) async fn measure(args: &Args, turns: usize) -> anyhow::Result<Vec<Figure>> {
    let bench = Bench::connect(args).await?;
    let figures = bench.measure(args, turns).await;
    bench.clean_after(figures).await
}

pub(crate) struct Bench {
    pub(crate) client: Client,
    /// The operator's processes, if they are on this machine.
    pub(crate) operators: Processes,
}

impl Bench {
    pub(crate) async fn connect(args: &Args) -> anyhow::Result<Self> {
        let client = Client::try_default()
            .await
            .context("no cluster; set KUBECONFIG")?;
        Ok(Self {
            operators: Processes::find(&client, &args.operator).await?,
            client,
        })
    }

    /// Makes what workspaces need, with room for so many.
    pub(crate) async fn prepare(&self, most: usize) -> anyhow::Result<()> {
        let count = most.div_ceil(PODS).max(1);
        for object in objects(count)? {
            self.apply(object).await?;
        }
        let nodes = Api::<Node>::all(self.client.clone());
        for number in 0..count {
            let room = Patch::Merge(room());
            nodes
                .patch_status(&node_name(number), &PatchParams::default(), &room)
                .await?;
        }
        tokio::time::sleep(SETTLE).await;
        Ok(())
    }

    /// Deletes what was made, whatever came of it.
    pub(crate) async fn clean_after(
        &self,
        figures: anyhow::Result<Vec<Figure>>,
    ) -> anyhow::Result<Vec<Figure>> {
        let cleaned = self.clean().await;
        let figures = figures?;
        cleaned.map(|()| figures)
    }

    async fn measure(&self, args: &Args, turns: usize) -> anyhow::Result<Vec<Figure>> {
        let all = args.counts.iter().chain(&args.full_counts);
        self.prepare(all.copied().max().unwrap_or_default()).await?;
        let mut figures = Vec::new();
        for (name, ours, counts, targets) in [
            (
                "",
                self.plain("Running", "Available"),
                &args.counts,
                [None, Some(PLAIN_CPU)],
            ),
            (
                " of the full template",
                self.whole(),
                &args.full_counts,
                [Some(FULL_START), None],
            ),
        ] {
            let counts: Vec<usize> = counts.iter().copied().filter(|&count| count > 0).collect();
            if counts.is_empty() {
                continue;
            }
            self.make_volumes(MOST_CLAIMS).await?;
            let theirs = ours.children().await?;
            let pair = Pair {
                name,
                ours,
                theirs,
                targets,
            };
            for count in counts {
                // One workspace is too few for percentiles.
                let turns = if count == 1 { turns.max(10) } else { turns };
                figures.extend(self.round(count, turns, &pair).await?);
            }
        }
        if args.stopped > 0 {
            self.operators.forget_peaks()?;
            let stopped = self.plain("Stopped", "Stopped");
            stopped.create(names(args.stopped), &mut Times::default()).await?;
            tokio::time::sleep(SETTLE).await;
            let peak = self
                .operators
                .peak()?
                .context("the operator is not on this machine")?;
            let name = format!("{} stopped: operator's memory at most, MiB", args.stopped);
            figures.push(Figure::alone(name, peak).within(Target::AtMost(300.0)));
        }
        Ok(figures)
    }

    /// So many workspaces at once, beside as many times their children.
    async fn round(&self, count: usize, turns: usize, pair: &Pair) -> anyhow::Result<Vec<Figure>> {
        let (mut ours, mut theirs) = (Times::default(), Times::default());
        let (mut objects, mut events, mut cpu) = (0.0, 0.0, 0.0);
        let name = format!("{count}{} at once", pair.name);
        let [made, claims] = pair.theirs.size();
        self.operators.forget_peaks()?;
        for turn in 0..turns {
            // The first side changes, so that a machine that becomes slower slows both.
            for is_bare in [turn % 2 == 0, turn % 2 == 1] {
                self.make_volumes(count * claims).await?;
                if is_bare {
                    pair.theirs.create(names(count), &mut theirs).await?;
                    pair.theirs.delete().await?;
                    continue;
                }
                let (before, used) = (pair.ours.count_objects().await?, self.operators.cpu()?);
                pair.ours.create(names(count), &mut ours).await?;
                tokio::time::sleep(SETTLE).await;
                cpu += self.operators.cpu()? - used;
                let after = pair.ours.count_objects().await?;
                objects += number(after[0].saturating_sub(before[0]));
                events += number(after[1].saturating_sub(before[1]));
                pair.ours.delete().await?;
            }
            eprintln!("{name}: {:.1?} s, bare {:.1?} s", ours.all, theirs.all);
        }
        let starts = number(count * turns);
        let beside = |what: &str, sides: [&mut Vec<f64>; 2], percent| {
            let what = format!("{name}, create to Available: {what}, s");
            Figure::new(what, sides.map(|took| percentile(took, percent)))
        };
        let [start, of_operator] = pair.targets;
        let mut figures = vec![
            beside("p50", [&mut ours.each, &mut theirs.each], 50).within(start),
            beside("p95", [&mut ours.each, &mut theirs.each], 95),
            beside("all", [&mut ours.all, &mut theirs.all], 50),
            Figure::new(
                "the same: objects in etcd for each",
                [objects / starts, number(made)],
            ),
            Figure::alone("the same: Events for each, besides", events / starts),
        ];
        if let Some(peak) = self.operators.peak()? {
            let cpu = Figure::alone("the same: operator's CPU for each, ms", cpu / starts);
            figures.push(cpu.within(of_operator));
            let peak = Figure::alone("the same: operator's memory at most, MiB", peak);
            figures.push(peak.within(Target::AtMost(150.0)));
        }
        Ok(figures)
    }

    /// Has so many volumes that no claim holds, and deletes those that a claim held.
    async fn make_volumes(&self, count: usize) -> anyhow::Result<()> {
        let (api, now) = (
            Api::<PersistentVolume>::all(self.client.clone()),
            PostParams::default(),
        );
        let bench = bench_label();
        api.delete_collection(&DeleteParams::default(), &bench).await?;
        let object: PersistentVolume = serde_json::from_value(volume())?;
        let made = stream::iter(0..count).map(|_| api.create(&now, &object));
        let made: Vec<_> = made.buffer_unordered(PARALLEL).try_collect().await?;
        let begin = Instant::now();
        let is_free = |volume: &&PersistentVolume| {
            let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
            volume.metadata.deletion_timestamp.is_none() && phase == Some("Available")
        };
        while api.list(&bench).await?.iter().filter(is_free).count() < made.len() {
            ensure!(
                begin.elapsed() < LIMIT,
                "not all of {count} volumes are available"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Workspaces of the plain template.
    fn plain(&self, desired: &str, done: &'static str) -> Side {
        let spec = json!({"displayName": "Bench", "templateRef": TEMPLATE, "desiredStatus": desired});
        Side::workspaces(self.client.clone(), PLAIN, &spec, done)
    }

    /// Workspaces of the full template.
    fn whole(&self) -> Side {
        let spec = json!({"displayName": "Bench", "templateRef": FULL, "desiredStatus": "Running", "options": choices()});
        Side::workspaces(self.client.clone(), WHOLE, &spec, "Available")
    }

    pub(crate) async fn apply(&self, object: Value) -> anyhow::Result<()> {
        let object: DynamicObject = serde_json::from_value(object)?;
        let kind = object.types.clone().context("no kind")?;
        let resource = ApiResource::from_gvk(&(&kind).try_into()?);
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &resource);
        let parameters = PatchParams::apply("bench").force();
        let applied = api
            .patch(&object.name_any(), &parameters, &Patch::Apply(&object))
            .await;
        applied.with_context(|| format!("cannot apply {} {}", kind.kind, object.name_any()))?;
        Ok(())
    }

    async fn clean(&self) -> anyhow::Result<()> {
        for side in [self.plain("Running", "Available"), self.whole()] {
            side.delete().await?;
        }
        let (client, now) = (|| self.client.clone(), DeleteParams::default());
        for namespace in [PLAIN, WHOLE, BARE] {
            Api::<Namespace>::all(client()).delete(namespace, &now).await?;
        }
        for template in [TEMPLATE, FULL] {
            Api::<api::WorkspaceTemplate>::all(client())
                .delete(template, &now)
                .await?;
        }
        Api::<StorageClass>::all(client()).delete(CLASS, &now).await?;
        let bench = bench_label();
        Api::<PersistentVolume>::all(client())
            .delete_collection(&now, &bench)
            .await?;
        Api::<Node>::all(client()).delete_collection(&now, &bench).await?;
        Ok(())
    }
}

/// Names of the objects of a turn.
fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("w-{number:05}")).collect()
}

/// Fake nodes, or volumes.
fn bench_label() -> ListParams {
    ListParams::default().labels(&format!("type={TEMPLATE}"))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}
