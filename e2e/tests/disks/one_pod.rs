//! One pod per disk, also with quick stops and starts.

use std::{collections::BTreeSet, pin::pin};

use api::{
    Workspace,
    condition::{self, reason},
    names,
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    cluster::{self, Scratch},
    objects::workspace,
    wait,
};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, EvictParams, Patch, PatchParams, PostParams},
    runtime::watcher::{self, Event, watcher},
};
use serde_json::json;
use tokio::sync::watch;

use super::{pod_of, with_storage};

/// Observations of a watch of a workspace's pods.
#[derive(Debug, Default)]
struct Observed {
    there: BTreeSet<String>,
    /// The largest number of concurrent pods.
    max_pods: usize,
    /// Pods whose containers have started and not ended.
    running: BTreeSet<String>,
    /// The largest number of those at the same time.
    max_running: usize,
    /// The names of all pods so far.
    names: BTreeSet<String>,
    /// Number of lists. After the first list the watch receives each change, so no pod is missed. Between two lists one could be.
    lists: usize,
}

impl Observed {
    fn apply(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => {
                self.there.clear();
                self.running.clear();
                self.lists += 1;
            }
            Event::Apply(pod) | Event::InitApply(pod) => {
                let uid = pod.uid().unwrap_or_default();
                let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
                if phase == Some("Running") {
                    self.running.insert(uid.clone());
                } else {
                    self.running.remove(&uid);
                }
                self.names.insert(pod.name_any());
                self.there.insert(uid);
            }
            Event::Delete(pod) => {
                let uid = pod.uid().unwrap_or_default();
                self.running.remove(&uid);
                self.there.remove(&uid);
            }
            Event::InitDone => {}
        }
        self.max_pods = self.max_pods.max(self.there.len());
        self.max_running = self.max_running.max(self.running.len());
    }
}

/// Watches the pods of a workspace until the API server has deleted them.
fn pods(pods: Api<Pod>, name: &str) -> watch::Receiver<Observed> {
    watched(
        pods,
        watcher::Config::default().labels(&format!("{}={name}", names::WORKSPACE_LABEL)),
    )
}

fn watched(pods: Api<Pod>, config: watcher::Config) -> watch::Receiver<Observed> {
    let (sender, receiver) = watch::channel(Observed::default());
    tokio::spawn(async move {
        let mut events = pin!(watcher(pods, config));
        while let Some(event) = events.next().await {
            // An error alone loses nothing: the watch continues from the last version, or lists, which is counted.
            if let Ok(event) = event {
                sender.send_modify(|observed| observed.apply(event));
            }
            if sender.is_closed() {
                return;
            }
        }
    });
    receiver
}

#[tokio::test]
async fn quick_stops_and_starts_never_put_two_pods_on_one_disk() -> anyhow::Result<()> {
    let scratch = Scratch::new("onepod", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    alice
        .create(
            &PostParams::default(),
            &with_storage("ws", &json!({"size": "100Mi"}))?,
        )
        .await?;
    let first = pod_of(&alice, "ws").await?;
    let mut observed = pods(scratch.api(), "ws");
    observed
        .wait_for(|observed| observed.names.contains(&first))
        .await?;
    let states = [DesiredStatus::Stopped, DesiredStatus::Running];
    for (round, desired) in states.into_iter().cycle().take(8).enumerate() {
        workspace::set(&alice, "ws", json!({"desiredStatus": desired})).await?;
        // In between, any state is possible, from no pod to a half-started one.
        let until = 60 * u64::try_from(round * round).unwrap_or(0);
        tokio::time::sleep(std::time::Duration::from_millis(until)).await;
    }
    let last = pod_of(&alice, "ws").await?;
    assert_ne!(last, first);
    // The watch has received everything up to the last pod by then.
    let observed = observed
        .wait_for(|observed| observed.names.contains(&last))
        .await?;
    assert_eq!((observed.max_pods, observed.lists), (1, 1), "{observed:?}");
    drop(observed);
    scratch.finish().await
}

/// A workspace with a disk whose pod needs time to end.
async fn slow_to_end(scratch: &Scratch) -> anyhow::Result<(Api<Workspace>, String)> {
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut slow = with_storage("ws", &json!({"size": "100Mi"}))?;
    slow.spec.lifecycle = serde_json::from_value(json!({"preStop": {"sleep": {"seconds": 8}}}))?;
    alice.create(&PostParams::default(), &slow).await?;
    let first = pod_of(&alice, "ws").await?;
    Ok((alice, first))
}

/// Waits until the workspace reports that it waits for this pod to end, and no problem.
async fn waits_for(alice: &Api<Workspace>, pod: &str) -> anyhow::Result<()> {
    wait::until("the status to name the pod that ends", wait::USUAL, || async {
        let found = alice.get("ws").await.map_err(|error| error.to_string())?;
        let progressing = workspace::condition(&found, condition::PROGRESSING);
        let degraded = workspace::condition(&found, condition::DEGRADED);
        let names = progressing
            .as_ref()
            .is_some_and(|(_, why, message)| why == reason::PREDECESSOR_TERMINATING && message.contains(pod));
        if names && degraded.as_ref().is_some_and(|(status, ..)| status == "False") {
            Ok(())
        } else {
            Err(format!("{progressing:?} {degraded:?}"))
        }
    })
    .await
}

/// Waits until another pod than `before` serves the workspace.
async fn followed(alice: &Api<Workspace>, before: &str) -> anyhow::Result<String> {
    wait::until("another pod to be ready", wait::USUAL, || async {
        let found = alice.get("ws").await.map_err(|error| error.to_string())?;
        match workspace::pod(&found) {
            Ok(pod) if pod != before => Ok(pod),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn a_deleted_or_evicted_pod_is_replaced_only_after_it_is_gone() -> anyhow::Result<()> {
    let scratch = Scratch::new("onepodlost", &["alice"]).await?;
    let (alice, first) = slow_to_end(&scratch).await?;
    let mut observed = pods(scratch.api(), "ws");
    observed
        .wait_for(|observed| observed.names.contains(&first))
        .await?;
    let run = workspace::run_id(&alice.get("ws").await?)?;
    let all: Api<Pod> = scratch.api();
    all.delete(&first, &DeleteParams::default()).await?;
    waits_for(&alice, &first).await?;
    let second = followed(&alice, &first).await?;
    all.evict(&second, &EvictParams::default()).await?;
    let third = followed(&alice, &second).await?;
    anyhow::ensure!(workspace::run_id(&alice.get("ws").await?)? == run, "another run");
    let observed = observed
        .wait_for(|observed| observed.names.contains(&third))
        .await?;
    assert_eq!((observed.max_running, observed.lists), (1, 1), "{observed:?}");
    drop(observed);
    let uid = alice.get("ws").await?.uid().unwrap_or_default();
    let lost = wait::until("an Event PodLost", wait::USUAL, || async {
        let all = super::events_of(&scratch, &uid)
            .await
            .map_err(|error| error.to_string())?;
        let lost = all
            .iter()
            .find(|(why, note)| why == reason::POD_LOST && note.contains(&first));
        lost.cloned().ok_or_else(|| format!("{all:?}"))
    })
    .await?;
    anyhow::ensure!(lost.1.contains("A new pod replaces it"), "{}", lost.1);
    scratch.finish().await
}

#[tokio::test]
async fn a_pod_that_lost_its_label_still_blocks_its_disk_and_is_reported() -> anyhow::Result<()> {
    let scratch = Scratch::new("onepodlabel", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let disk = json!({"size": "100Mi"});
    alice
        .create(&PostParams::default(), &with_storage("ws", &disk)?)
        .await?;
    let first = pod_of(&alice, "ws").await?;
    // Of the whole namespace: one of them has no label.
    let mut observed = watched(scratch.api(), watcher::Config::default());
    observed
        .wait_for(|observed| observed.names.contains(&first))
        .await?;
    let all: Api<Pod> = scratch.api();
    let without = json!({"metadata": {"labels": {names::WORKSPACE_LABEL: null}}});
    all.patch(&first, &PatchParams::default(), &Patch::Merge(without))
        .await?;
    let names_it = |message: String| -> anyhow::Result<()> {
        anyhow::ensure!(message.contains(&first), "{message}");
        Ok(())
    };
    names_it(super::degraded(&alice, "ws", reason::POD_NOT_MANAGED).await?)?;

    workspace::set(&alice, "ws", json!({"desiredStatus": DesiredStatus::Stopped})).await?;
    wait::until("the pod that is on its way to be gone", wait::USUAL, || async {
        let left = super::pods_of(&scratch, "ws")
            .await
            .map_err(|error| error.to_string())?;
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await?;
    names_it(super::degraded(&alice, "ws", reason::POD_NOT_MANAGED).await?)?;
    let stopping = workspace::reached(&alice, "ws", Phase::Stopping).await?;
    let stopped = workspace::condition(&stopping, condition::STOPPED);
    anyhow::ensure!(
        stopped.is_some_and(|(status, ..)| status == "False"),
        "{:?}",
        stopping.status
    );

    let overwritten = json!({"metadata": {"labels": {names::WORKSPACE_LABEL: "other"}}});
    all.patch(&first, &PatchParams::default(), &Patch::Merge(overwritten))
        .await?;
    workspace::set(&alice, "ws", json!({"desiredStatus": DesiredStatus::Running})).await?;
    workspace::reached(&alice, "ws", Phase::Failed).await?;
    names_it(super::degraded(&alice, "ws", reason::POD_NOT_MANAGED).await?)?;
    anyhow::ensure!(super::pods_of(&scratch, "ws").await?.is_empty(), "a second pod");
    all.delete(&first, &DeleteParams::default()).await?;
    let next = followed(&alice, &first).await?;
    let observed = observed
        .wait_for(|observed| observed.names.contains(&next))
        .await?;
    assert_eq!((observed.max_running, observed.lists), (1, 1), "{observed:?}");
    drop(observed);
    scratch.finish().await
}
