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

/// Watches the pods of a workspace; the largest number that was there at the same time, as the API server tells it.
fn most_pods(pods: Api<Pod>, name: &str) -> watch::Receiver<usize> {
    let config = watcher::Config::default().labels(&format!("{}={name}", names::WORKSPACE_LABEL));
    let (sender, receiver) = watch::channel(0);
    tokio::spawn(async move {
        let mut there = BTreeSet::new();
        let mut events = pin!(watcher(pods, config));
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(pod) | Event::InitApply(pod)) => there.insert(pod.uid()),
                Ok(Event::Delete(pod)) => there.remove(&pod.uid()),
                _ => false,
            };
            sender.send_if_modified(|most| there.len() > std::mem::replace(most, (*most).max(there.len())));
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
    let mut most = most_pods(scratch.api(), "ws");
    most.wait_for(|most| *most > 0).await?;
    let turn = [DesiredStatus::Stopped, DesiredStatus::Running];
    for (round, desired) in turn.into_iter().cycle().take(12).enumerate() {
        workspace::set(&alice, "ws", json!({"desiredStatus": desired})).await?;
        // Between the two, anything from nothing to a pod that is half up.
        let until = 25 * u64::try_from(round * round).unwrap_or(0);
        tokio::time::sleep(std::time::Duration::from_millis(until)).await;
    }
    let last = pod_of(&alice, "ws").await?;
    assert_ne!(last, first);
    assert_eq!(*most.borrow(), 1);
    scratch.finish().await
}
