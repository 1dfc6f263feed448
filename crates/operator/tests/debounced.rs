//! Watches under load: which triggers are debounced, and which are not.

use std::{convert::Infallible, time::Duration};

use futures::{Stream, StreamExt as _, stream::BoxStream};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod, networking::v1::NetworkPolicy};
use kit::scope::Scope;
use kube::ResourceExt as _;
use operator::{
    cache::{
        stores::Writers,
        watch::{self, Trigger},
    },
    support::debounce::DELAY,
};
use serde_json::json;
use testkit::objects::NAMESPACE;
use tokio::time::Instant;

use crate::stage::{CHILD, Stage};

/// How late the next trigger is.
async fn late(triggers: &mut (impl Stream + Unpin)) -> Duration {
    let started = Instant::now();
    let trigger = tokio::time::timeout(Duration::from_secs(30), triggers.next()).await;
    assert!(trigger.is_ok_and(|trigger| trigger.is_some()), "no trigger");
    started.elapsed()
}

/// Triggers of a new operator with a running workspace, with or without load, once it has listed everything.
async fn triggers(is_loaded: bool) -> (Stage, BoxStream<'static, Result<Trigger, Infallible>>) {
    let stage = Stage::with_running_demo().await;
    let client = stage.server.connect(None);
    let mut triggers = watch::start(&client, &Scope::Cluster, Writers::default(), 500, move || {
        is_loaded
    })
    .boxed();
    calm(&mut triggers).await;
    (stage, triggers)
}

/// Drains pending triggers.
async fn calm(triggers: &mut (impl Stream + Unpin)) {
    while tokio::time::timeout(4 * DELAY, triggers.next()).await.is_ok() {}
}

fn label(stage: &Stage) {
    stage
        .server
        .edit::<Deployment>(Some(NAMESPACE), CHILD, |deployment| {
            deployment["metadata"]["labels"]["example.com/a"] = json!("b");
        });
}

#[tokio::test(start_paused = true)]
async fn under_load_steps_of_a_start_are_debounced_and_changes_of_users_and_deletions_are_not() {
    let (stage, mut triggers) = triggers(true).await;
    label(&stage);
    let step = late(&mut triggers).await;
    assert!(step >= DELAY && step < 2 * DELAY, "{step:?}");
    calm(&mut triggers).await;

    stage.edit_spec(|spec| spec["displayName"] = json!("another"));
    assert!(late(&mut triggers).await < DELAY, "a workspace was edited");
    calm(&mut triggers).await;

    stage.server.remove::<NetworkPolicy>(Some(NAMESPACE), CHILD);
    assert!(late(&mut triggers).await < DELAY, "a policy was taken away");
    calm(&mut triggers).await;

    let pod = stage.all::<Pod>().remove(0).name_any();
    stage.server.remove::<Pod>(Some(NAMESPACE), &pod);
    assert!(late(&mut triggers).await < DELAY, "a pod is gone");
}

#[tokio::test(start_paused = true)]
async fn without_load_no_step_is_debounced() {
    let (stage, mut triggers) = triggers(false).await;
    label(&stage);
    assert!(late(&mut triggers).await < DELAY);
}
