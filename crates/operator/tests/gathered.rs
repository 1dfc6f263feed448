//! Watches, where many workspaces are on their way: which wakes wait for a moment, and which do not.

use std::{convert::Infallible, time::Duration};

use futures::{Stream, StreamExt as _, stream::BoxStream};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod, networking::v1::NetworkPolicy};
use kube::ResourceExt as _;
use operator::{
    cache::{
        stores::Writers,
        watch::{self, Wake},
    },
    support::debounce::HOLD,
};
use serde_json::json;
use testkit::objects::NAMESPACE;
use tokio::time::Instant;

use crate::stage::{CHILD, Stage};

/// How late the next wake is.
async fn late(wakes: &mut (impl Stream + Unpin)) -> Duration {
    let begun = Instant::now();
    let wake = tokio::time::timeout(Duration::from_secs(30), wakes.next()).await;
    assert!(wake.is_ok_and(|wake| wake.is_some()), "nobody is woken");
    begun.elapsed()
}

/// What wakes a new operator of a workspace that runs, where many or few are on their way, once it has listed everything.
async fn wakes(is_crowded: bool) -> (Stage, BoxStream<'static, Result<Wake, Infallible>>) {
    let stage = Stage::with_running_demo().await;
    let client = stage.server.connect(None);
    let mut wakes = watch::start(&client, Writers::default(), 500, move || is_crowded).boxed();
    calm(&mut wakes).await;
    (stage, wakes)
}

/// Lets everything be told that is on its way.
async fn calm(wakes: &mut (impl Stream + Unpin)) {
    while tokio::time::timeout(4 * HOLD, wakes.next()).await.is_ok() {}
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
    let (stage, mut wakes) = wakes(true).await;
    label(&stage);
    let step = late(&mut wakes).await;
    assert!(step >= HOLD && step < 2 * HOLD, "{step:?}");
    calm(&mut wakes).await;

    stage.edit_spec(|spec| spec["displayName"] = json!("another"));
    assert!(late(&mut wakes).await < HOLD, "a workspace was edited");
    calm(&mut wakes).await;

    stage.server.remove::<NetworkPolicy>(Some(NAMESPACE), CHILD);
    assert!(late(&mut wakes).await < HOLD, "a wall was taken away");
    calm(&mut wakes).await;

    let pod = stage.all::<Pod>().remove(0).name_any();
    stage.server.remove::<Pod>(Some(NAMESPACE), &pod);
    assert!(late(&mut wakes).await < HOLD, "a pod is gone");
}

#[tokio::test(start_paused = true)]
async fn where_few_are_on_their_way_no_step_waits() {
    let (stage, mut wakes) = wakes(false).await;
    label(&stage);
    assert!(late(&mut wakes).await < HOLD);
}
