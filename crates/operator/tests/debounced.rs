//! Watches, where many workspaces are on their way: which wakes wait for a moment, and which do not.

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
    support::debounce::HOLD,
};
use serde_json::json;
use testkit::objects::NAMESPACE;
use tokio::time::Instant;

use crate::stage::{CHILD, Stage};

/// How late the next wake is.
async fn late(triggers: &mut (impl Stream + Unpin)) -> Duration {
    let begun = Instant::now();
    let trigger = tokio::time::timeout(Duration::from_secs(30), triggers.next()).await;
    assert!(trigger.is_ok_and(|trigger| trigger.is_some()), "nobody is woken");
    begun.elapsed()
}

/// What wakes a new operator of a workspace that runs, where many or few are on their way, once it has listed everything.
async fn triggers(is_crowded: bool) -> (Stage, BoxStream<'static, Result<Trigger, Infallible>>) {
    let stage = Stage::with_running_demo().await;
    let client = stage.server.connect(None);
    let mut triggers = watch::start(&client, &Scope::Cluster, Writers::default(), 500, move || {
        is_crowded
    })
    .boxed();
    calm(&mut triggers).await;
    (stage, triggers)
}

/// Lets everything be told that is on its way.
async fn calm(triggers: &mut (impl Stream + Unpin)) {
    while tokio::time::timeout(4 * HOLD, triggers.next()).await.is_ok() {}
}

fn label(stage: &Stage) {
    stage
        .server
        .edit::<Deployment>(Some(NAMESPACE), CHILD, |deployment| {
            deployment["metadata"]["labels"]["example.com/a"] = json!("b");
        });
}

#[tokio::test(start_paused = true)]
async fn among_many_steps_of_a_start_wait_and_what_people_do_and_what_ends_does_not() {
    let (stage, mut triggers) = triggers(true).await;
    label(&stage);
    let step = late(&mut triggers).await;
    assert!(step >= HOLD && step < 2 * HOLD, "{step:?}");
    calm(&mut triggers).await;

    stage.edit_spec(|spec| spec["displayName"] = json!("another"));
    assert!(late(&mut triggers).await < HOLD, "a workspace was edited");
    calm(&mut triggers).await;

    stage.server.remove::<NetworkPolicy>(Some(NAMESPACE), CHILD);
    assert!(late(&mut triggers).await < HOLD, "a wall was taken away");
    calm(&mut triggers).await;

    let pod = stage.all::<Pod>().remove(0).name_any();
    stage.server.remove::<Pod>(Some(NAMESPACE), &pod);
    assert!(late(&mut triggers).await < HOLD, "a pod is gone");
}

#[tokio::test(start_paused = true)]
async fn where_few_are_on_their_way_no_step_waits() {
    let (stage, mut triggers) = triggers(false).await;
    label(&stage);
    assert!(late(&mut triggers).await < HOLD);
}
