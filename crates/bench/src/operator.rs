//! Cluster with the product and kwok -> what workspaces cost beside bare pods (IO).
//!
//! It looks at conditions and counts objects: which children a workspace has does not matter. A bare pod has the spec of a workspace's pod. One
//! client creates both, for fake nodes whose pods are ready at once.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::discovery::{ApiGroup, Discovery, Scope, verbs};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::load::{on_processor, percentile};
use crate::page::{Figure, Target};

/// Namespace of the workspaces.
const WORKSPACES: &str = "bench-workspaces";
/// Namespace of the bare pods.
const BARE: &str = "bench-bare";
/// Name of the template, and label of the fake nodes.
pub(crate) const TEMPLATE: &str = "bench";
/// Mark of a fake node, as kwok names it.
const FAKE: &str = "kwok.x-k8s.io/node";
/// Name of the workspace that stays: a template in use and a namespace's keys are not made anew at each start.
const KEPT: &str = "kept";
/// Pods of a fake node, which has 254 addresses.
const PODS: usize = 200;
/// Requests at a time.
pub(crate) const PARALLEL: usize = 32;
/// Most time until all objects of a step are done.
pub(crate) const LIMIT: Duration = Duration::from_mins(20);
/// Time for what follows a status, such as Events.
const SETTLE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Workspaces that are created at once; given more than once, so many measurements
    #[arg(long = "count", value_name = "NUMBER", default_values_t = [1, 200, 1_000])]
    counts: Vec<usize>,
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

/// Objects that differ in their names.
struct Side {
    resource: ApiResource,
    namespace: &'static str,
    spec: Value,
    /// The condition that ends the wait for one.
    done: &'static str,
}

/// Seconds of each object, and of all of a turn, from the request until it is done.
#[derive(Debug, Default)]
struct Times {
    each: Vec<f64>,
    all: Vec<f64>,
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
    operators: Vec<PathBuf>,
}

impl Bench {
    pub(crate) async fn connect(args: &Args) -> anyhow::Result<Self> {
        let client = Client::try_default()
            .await
            .context("no cluster; set KUBECONFIG")?;
        Ok(Self {
            operators: operators(&client, &args.operator).await?,
            client,
        })
    }

    /// Makes what workspaces need, with room for so many.
    pub(crate) async fn prepare(&self, most: usize) -> anyhow::Result<()> {
        for object in objects(most.div_ceil(PODS).max(1)) {
            self.apply(object).await?;
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
        let most = args.counts.iter().copied().max().unwrap_or_default();
        self.prepare(most).await?;
        let bare = self.bare().await?;
        let mut figures = Vec::new();
        for &count in &args.counts {
            // One workspace is too few for percentiles.
            let turns = if count == 1 { turns.max(10) } else { turns };
            figures.extend(self.round(count, turns, &bare).await?);
        }
        if args.stopped > 0 {
            self.forget_peaks()?;
            let side = workspaces("Stopped", "Stopped");
            self.create(&side, names(args.stopped), &mut Times::default())
                .await?;
            tokio::time::sleep(SETTLE).await;
            let peak = self.peak()?.context("the operator is not on this machine")?;
            let name = format!("{} stopped: operator's memory at most, MiB", args.stopped);
            figures.push(Figure::alone(name, peak).within(Target::AtMost(300.0)));
        }
        Ok(figures)
    }

    /// So many workspaces at once, beside as many bare pods.
    async fn round(&self, count: usize, turns: usize, bare: &Side) -> anyhow::Result<Vec<Figure>> {
        let side = workspaces("Running", "Available");
        let (mut ours, mut theirs) = (Times::default(), Times::default());
        let (mut objects, mut events, mut cpu) = (0.0, 0.0, 0.0);
        self.forget_peaks()?;
        for turn in 0..turns {
            // The first side changes, so that a machine that becomes slower slows both.
            for is_bare in [turn % 2 == 0, turn % 2 == 1] {
                if is_bare {
                    self.create(bare, names(count), &mut theirs).await?;
                    self.delete(bare).await?;
                    continue;
                }
                let (before, used) = (self.count_objects().await?, self.cpu()?);
                self.create(&side, names(count), &mut ours).await?;
                tokio::time::sleep(SETTLE).await;
                cpu += self.cpu()? - used;
                let after = self.count_objects().await?;
                objects += number(after[0].saturating_sub(before[0]));
                events += number(after[1].saturating_sub(before[1]));
                self.delete(&side).await?;
            }
            eprintln!("{count} at once: {:.1?} s, bare {:.1?} s", ours.all, theirs.all);
        }
        let starts = number(count * turns);
        let beside = |what: &str, sides: [&mut Vec<f64>; 2], percent| {
            let what = format!("{count} at once, create to Available: {what}, s");
            Figure::new(what, sides.map(|took| percentile(took, percent)))
        };
        let mut figures = vec![
            beside("p50", [&mut ours.each, &mut theirs.each], 50),
            beside("p95", [&mut ours.each, &mut theirs.each], 95),
            beside("all", [&mut ours.all, &mut theirs.all], 50),
            Figure::new("the same: objects in etcd for each", [objects / starts, 1.0]),
            Figure::alone("the same: Events for each, besides", events / starts),
        ];
        if let Some(peak) = self.peak()? {
            let cpu = Figure::alone("the same: operator's CPU for each, ms", cpu / starts);
            figures.push(cpu.within(Target::AtMost(5.0)));
            let peak = Figure::alone("the same: operator's memory at most, MiB", peak);
            figures.push(peak.within(Target::AtMost(150.0)));
        }
        Ok(figures)
    }

    /// Starts the workspace that stays. Pods as its own, without what makes them so.
    async fn bare(&self) -> anyhow::Result<Side> {
        let side = workspaces("Running", "Available");
        let names = vec![KEPT.to_owned()];
        self.create(&side, names, &mut Times::default()).await?;
        let started = Api::<Pod>::namespaced(self.client.clone(), WORKSPACES);
        let pod = started.list(&ListParams::default()).await?.items.pop();
        let spec = pod
            .and_then(|pod| pod.spec)
            .context("a workspace is Available without a pod")?;
        let mut spec = serde_json::to_value(spec)?;
        for other in [
            "nodeName",
            "hostname",
            "subdomain",
            "affinity",
            "serviceAccountName",
        ] {
            spec.as_object_mut().and_then(|spec| spec.remove(other));
        }
        Ok(pods(spec))
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

    fn api(&self, side: &Side) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), side.namespace, &side.resource)
    }

    /// Creates objects as fast as the API server takes them, and waits until all are done.
    async fn create(&self, side: &Side, names: Vec<String>, times: &mut Times) -> anyhow::Result<()> {
        let (api, count) = (&self.api(side), names.len());
        let mut events = watcher(api.clone(), Config::default()).boxed();
        while !matches!(events.try_next().await?, Some(Event::InitDone) | None) {}
        let begin = Instant::now();
        let asked = stream::iter(names)
            .map(|name| async move {
                let mut object = DynamicObject::new(&name, &side.resource);
                object.data = json!({"spec": side.spec});
                let sent = Instant::now();
                let created = api.create(&PostParams::default(), &object).await;
                created.with_context(|| format!("cannot create {}", object.name_any()))?;
                anyhow::Ok((object.name_any(), sent))
            })
            .buffer_unordered(PARALLEL)
            .try_collect::<HashMap<_, _>>();
        let arrived = async {
            let mut arrived = HashMap::new();
            while arrived.len() < count {
                match events.try_next().await?.context("the watch ended")? {
                    Event::Apply(object) | Event::InitApply(object) if holds(&object, side.done) => {
                        arrived.entry(object.name_any()).or_insert_with(Instant::now);
                    }
                    _ => {}
                }
            }
            anyhow::Ok(arrived)
        };
        let both = tokio::time::timeout(LIMIT, async { tokio::try_join!(asked, arrived) }).await;
        let (asked, arrived) = both.with_context(|| format!("not all of {count} objects are done"))??;
        for (name, at) in arrived {
            times.each.push(at.duration_since(asked[&name]).as_secs_f64());
        }
        times.all.push(begin.elapsed().as_secs_f64());
        Ok(())
    }

    /// Deletes all objects of a side but the one that stays, and waits until they and their pods are gone.
    async fn delete(&self, side: &Side) -> anyhow::Result<()> {
        let (api, begin) = (self.api(side), Instant::now());
        let pods = Api::<Pod>::namespaced(self.client.clone(), side.namespace);
        let all = ListParams::default();
        let others = all.clone().fields(&format!("metadata.name!={KEPT}"));
        let background = DeleteParams::background();
        let delete = async || api.delete_collection(&background, &others).await.err();
        let mut failure = delete().await;
        let other_pods = all.fields(&format!("metadata.name!=workspace-{KEPT}"));
        while !api.list_metadata(&others).await?.items.is_empty()
            || !pods.list_metadata(&other_pods).await?.items.is_empty()
        {
            ensure!(
                begin.elapsed() < LIMIT,
                "objects of {} are not gone: {failure:?}",
                side.namespace
            );
            // The API server ends a request after a minute, when it has deleted a part.
            if failure.is_some() {
                failure = delete().await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    /// Objects in the workspaces' namespace, and Events.
    async fn count_objects(&self) -> anyhow::Result<[usize; 2]> {
        // Metrics are not stored, and both groups of Events have the same ones.
        let discovery = Discovery::new(self.client.clone()).exclude(&["metrics.k8s.io", "events.k8s.io"]);
        let discovery = discovery.run().await?;
        let mut counts = [0; 2];
        for (resource, can) in discovery.groups().flat_map(ApiGroup::recommended_resources) {
            if can.scope == Scope::Namespaced && can.supports_operation(verbs::LIST) {
                let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), WORKSPACES, &resource);
                let list = api.list_metadata(&ListParams::default()).await?;
                counts[usize::from(resource.kind == "Event")] += list.items.len();
            }
        }
        Ok(counts)
    }

    /// Processor time of all operators so far, in milliseconds.
    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        let each = self.operators.iter().map(|process| on_processor(process));
        Ok(each.sum::<anyhow::Result<Duration>>()?.as_secs_f64() * 1e3)
    }

    /// Most memory of an operator since [`Self::forget_peaks`], in MiB.
    pub(crate) fn peak(&self) -> anyhow::Result<Option<f64>> {
        let mut most = None;
        for process in &self.operators {
            let status = fs::read_to_string(process.join("status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
            let peak = kibibytes.context("no VmHWM")?.parse::<f64>()? / 1024.0;
            most = Some(peak.max(most.unwrap_or_default()));
        }
        Ok(most)
    }

    pub(crate) fn forget_peaks(&self) -> anyhow::Result<()> {
        for process in &self.operators {
            let written = fs::write(process.join("clear_refs"), "5");
            written.context("only root can measure the operator's memory")?;
        }
        Ok(())
    }

    async fn clean(&self) -> anyhow::Result<()> {
        for side in [workspaces("Running", "Available"), pods(Value::Null)] {
            self.delete(&side).await?;
        }
        let (client, now) = (|| self.client.clone(), DeleteParams::default());
        for namespace in [WORKSPACES, BARE] {
            Api::<Namespace>::all(client()).delete(namespace, &now).await?;
        }
        Api::<api::WorkspaceTemplate>::all(client())
            .delete(TEMPLATE, &now)
            .await?;
        let nodes = ListParams::default().labels(&format!("type={TEMPLATE}"));
        Api::<Node>::all(client()).delete_collection(&now, &nodes).await?;
        Ok(())
    }
}

/// Names of the objects of a turn.
fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("w-{number:05}")).collect()
}

/// Workspaces of the template, until they have a condition.
fn workspaces(desired: &str, done: &'static str) -> Side {
    Side {
        resource: ApiResource::erase::<api::Workspace>(&()),
        namespace: WORKSPACES,
        spec: json!({"displayName": "Bench", "templateRef": TEMPLATE, "desiredStatus": desired}),
        done,
    }
}

/// Bare pods, until they are ready.
fn pods(spec: Value) -> Side {
    Side {
        resource: ApiResource::erase::<Pod>(&()),
        namespace: BARE,
        spec,
        done: "Ready",
    }
}

/// A namespace for workspaces.
pub(crate) fn namespace(name: &str) -> Value {
    let labels = json!({"workspaces.jupyter.org/workspaces": "true"});
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// Namespaces, fake nodes, and a template whose workspaces run there.
fn objects(nodes: usize) -> Vec<Value> {
    let node = |number: usize| {
        let name = format!("bench-fake-{number}");
        let labels = json!({"type": TEMPLATE, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"});
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": labels, "annotations": {FAKE: "fake"}},
            "spec": {"taints": [{"key": FAKE, "value": "fake", "effect": "NoSchedule"}]},
        })
    };
    let template = json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceTemplate",
        "metadata": {"name": TEMPLATE},
        "spec": {
            "displayName": "Bench",
            "defaultImage": "registry.example.org/nothing:1",
            "defaultResources": {
                "requests": {"cpu": "100m", "memory": "128Mi"},
                "limits": {"cpu": "1", "memory": "1Gi"},
            },
            "resourceBounds": {"cpu": {"min": "100m", "max": "2"}, "memory": {"min": "128Mi", "max": "4Gi"}},
            "defaultNodeSelector": {"type": TEMPLATE},
            "defaultTolerations": [{"key": FAKE, "operator": "Exists"}],
        },
    });
    let namespaces = [WORKSPACES, BARE].map(namespace);
    namespaces
        .into_iter()
        .chain((0..nodes).map(node))
        .chain([template])
        .collect()
}

fn holds(object: &DynamicObject, condition: &str) -> bool {
    let conditions = object.data["status"]["conditions"].as_array();
    conditions.is_some_and(|all| {
        let mut all = all.iter();
        all.any(|one| one["type"] == condition && one["status"] == "True")
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}

/// The processes of the operator's pods, by their folders in /proc. Without a selector there are none.
async fn operators(client: &Client, selector: &str) -> anyhow::Result<Vec<PathBuf>> {
    if selector.is_empty() {
        return Ok(Vec::new());
    }
    let pods = Api::<Pod>::all(client.clone());
    let pods = pods.list(&ListParams::default().labels(selector)).await?;
    let uids: Vec<String> = pods.items.iter().filter_map(ResourceExt::uid).collect();
    // A process that holds the pod's namespaces takes neither processor time nor memory that counts.
    let is_operator = |folder: &PathBuf| {
        let group = fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
        let group = group.replace('_', "-");
        uids.iter().any(|uid| group.contains(uid))
    };
    let folders = fs::read_dir("/proc")?.filter_map(|entry| Some(entry.ok()?.path()));
    let found: Vec<_> = folders.filter(is_operator).collect();
    ensure!(
        !found.is_empty(),
        "the pods with {selector} are not on this machine, so their processor time and memory cannot be measured: run this on their \
         node, or leave both out with --operator ''"
    );
    Ok(found)
}
