//! One pod per disk, also with quick stops and starts, and after a deletion of the pod.

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
    api::{DeleteParams, PostParams},
    runtime::watcher::{self, Event, watcher},
};
use serde_json::json;
use tokio::sync::watch;

use super::with_storage;

/// The pod of the workspace `ws`, in every run.
const POD: &str = "workspace-ws";

/// Observations of a watch of a workspace's pods.
#[derive(Debug, Default)]
struct Observed {
    there: BTreeSet<String>,
    /// The largest number of concurrent pods.
    max_pods: usize,
    /// The runs of all pods so far.
    runs: BTreeSet<String>,
    /// Number of lists. After the first list the watch receives each change, so no pod is missed. Between two lists one could be.
    lists: usize,
}

impl Observed {
    fn apply(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => {
                self.there.clear();
                self.lists += 1;
            }
            Event::Apply(pod) | Event::InitApply(pod) => {
                let uid = pod.uid().unwrap_or_default();
                self.runs.extend(pod.labels().get(names::RUN_ID_LABEL).cloned());
                self.there.insert(uid);
            }
            Event::Delete(pod) => {
                let uid = pod.uid().unwrap_or_default();
                self.there.remove(&uid);
            }
            Event::InitDone => {}
        }
        self.max_pods = self.max_pods.max(self.there.len());
    }
}

/// Watches the pods of the namespace.
fn watched(pods: Api<Pod>) -> watch::Receiver<Observed> {
    let (sender, receiver) = watch::channel(Observed::default());
    tokio::spawn(async move {
        let mut events = pin!(watcher(pods, watcher::Config::default()));
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

/// Waits until the workspace reports that it waits for its pod to end, and no problem.
async fn waits_for_its_pod(alice: &Api<Workspace>) -> anyhow::Result<()> {
    wait::until("the status to name the pod that ends", wait::USUAL, || async {
        let found = alice.get("ws").await.map_err(|error| error.to_string())?;
        let progressing = workspace::condition(&found, condition::PROGRESSING);
        let degraded = workspace::condition(&found, condition::DEGRADED);
        let names = progressing
            .as_ref()
            .is_some_and(|(_, why, message)| why == reason::PREDECESSOR_TERMINATING && message.contains(POD));
        if names && degraded.as_ref().is_some_and(|(status, ..)| status == "False") {
            Ok(())
        } else {
            Err(format!("{progressing:?} {degraded:?}"))
        }
    })
    .await
}

/// Waits until another run than `before` serves the workspace.
async fn followed(alice: &Api<Workspace>, before: &str) -> anyhow::Result<String> {
    wait::until("another run to be ready", wait::USUAL, || async {
        let found = alice.get("ws").await.map_err(|error| error.to_string())?;
        let phase = found.status.as_ref().and_then(|status| status.phase);
        match workspace::run_id(&found) {
            Ok(run) if run != before && phase == Some(Phase::Running) => Ok(run),
            other => Err(format!("{other:?} {phase:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn quick_stops_and_starts_and_a_deletion_of_the_pod_never_put_two_pods_on_one_disk()
-> anyhow::Result<()> {
    let scratch = Scratch::new("onepod", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut wanted = with_storage("ws", &json!({"size": "100Mi"}))?;
    // Its pod needs time to end.
    wanted.spec.lifecycle = serde_json::from_value(json!({"preStop": {"sleep": {"seconds": 5}}}))?;
    alice.create(&PostParams::default(), &wanted).await?;
    let mut observed = watched(scratch.api());
    let first = followed(&alice, "").await?;
    scratch.api::<Pod>().delete(POD, &DeleteParams::default()).await?;
    waits_for_its_pod(&alice).await?;
    let second = followed(&alice, &first).await?;
    let uid = alice.get("ws").await?.uid().unwrap_or_default();
    wait::until("an Event PodLost", wait::USUAL, || async {
        let all = super::events_of(&scratch, &uid)
            .await
            .map_err(|error| error.to_string())?;
        let mut of_loss = all.iter().filter(|(why, _)| why == reason::POD_LOST);
        match (of_loss.next(), of_loss.next()) {
            (Some((_, note)), None) if note.contains(POD) => Ok(()),
            _ => Err(format!("{all:?}")),
        }
    })
    .await?;

    let states = [DesiredStatus::Stopped, DesiredStatus::Running];
    for (round, desired) in states.into_iter().cycle().take(8).enumerate() {
        workspace::set(&alice, "ws", json!({"desiredStatus": desired})).await?;
        // In between, any state is possible, from no pod to a half-started one.
        let until = 60 * u64::try_from(round * round).unwrap_or(0);
        tokio::time::sleep(std::time::Duration::from_millis(until)).await;
    }
    let last = followed(&alice, &second).await?;
    // The watch has received everything up to the last pod by then.
    let observed = observed
        .wait_for(|observed| observed.runs.contains(&last))
        .await?;
    assert_eq!((observed.max_pods, observed.lists), (1, 1), "{observed:?}");
    drop(observed);
    scratch.finish().await
}
