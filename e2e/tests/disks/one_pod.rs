//! One pod per disk, however quickly somebody stops and starts.

use std::{collections::BTreeSet, pin::pin};

use api::{Workspace, names, workspace::DesiredStatus};
use e2e::{
    cluster::{self, Scratch},
    workspace,
};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::PostParams,
    runtime::watcher::{self, Event, watcher},
};
use serde_json::json;
use tokio::sync::watch;

use super::{pod_of, with_storage};

/// What a watch of the pods of a workspace has told.
#[derive(Debug, Default)]
struct Told {
    there: BTreeSet<String>,
    /// The largest number that was there at the same time.
    most: usize,
    /// The name of every pod that there ever was.
    names: BTreeSet<String>,
    /// How often it had to list. After the first list it is told of each change from version to version, so no pod comes and goes
    /// unseen; between two lists one could.
    lists: usize,
}

impl Told {
    fn hear(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => {
                self.there.clear();
                self.lists += 1;
            }
            Event::Apply(pod) | Event::InitApply(pod) => {
                self.names.insert(pod.name_any());
                self.there.insert(pod.uid().unwrap_or_default());
            }
            Event::Delete(pod) => {
                self.there.remove(&pod.uid().unwrap_or_default());
            }
            Event::InitDone => {}
        }
        self.most = self.most.max(self.there.len());
    }
}

/// Watches the pods of a workspace, as the API server has them: until they are gone from there.
fn pods(pods: Api<Pod>, name: &str) -> watch::Receiver<Told> {
    let config = watcher::Config::default().labels(&format!("{}={name}", names::WORKSPACE_LABEL));
    let (sender, receiver) = watch::channel(Told::default());
    tokio::spawn(async move {
        let mut events = pin!(watcher(pods, config));
        while let Some(event) = events.next().await {
            // An error alone loses nothing: it goes on from the last version, or lists, which is counted.
            if let Ok(event) = event {
                sender.send_modify(|told| told.hear(event));
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
    let mut told = pods(scratch.api(), "ws");
    told.wait_for(|told| told.names.contains(&first)).await?;
    let turn = [DesiredStatus::Stopped, DesiredStatus::Running];
    for (round, desired) in turn.into_iter().cycle().take(12).enumerate() {
        workspace::set(&alice, "ws", json!({"desiredStatus": desired})).await?;
        // Between the two, anything from nothing to a pod that is half up.
        let until = 25 * u64::try_from(round * round).unwrap_or(0);
        tokio::time::sleep(std::time::Duration::from_millis(until)).await;
    }
    let last = pod_of(&alice, "ws").await?;
    assert_ne!(last, first);
    // Everything up to the last pod has been told by then.
    let told = told.wait_for(|told| told.names.contains(&last)).await?;
    assert_eq!((told.most, told.lists), (1, 1), "{told:?}");
    drop(told);
    scratch.finish().await
}
