//! watches on Workspaces and WorkspaceManagers -> the index (IO).

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;

use api::{Workspace, WorkspaceManager};
use futures::{Stream, StreamExt as _, stream};
use kube::core::DeserializeGuard;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::facts::{Key, ManagerFacts, WorkspaceFacts, World};
use crate::index::Index;
use crate::metrics::Metrics;

/// Changes that are already waiting are taken in together, so that a burst makes one snapshot.
const BATCH: usize = 512;

/// Keeps `index` up to date until `stop`. The first snapshot is published when both lists are complete.
pub async fn feed(
    client: Client,
    wanted: Option<String>,
    index: Arc<Index>,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let workspaces = watcher(
        Api::<DeserializeGuard<Workspace>>::all(client.clone()),
        watcher::Config::default(),
    );
    let managers = watcher(
        Api::<DeserializeGuard<WorkspaceManager>>::all(client),
        watcher::Config::default(),
    );
    let changes = stream::select(
        workspaces
            .default_backoff()
            .map(|event| Change::Workspace(kept(event, workspace))),
        managers
            .default_backoff()
            .map(|event| Change::Manager(kept(event, manager))),
    );
    take_in(
        changes.take_until(stop.cancelled_owned()),
        World::new(wanted),
        &index,
        &metrics,
    )
    .await;
}

/// One event of either watch, reduced to the facts.
enum Change {
    Workspace(Result<watcher::Event<(Key, Option<WorkspaceFacts>)>, watcher::Error>),
    Manager(Result<watcher::Event<(Key, Option<ManagerFacts>)>, watcher::Error>),
}

async fn take_in(changes: impl Stream<Item = Change>, mut world: World, index: &Index, metrics: &Metrics) {
    let mut changes = pin!(changes.ready_chunks(BATCH));
    let mut workspaces = Listing::default();
    let mut managers = Listing::default();
    let mut homeless = false;
    while let Some(batch) = changes.next().await {
        for change in batch {
            match change {
                Change::Workspace(Ok(event)) => workspaces.apply(event, world.workspaces()),
                Change::Manager(Ok(event)) => managers.apply(event, world.managers()),
                Change::Workspace(Err(error)) => failed("workspaces", &error, metrics),
                Change::Manager(Err(error)) => failed("workspacemanagers", &error, metrics),
            }
        }
        if workspaces.complete && managers.complete {
            let snapshot = world.snapshot();
            if snapshot.domain().is_none() && !std::mem::replace(&mut homeless, true) {
                warn!(
                    "no WorkspaceManager to serve: name one with --manager, or annotate exactly one as the default"
                );
            }
            metrics.index_size(snapshot.targets().count());
            index.publish(snapshot);
        }
    }
    info!("watches ended");
}

fn failed(resource: &'static str, error: &watcher::Error, metrics: &Metrics) {
    metrics.watch_failed(resource);
    warn!(resource, %error, "watch failed; it is tried again");
}

/// The objects of one kind while they are listed anew: the old ones stay in use until the new list is complete.
struct Listing<T> {
    arriving: HashMap<Key, T>,
    complete: bool,
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self {
            arriving: HashMap::new(),
            complete: false,
        }
    }
}

impl<T> Listing<T> {
    /// Objects without facts (unreadable, or not ours to serve) are as good as absent.
    fn apply(&mut self, event: watcher::Event<(Key, Option<T>)>, known: &mut HashMap<Key, T>) {
        match event {
            watcher::Event::Init => self.arriving.clear(),
            watcher::Event::InitApply((key, facts)) => set(&mut self.arriving, key, facts),
            watcher::Event::InitDone => {
                *known = std::mem::take(&mut self.arriving);
                self.complete = true;
            }
            watcher::Event::Apply((key, facts)) => set(known, key, facts),
            watcher::Event::Delete((key, _)) => set(known, key, None),
        }
    }
}

fn set<K: Eq + Hash, T>(map: &mut HashMap<K, T>, key: K, value: Option<T>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

fn workspace(object: DeserializeGuard<Workspace>) -> (Key, Option<WorkspaceFacts>) {
    let key = (object.namespace().unwrap_or_default(), object.name_any());
    match object.0 {
        Ok(object) => (key, Some(WorkspaceFacts::of(object))),
        Err(error) => {
            warn!(workspace.namespace = key.0, workspace.name = key.1, %error, "workspace cannot be read and is not served");
            (key, None)
        }
    }
}

fn manager(object: DeserializeGuard<WorkspaceManager>) -> (Key, Option<ManagerFacts>) {
    let key = (String::new(), object.name_any());
    match object.0 {
        Ok(object) => (key, ManagerFacts::of(&object)),
        Err(error) => {
            warn!(manager.name = key.1, %error, "manager cannot be read and is not served");
            (key, None)
        }
    }
}

fn kept<K, T>(
    event: Result<watcher::Event<K>, watcher::Error>,
    facts: fn(K) -> (Key, Option<T>),
) -> Result<watcher::Event<(Key, Option<T>)>, watcher::Error> {
    Ok(match event? {
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitApply(object) => watcher::Event::InitApply(facts(object)),
        watcher::Event::InitDone => watcher::Event::InitDone,
        watcher::Event::Apply(object) => watcher::Event::Apply(facts(object)),
        watcher::Event::Delete(object) => watcher::Event::Delete(facts(object)),
    })
}
