//! A phase of a round -> its duration, in total and for each object (IO).

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, TypeMeta};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt as _, watcher::Config};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use super::model::{Model, child_name};
use super::objects::{NAMESPACE, REFERENCE, event, workspace};
use super::requests::{self, PARALLEL, Phase, api, make, resource, workspaces};

/// Timeout of a phase.
const LIMIT: Duration = Duration::from_mins(20);

/// How long a phase took.
#[derive(Debug, Clone)]
pub(super) struct Times {
    /// From the first request until the last object is done.
    pub(super) all: Duration,
    /// Of each object since its request, sorted.
    pub(super) each: Vec<Duration>,
}

/// Which objects are measured: workspaces, or what the operator makes of them, without an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Workspaces,
    Bare,
    /// Bare objects, and for each a Workspace with the writes to its status that users see, by the client that makes the bare objects:
    /// the least that any operator has to write.
    Promised,
}

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Workspaces => "workspaces",
            Self::Bare => "bare",
            Self::Promised => "promised",
        }
    }

    fn is_bare(self) -> bool {
        self != Self::Workspaces
    }

    /// Namespace of the objects. A workspace and its children are in the same one.
    fn namespace(self) -> &'static str {
        match self {
            Self::Workspaces | Self::Promised => NAMESPACE,
            Self::Bare => REFERENCE,
        }
    }
}

/// Clients of the two sides.
pub(super) struct Clients {
    /// Creates, starts, stops and deletes workspaces, and watches.
    pub(super) users: Client,
    /// Creates the operator's objects in its place, with similar rights.
    pub(super) maker: Client,
    /// The operator's objects.
    pub(super) model: Model,
}

/// Runs a phase of `count` objects, as fast as the API server accepts the requests.
pub(super) async fn run(clients: &Clients, side: Side, phase: Phase, count: usize) -> anyhow::Result<Times> {
    let names: Vec<String> = (0..count).map(|number| format!("w-{number:05}")).collect();
    let mut arrivals = arrivals(&clients.users, side, phase);
    // Objects that exist before count as listed once the watch has started.
    while let Some(list_event) = arrivals.next().await {
        if list_event? == ListEvent::Listed {
            break;
        }
    }
    let begin = Instant::now();
    let asked = stream::iter(&names)
        .map(|name| async move {
            let sent = Instant::now();
            request(clients, side, phase, name).await?;
            anyhow::Ok((name.clone(), sent))
        })
        .buffer_unordered(PARALLEL)
        .try_collect::<HashMap<_, _>>();
    let mut met = HashSet::new();
    let firsts = arrivals.filter_map(move |list_event| {
        let first = match list_event {
            Ok(ListEvent::Arrived(name)) => met.insert(name.clone()).then_some(Ok(name)),
            Ok(ListEvent::Listed) => None,
            Err(error) => Some(Err(error)),
        };
        std::future::ready(first)
    });
    let arrived = async {
        let mut arrived = HashMap::new();
        let mut last_writes = firsts
            .map(|name| async move {
                let name = name?;
                arrival(clients, side, phase, &name).await?;
                anyhow::Ok((name, Instant::now()))
            })
            .buffer_unordered(PARALLEL);
        while arrived.len() < count {
            let (name, at) = last_writes.try_next().await?.context("the watch ended")?;
            arrived.insert(name, at);
        }
        anyhow::Ok(arrived)
    };
    let both = async { tokio::try_join!(asked, arrived) };
    let Ok(done) = tokio::time::timeout(LIMIT, both).await else {
        bail!("{}: not all of {count} objects were done", phase.name());
    };
    let (asked, arrived) = done?;
    let mut each: Vec<Duration> = arrived
        .iter()
        .filter_map(|(name, at)| Some(at.duration_since(*asked.get(name)?)))
        .collect();
    each.sort_unstable();
    let last = arrived.values().max().copied().unwrap_or(begin);
    Ok(Times {
        all: last.duration_since(begin),
        each,
    })
}

#[derive(Debug, PartialEq, Eq)]
enum ListEvent {
    Listed,
    Arrived(String),
}

/// The objects that have reached the state of the phase.
fn arrivals(client: &Client, side: Side, phase: Phase) -> BoxStream<'static, anyhow::Result<ListEvent>> {
    let gone = phase == Phase::Delete || (side.is_bare() && phase == Phase::Stop);
    let (group, kind) = match (side, gone) {
        (Side::Workspaces, _) => (::api::names::GROUP, "Workspace"),
        (_, false) => ("apps", "Deployment"),
        // A bare object is stopped or deleted when its pod is gone.
        (_, true) => ("", "Pod"),
    };
    let version = if side == Side::Workspaces {
        ::api::names::VERSION
    } else {
        "v1"
    };
    let resource = resource(&GroupVersionKind::gvk(group, version, kind));
    let events = watcher(api(client, &resource, Some(side.namespace())), Config::default()).default_backoff();
    let name_of = |object: &DynamicObject| {
        let label = object.labels().get(::api::names::WORKSPACE_LABEL);
        label.cloned().unwrap_or_else(|| object.name_any())
    };
    events
        .filter_map(move |event: Result<_, watcher::Error>| {
            let list_event = match event {
                Err(error) => Some(Err(error.into())),
                Ok(Event::InitDone) => Some(Ok(ListEvent::Listed)),
                Ok(Event::Delete(object)) if gone => Some(Ok(ListEvent::Arrived(name_of(&object)))),
                Ok(Event::Apply(object)) if !gone && is_there(side, phase, &object) => {
                    Some(Ok(ListEvent::Arrived(name_of(&object))))
                }
                Ok(_) => None,
            };
            std::future::ready(list_event)
        })
        .boxed()
}

fn is_there(side: Side, phase: Phase, object: &DynamicObject) -> bool {
    let status = &object.data["status"];
    match (side, phase) {
        (Side::Workspaces, Phase::Stop) => status["phase"] == "Stopped",
        (Side::Workspaces, _) => status["phase"] == "Running",
        _ => status["availableReplicas"] == 1,
    }
}

/// The requests for one object.
async fn request(clients: &Clients, side: Side, phase: Phase, name: &str) -> anyhow::Result<()> {
    let owner = match side {
        Side::Bare => None,
        Side::Workspaces | Side::Promised => Some(requests::request(&clients.users, phase, name).await?),
    };
    if side.is_bare() {
        act(clients, side, phase, name, owner.as_deref()).await?;
    }
    Ok(())
}

/// The operator's requests for the children of a workspace, without the operator.
async fn act(
    clients: &Clients,
    side: Side,
    phase: Phase,
    name: &str,
    owner: Option<&str>,
) -> anyhow::Result<()> {
    let replicas = match phase {
        Phase::Create => {
            for object in clients.model.children(name, side.namespace(), owner) {
                make(&clients.maker, &object).await?;
            }
            return Ok(());
        }
        Phase::Delete => {
            for object in clients.model.children(name, side.namespace(), owner).iter().rev() {
                let kind: TypeMeta = serde_json::from_value(object.clone())?;
                let kind = resource(&GroupVersionKind::try_from(&kind)?);
                let api = api(&clients.maker, &kind, Some(side.namespace()));
                api.delete(&child_name(name), &DeleteParams::background()).await?;
            }
            return Ok(());
        }
        Phase::Stop => 0,
        Phase::Start => 1,
    };
    let kind = GroupVersionKind::gvk("apps", "v1", "Deployment");
    let deployments = api(&clients.maker, &resource(&kind), Some(side.namespace()));
    let change = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    deployments
        .patch(&child_name(name), &PatchParams::default(), &change)
        .await?;
    Ok(())
}

/// The writes for a workspace of [`Side::Promised`] when its bare object is done: one status and one Event, or the removal of the finalizer.
/// Under load, the operator writes a status of progress only after 10 s.
async fn arrival(clients: &Clients, side: Side, phase: Phase, name: &str) -> anyhow::Result<()> {
    if side != Side::Promised {
        return Ok(());
    }
    let workspaces = workspaces(&clients.maker);
    if phase == Phase::Delete {
        let freed = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        workspaces.patch(name, &PatchParams::default(), &freed).await?;
        return Ok(());
    }
    let applied = PatchParams::apply("bench-status").force();
    workspaces
        .patch_status(name, &applied, &Patch::Apply(clients.model.status(name, phase)))
        .await?;
    let status = if phase == Phase::Stop { "Stopped" } else { "Ready" };
    make(&clients.maker, &event(name, status)).await.map(drop)
}

/// Creates `count` stopped workspaces, and waits until the operator has reconciled all of them.
pub(super) async fn make_stopped(client: &Client, count: usize) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    let mut arrivals = arrivals(client, Side::Workspaces, Phase::Stop);
    let names: Vec<String> = (0..count).map(|number| format!("s-{number:05}")).collect();
    let made = stream::iter(&names)
        .map(|name| async move { make(client, &workspace(name, "Stopped")).await })
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<_>>();
    let arrived = async {
        let mut arrived = HashSet::new();
        while arrived.len() < count {
            if let ListEvent::Arrived(name) = arrivals.try_next().await?.context("the watch ended")? {
                arrived.insert(name);
            }
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(LIMIT, async { tokio::try_join!(made, arrived) })
        .await
        .context("not all stopped workspaces were reconciled")??;
    Ok(begin.elapsed())
}
