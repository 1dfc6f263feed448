//! What the operator waits for between a change and its effect: answers of the API server alone.

use std::time::Duration;

use api::{
    Workspace,
    workspace::{DesiredStatus, Phase},
};
use http::Method;
use k8s_openapi::api::core::v1::{Node, Pod};
use operator::{
    cache::stores::{Writers, get_parsed},
    reconcile::reconcile,
};
use serde_json::{Value, json};
use testkit::{
    api_server::Disruption,
    lagging::Lag,
    objects::{self, NAMESPACE},
};
use tokio::time::{Instant, sleep};

use crate::{
    outages::{begin, begin_as, writes},
    stage::{CHILD, Stage, operator, short},
};

/// How long the API server takes for a write.
const ANSWER: Duration = Duration::from_millis(10);
/// What passes from an event to its reconcile: timers of tokio have milliseconds.
const AT_ONCE: Duration = Duration::from_millis(5);

/// How long it takes until something is the case.
async fn until(holds: impl Fn() -> bool) -> Duration {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_mins(1), "it never is");
        sleep(Duration::from_millis(1)).await;
    }
    begin.elapsed()
}

fn phase(stage: &Stage) -> Option<Phase> {
    stage.workspace().status.and_then(|status| status.phase)
}

/// What a node reports of a pod before it is ready.
fn report(stage: &Stage, status: &Value) {
    stage
        .server
        .edit::<Pod>(Some(NAMESPACE), CHILD, |pod| pod["status"] = status.clone());
}

/// How many of these calls there were, as `METHOD last/two/segments`.
fn count(calls: &[String], line: &str) -> usize {
    calls.iter().filter(|call| *call == line).count()
}

fn calls(stage: &Stage) -> Vec<String> {
    stage.server.take_calls().iter().map(short).collect()
}

#[tokio::test(start_paused = true)]
async fn a_start_waits_only_for_answers_and_takes_few_reconciles() {
    let stage = Stage::new();
    let node: Node = serde_json::from_value(json!({
        "metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }))
    .unwrap();
    stage.server.put(&node);
    // Its status shows that the caches are filled.
    let mut other = objects::workspace("other");
    other.spec.desired_status = DesiredStatus::Stopped;
    stage.server.put(&other);
    let process = begin(&stage);
    until(|| stage.all::<Workspace>()[0].status.is_some()).await;
    let earlier = process.reconciles();
    for (method, path) in writes() {
        stage.server.disrupt(method, path, Disruption::Late(ANSWER));
    }
    let mut demo = objects::workspace("demo");
    demo.spec.variables = [("address".to_owned(), "{service.name}".to_owned())].into();
    stage.server.put(&demo);
    // Disk and Service are written together, then the policies of a namespace without any, then the pod.
    let made = until(|| stage.child::<Pod>().is_some()).await;
    assert!(made <= 3 * ANSWER + AT_ONCE, "{made:?}");
    let creating = json!([{"name": "workspace", "ready": false, "restartCount": 0, "image": "i", "imageID": "",
        "state": {"waiting": {"reason": "ContainerCreating"}}}]);
    let mut running = creating.clone();
    running[0]["state"] = json!({"running": {"startedAt": "2026-01-01T00:00:01Z"}});
    sleep(2 * ANSWER).await;
    stage.cluster();
    for status in [
        json!({"phase": "Pending", "containerStatuses": creating}),
        json!({"phase": "Running", "podIP": "10.0.0.9", "containerStatuses": running}),
    ] {
        sleep(2 * ANSWER).await;
        report(&stage, &status);
    }
    sleep(2 * ANSWER).await;
    stage.get_ready();
    let available = until(|| phase(&stage) == Some(Phase::Running)).await;
    assert!(available <= AT_ONCE, "{available:?}");
    sleep(Duration::from_mins(1)).await;
    // For the workspace, what was made, claim, node, two reports, and readiness.
    let reconciles = process.reconciles() - earlier;
    assert!(reconciles <= 7, "{reconciles}");
}

#[tokio::test]
async fn a_status_follows_our_last_one_at_once_whether_the_cache_shows_that_one_or_not() {
    for is_shown in [false, true] {
        let mut stage = Stage::with_demo();
        stage.reconcile().await.unwrap();
        let queued = get_parsed(&stage.context.stores.workspaces, Some(NAMESPACE), "demo").unwrap();
        assert_eq!(queued.object().unwrap().status, None, "the cache is late");
        stage.cluster();
        stage.get_ready();
        stage.sync_one(10);
        if is_shown {
            // The queue has read the workspace, and then the watch showed our status, before the reconcile begins.
            stage.sync();
            assert!(stage.context.pending_writes.is_own_status(&stage.workspace()));
        }
        stage.writes();
        reconcile(queued, stage.context.clone()).await.unwrap();
        assert_eq!(phase(&stage), Some(Phase::Running), "{is_shown}");
        let written = stage.writes();
        assert_eq!(count(&written, "PATCH workspaces/demo/status"), 1, "{written:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_follows_the_write_of_another_client_at_once() {
    let stage = Stage::with_demo();
    stage.server.disrupt(
        Method::PATCH,
        "demo/status",
        Disruption::Meanwhile(Box::new(|server| {
            server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
                object["metadata"]["annotations"]["example.com/a"] = json!("b");
            });
        })),
    );
    let _process = begin(&stage);
    let published = until(|| phase(&stage) == Some(Phase::Starting)).await;
    assert!(published <= 2 * AT_ONCE, "{published:?}");
    assert_eq!(stage.server.unmet(), [""; 0]);
    assert_eq!(count(&calls(&stage), "PATCH workspaces/demo/status"), 2);
}

#[tokio::test(start_paused = true)]
async fn conflicts_that_no_watch_explains_are_tried_again_less_and_less_often() {
    let stage = Stage::with_demo();
    stage.fail(
        Method::PATCH,
        "demo/status",
        409,
        "the object has been modified",
        1000,
    );
    let _process = begin(&stage);
    let tries = || count(&calls(&stage), "PATCH workspaces/demo/status");
    sleep(Duration::from_secs(10)).await;
    let first = tries();
    assert!((3..=11).contains(&first), "{first}");
    sleep(Duration::from_mins(1)).await;
    tries();
    sleep(Duration::from_mins(10)).await;
    let later = tries();
    assert!((5..=60).contains(&later), "{later}");
    assert_eq!(stage.all::<Pod>().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_one_post_of_its_pod_also_if_the_cache_is_half_a_minute_late() {
    let stage = Stage::with_demo();
    let (lag, writers) = (Lag::default(), Writers::default());
    lag.set(Duration::from_secs(30));
    let context = operator(lag.wrap(stage.server.connect(None)), &writers, true);
    let (_process, context) = begin_as(context, writers);
    until(|| stage.child::<Pod>().is_some()).await;
    stage.cluster();
    stage.get_ready();
    for _ in 0..25 {
        sleep(Duration::from_secs(1)).await;
        let cached = get_parsed(&context.stores.workspaces, Some(NAMESPACE), "demo").unwrap();
        reconcile(cached, context.clone()).await.unwrap();
    }
    assert_eq!(phase(&stage), Some(Phase::Starting), "the cache is late");
    let available = until(|| phase(&stage) == Some(Phase::Running)).await;
    assert!(available <= Duration::from_secs(6), "{available:?}");
    let calls = calls(&stage);
    assert_eq!(count(&calls, "POST pods"), 1);
    assert_eq!(count(&calls, "GET pods/workspace-demo"), 0);
}
