//! Changes of objects -> triggers of the watches: how late they come.

use std::{convert::Infallible, sync::Arc, time::Duration};

use api::names;
use futures::{Stream, StreamExt as _, stream::BoxStream};
use k8s_openapi::api::core::v1::Pod;
use kit::scope::Scope;
use kube::ResourceExt as _;
use operator::cache::{
    stores::Writers,
    watch::{self, Trigger},
};
use serde_json::json;
use testkit::objects::{self, NAMESPACE};
use tokio::time::Instant;

use crate::stage::{CHILD, Stage};

/// A trigger that comes within this time was not delayed.
const AT_ONCE: Duration = Duration::from_millis(100);

type Triggers = BoxStream<'static, Result<Trigger, Infallible>>;

/// How late the next trigger of `demo` is.
async fn late(triggers: &mut Triggers) -> Duration {
    let started = Instant::now();
    let is_demo = |trigger: &Result<Trigger, Infallible>| {
        let is_demo = trigger.as_ref().is_ok_and(|trigger| trigger.name == "demo");
        std::future::ready(is_demo)
    };
    let mut of_demo = std::pin::pin!(triggers.filter(is_demo));
    let trigger = tokio::time::timeout(Duration::from_secs(30), of_demo.next()).await;
    assert!(trigger.is_ok_and(|trigger| trigger.is_some()), "no trigger");
    started.elapsed()
}

/// Triggers of a new operator, once it has listed everything.
async fn triggers(stage: &Stage) -> Triggers {
    let client = stage.server.connect(None);
    let mut triggers =
        watch::start(&client, &Scope::Cluster, Writers::default(), Arc::default(), 500).boxed();
    calm(&mut triggers).await;
    triggers
}

/// Drains pending triggers.
async fn calm(triggers: &mut (impl Stream + Unpin)) {
    while tokio::time::timeout(Duration::from_secs(1), triggers.next())
        .await
        .is_ok()
    {}
}

fn label(stage: &Stage, value: &str) {
    stage.server.edit::<Pod>(Some(NAMESPACE), CHILD, |pod| {
        pod["metadata"]["labels"][names::QUEUE_LABEL] = json!(value);
    });
}

#[tokio::test(start_paused = true)]
async fn objects_too_deep_to_be_read_stop_no_watch() {
    let stage = Stage::with_demo();
    stage.server.put(&objects::deep_template("deep", 125));
    stage.server.put(&objects::too_deep(objects::workspace("other")));
    let client = api::response::readable(stage.server.connect(None));
    let mut triggers =
        watch::start(&client, &Scope::Cluster, Writers::default(), Arc::default(), 500).boxed();
    late(&mut triggers).await;
    calm(&mut triggers).await;
    // As an event of a watch, too.
    stage.server.put(&objects::too_deep(objects::workspace("third")));
    stage.edit_spec(|spec| spec["displayName"] = json!("another"));
    assert!(late(&mut triggers).await < AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn changes_of_children_and_users_and_deletions_trigger_at_once() {
    let stage = Stage::with_running_demo().await;
    let mut triggers = triggers(&stage).await;
    label(&stage, "b");
    assert!(late(&mut triggers).await < AT_ONCE, "a pod was changed");
    calm(&mut triggers).await;

    stage.edit_spec(|spec| spec["displayName"] = json!("another"));
    assert!(late(&mut triggers).await < AT_ONCE, "a workspace was edited");
    calm(&mut triggers).await;

    let pod = stage.all::<Pod>().remove(0).name_any();
    stage.server.remove::<Pod>(Some(NAMESPACE), &pod);
    assert!(late(&mut triggers).await < AT_ONCE, "a pod is gone");
}
