//! Pods with scheduling gates, as a queue such as Kueue sets them.

use std::time::Duration;

use api::{condition::reason, names, workspace::Phase};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use testkit::objects::NAMESPACE;

use crate::{
    stage::Stage,
    start_timeout::{LIMIT, now, stage},
};

/// The pod of `demo` has these scheduling gates and this queue. Kubernetes records no time in the condition of such a pod.
fn gate(stage: &Stage, gates: &[&str], queue: Option<&str>) {
    let gates: Vec<_> = gates.iter().map(|name| json!({"name": name})).collect();
    edit_pods(stage, |pod| {
        pod["spec"]["schedulingGates"] = json!(gates);
        let labels = pod["metadata"]["labels"].as_object_mut().unwrap();
        labels.remove(names::QUEUE_LABEL);
        labels.extend(queue.map(|queue| (names::QUEUE_LABEL.to_owned(), json!(queue))));
        pod["status"] = json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }]});
    });
}

/// The queue admits the pod, and no node takes it yet.
fn admit(stage: &Stage) {
    edit_pods(stage, |pod| {
        pod["spec"]["schedulingGates"] = Value::Null;
        pod["status"]["conditions"][0]["reason"] = json!("Unschedulable");
        pod["status"]["conditions"][0]["message"] = json!("0/1 nodes are available: 1 Insufficient cpu.");
    });
}

fn edit_pods(stage: &Stage, change: impl Fn(&mut Value)) {
    for pod in stage.all::<Pod>() {
        stage
            .server
            .edit::<Pod>(Some(NAMESPACE), &pod.name_any(), &change);
    }
}

fn reported(stage: &Stage) -> (Option<Phase>, Option<String>) {
    let status = stage.status();
    (status.phase, status.reason)
}

fn is(phase: Phase, reason: &str) -> (Option<Phase>, Option<String>) {
    (Some(phase), Some(reason.to_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_gated_pod_fails_by_no_limit_and_has_its_whole_time_once_the_gates_are_removed() {
    let queue = format!(" Its queue is \"gpus\" (label {}).", names::QUEUE_LABEL);
    for (limit, at_last, grace) in [
        (Value::Null, reason::UNSCHEDULABLE, Duration::from_mins(5)),
        (json!({"startTimeoutMinutes": 10}), reason::START_TIMEOUT, LIMIT),
    ] {
        let mut stage = stage().await;
        stage.edit_spec(|spec| spec["limits"] = limit.clone());
        gate(&stage, &["kueue.x-k8s.io/admission"], Some("gpus"));
        for _ in 0..3 {
            stage.reconcile().await.unwrap();
            assert_eq!(reported(&stage), is(Phase::Starting, reason::SCHEDULING_GATED));
            let message = stage.status().message.unwrap();
            assert!(message.ends_with(&queue), "{message}");
            tokio::time::advance(LIMIT * 10).await;
        }
        let gated = stage
            .events()
            .into_iter()
            .filter(|it| it == reason::SCHEDULING_GATED);
        assert_eq!(gated.count(), 1);
        stage.writes();
        stage.reconcile().await.unwrap();
        assert_eq!(stage.writes(), [""; 0], "nothing is written while it waits");

        admit(&stage);
        stage.reconcile().await.unwrap();
        assert_eq!(
            stage.status().starting_since.unwrap().0.as_second(),
            now().as_second()
        );
        assert_eq!(reported(&stage), is(Phase::Starting, reason::STARTING));
        tokio::time::advance(grace.saturating_sub(Duration::from_secs(1))).await;
        stage.reconcile().await.unwrap();
        assert_eq!(reported(&stage), is(Phase::Starting, reason::UNSCHEDULABLE));
        tokio::time::advance(Duration::from_secs(1)).await;
        stage.reconcile().await.unwrap();
        assert_eq!(
            reported(&stage),
            is(Phase::Failed, at_last),
            "the control: now it counts"
        );
        stage.get_ready();
        stage.reconcile().await.unwrap();
        assert_eq!(reported(&stage), is(Phase::Running, reason::READY));
    }
}
