//! Conflicts, throttling, failures and refusals of the API server, and objects that do not parse.

use api::{
    Workspace,
    condition::{VALID, reason},
    workspace::Phase,
};
use http::Method;
use k8s_openapi::api::{core::v1::PersistentVolumeClaim, core::v1::Pod};
use operator::{
    reconcile::{Error, error_policy},
    status::events,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use serde_json::json;
use testkit::{
    api_server::Disruption,
    objects::{self, NAMESPACE},
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::stage::{Stage, seconds};

#[tokio::test]
async fn a_write_that_fails_is_tried_again_and_nothing_is_made_twice() {
    let calls = [
        (Method::PATCH, "persistentvolumeclaims"),
        (Method::POST, "services"),
        (Method::POST, "networkpolicies"),
        (Method::POST, "pods"),
        (Method::PATCH, "status"),
    ];
    for (method, path) in calls {
        for code in [409, 429, 500] {
            let mut stage = Stage::with_service();
            stage.fail(method.clone(), path, code, "not now", 1);
            // Another client wrote the workspace meanwhile: that is no failure.
            let is_everyday = (path, code) == ("status", 409);
            assert_eq!(stage.reconcile().await.is_ok(), is_everyday, "{path} {code}");
            stage.reconcile().await.unwrap();
            assert_eq!(stage.status().phase, Some(Phase::Starting), "{path} {code}");
            assert_eq!(stage.all::<Pod>().len(), 1);
            let events = stage.events();
            assert_eq!(events, ["Starting"], "{path} {code}");
        }
    }
}

#[tokio::test]
async fn no_pod_is_reported_as_gone_while_pods_cannot_be_read() {
    let mut stage = Stage::with_running_demo().await;
    stage.edit_spec(|spec| spec["desiredStatus"] = "Stopped".into());
    stage.reconcile().await.unwrap();
    stage.cluster();
    stage.end_pods();
    stage.fail(Method::GET, "pods", 500, "not now", 1);
    stage.reconcile().await.unwrap_err();
    assert_eq!(stage.status().phase, Some(Phase::Stopping));
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().phase, Some(Phase::Stopped));
}

/// Lets the operator write Events beside reconciles, until the end of the process.
async fn with_event_writer(stage: &Stage) -> (CancellationToken, JoinHandle<()>) {
    let (context, end) = (stage.context.clone(), CancellationToken::new());
    let until = end.clone();
    let writer = tokio::spawn(async move { events::run(&context, &until).await });
    tokio::task::yield_now().await;
    (end, writer)
}

#[tokio::test(start_paused = true)]
async fn no_reconcile_waits_for_an_event_and_one_without_an_answer_is_lost() {
    let mut stage = Stage::with_demo();
    let (end, writer) = with_event_writer(&stage).await;
    stage.server.disrupt(Method::POST, "events", Disruption::NoAnswer);
    let begin = tokio::time::Instant::now();
    stage.reconcile().await.unwrap();
    assert_eq!(begin.elapsed().as_secs(), 0);
    assert_eq!(stage.status().phase, Some(Phase::Starting));
    end.cancel();
    writer.await.unwrap();
    assert_eq!(lost_events(&stage).len(), 1);
    assert_eq!(stage.events(), [""; 0], "it is not tried again");
}

#[tokio::test]
async fn events_are_written_in_order_and_before_the_process_ends() {
    let mut stage = Stage::with_demo();
    let (end, writer) = with_event_writer(&stage).await;
    stage.run().await;
    end.cancel();
    writer.await.unwrap();
    assert_eq!(stage.events(), [reason::STARTING, reason::READY]);
}

/// The metrics of the operator.
pub(crate) fn metrics(stage: &Stage) -> String {
    let mut registry = Registry::default();
    let workspaces = stage.context.stores.workspaces.clone();
    stage.context.metrics.register(&mut registry, workspaces, false);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    text
}

/// Reasons for which Events were lost, with their number, as the metric has them.
fn lost_events(stage: &Stage) -> Vec<String> {
    let text = metrics(stage);
    let of_events = text.lines().filter_map(|line| {
        let (labels, count) = line.split_once("} ")?;
        let (_, reason) = labels.split_once("step=\"event\",reason=\"")?;
        Some(format!("{} {count}", reason.trim_end_matches('"')))
    });
    of_events.collect()
}

/// For how many seconds the next reconcile over `demo` is delayed because of this failure.
fn backoff(stage: &Stage, failure: &Error) -> f64 {
    let object =
        operator::cache::stores::get_parsed(&stage.context.stores.workspaces, Some(NAMESPACE), "demo")
            .unwrap();
    seconds(&error_policy(object, failure, stage.context.clone()))
}

#[tokio::test]
async fn a_workspace_waits_longer_after_each_of_its_failures_up_to_a_minute_and_anew_after_a_success() {
    const FAILURES: usize = 12;
    // A wait is anything up to a longest one. That none of so many comes near it, or none stays away from it, does not happen.
    const WORKSPACES: usize = 30;
    let mut waits = vec![Vec::new(); FAILURES];
    for _ in 0..WORKSPACES {
        let mut stage = Stage::with_demo();
        stage.fail(Method::PATCH, "persistentvolumeclaims", 500, "not now", FAILURES);
        for waits in &mut waits {
            let failure = stage.reconcile().await.unwrap_err();
            waits.push(backoff(&stage, &failure));
        }
        stage.reconcile().await.unwrap();
        stage.fail(Method::PATCH, "status", 500, "not now", 1);
        stage.cluster();
        stage.get_ready();
        let failure = stage.reconcile().await.unwrap_err();
        assert!(backoff(&stage, &failure) <= 0.5, "a success starts anew");
    }
    let longest = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0, 60.0];
    for (longest, waits) in longest.into_iter().zip(waits) {
        assert!(waits.iter().all(|wait| *wait <= longest), "{longest}: {waits:?}");
        let half = longest / 2.0;
        assert!(waits.iter().any(|wait| *wait > half), "{longest}: {waits:?}");
        assert!(
            waits.iter().any(|wait| *wait < half),
            "all at once: {longest}: {waits:?}"
        );
    }
}

#[tokio::test]
async fn a_terminating_namespace_is_no_failure_of_the_workspace() {
    let mut stage = Stage::with_demo();
    let message = "unable to create new content in namespace team because it is being terminated";
    stage.fail(Method::PATCH, "persistentvolumeclaims", 403, message, 1);
    stage.reconcile().await.unwrap_err();
    assert_eq!(stage.workspace().status, None);
}

#[tokio::test]
async fn a_workspace_that_does_not_parse_is_reported_and_others_are_reconciled() {
    let mut stage = Stage::with_demo();
    stage.server.put(&objects::workspace("other"));
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        object["spec"]["port"] = json!({"not": "a port"});
    });
    stage.reconcile().await.unwrap();
    assert!(stage.all::<PersistentVolumeClaim>().is_empty());
    stage.reconcile_unsynced("other").await.unwrap();
    assert_eq!(stage.all::<Pod>().len(), 1);

    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        object["spec"]["port"] = json!(8888);
    });
    let valid = stage.condition(VALID);
    assert_eq!(
        (valid.status.as_str(), valid.reason.as_str()),
        ("False", reason::UNREADABLE)
    );
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().phase, Some(Phase::Starting));
}

#[tokio::test]
async fn a_workspace_that_does_not_parse_can_be_deleted() {
    let mut stage = Stage::with_running_demo().await;
    stage
        .server
        .edit::<Workspace>(Some(NAMESPACE), "demo", |object| object["spec"] = json!(7));
    stage.delete_demo();
    for _ in 0..4 {
        if stage
            .server
            .get::<serde_free::Any>(Some(NAMESPACE), "demo")
            .is_some()
        {
            stage.reconcile().await.unwrap();
            stage.collect_garbage();
        }
    }
    assert!(stage.all::<PersistentVolumeClaim>().is_empty());
    assert!(
        stage
            .server
            .get::<serde_free::Any>(Some(NAMESPACE), "demo")
            .is_none()
    );
}

/// Workspaces of which only the metadata is read.
mod serde_free {
    use api::Workspace;
    use kube::core::PartialObjectMeta;

    pub(crate) type Any = PartialObjectMeta<Workspace>;
}
