//! One pod per disk, whatever other clients change in pods, labels and Deployments.

use api::{
    Workspace,
    condition::{self, DEGRADED, PROGRESSING, reason},
    names,
    workspace::{DesiredStatus, Phase},
};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{Pod, Service},
    networking::v1::NetworkPolicy,
};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use testkit::objects::{self, NAMESPACE};

use crate::stage::{CHILD, Stage, run_id, short};

/// The scheduler's message for a pod that is kept off another one by its own rule.
const APART: &str = "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.";

/// The pod that the replica set makes in the place of one that it lost. The scheduler keeps it off the other one.
fn next_pod(stage: &Stage) {
    let set = stage.all::<ReplicaSet>().remove(0);
    let mut pod = objects::pod_of(&set);
    pod.metadata.name = Some("next".to_owned());
    pod.metadata.uid = Some("next".to_owned());
    pod.metadata.creation_timestamp = serde_json::from_value(json!("2026-01-01T00:01:00Z")).unwrap();
    pod.status = serde_json::from_value(json!({"phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": APART,
        "lastTransitionTime": "2026-01-01T00:01:00Z",
    }]}))
    .unwrap();
    stage.server.put(&pod);
}

/// The pod of the run.
fn pod(stage: &Stage) -> String {
    stage.all::<Pod>().remove(0).name_any()
}

/// A user removes a label of the pod, so that its replica set releases it.
fn without_label(stage: &Stage, label: &str) -> String {
    with_label(stage, label, &Value::Null)
}

/// A user changes a label of the pod, so that its replica set releases it. `null` removes it.
fn with_label(stage: &Stage, label: &str, value: &Value) -> String {
    let name = pod(stage);
    stage.server.edit::<Pod>(Some(NAMESPACE), &name, |pod| {
        pod["metadata"]["labels"][label] = value.clone();
        let labels = pod["metadata"]["labels"].as_object_mut().unwrap();
        labels.retain(|_, value| !value.is_null());
        pod["metadata"]["ownerReferences"] = Value::Null;
    });
    name
}

fn reported(stage: &Stage, reason: &str) -> usize {
    stage.events().iter().filter(|it| *it == reason).count()
}

/// Reason and message of a condition that is true.
fn holds(stage: &Stage, type_: &str) -> Option<(String, String)> {
    let status = stage.status();
    let found = condition::find(&status.conditions, type_).filter(|it| it.status == "True")?;
    Some((found.reason.clone(), found.message.clone()))
}

#[tokio::test]
async fn a_pod_deleted_in_a_run_is_an_event_and_the_status_reports_that_the_next_one_waits_for_it() {
    let mut stage = Stage::with_running_demo().await;
    let lost = pod(&stage);
    stage.server.edit::<Pod>(Some(NAMESPACE), &lost, |pod| {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:01:00Z");
    });
    next_pod(&stage);
    for _ in 0..3 {
        stage.reconcile().await.unwrap();
    }
    let (why, message) = holds(&stage, PROGRESSING).unwrap();
    assert_eq!(why, reason::PREDECESSOR_TERMINATING);
    assert!(message.contains(&lost), "{message}");
    assert_eq!(holds(&stage, DEGRADED), None);
    assert_eq!(
        (stage.status().phase, stage.status().endpoint),
        (Some(Phase::Starting), None)
    );
    assert_eq!(reported(&stage, reason::POD_LOST), 1);
    stage.server.remove::<Pod>(Some(NAMESPACE), &lost);
    // The scheduler has not looked again yet.
    stage.reconcile().await.unwrap();
    assert_eq!(holds(&stage, DEGRADED), None);
    stage.get_ready();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().phase, Some(Phase::Running));
    assert_eq!(reported(&stage, reason::POD_LOST), 1);
    assert_eq!(
        stage
            .writes()
            .iter()
            .filter(|it| it.contains("deployments"))
            .count(),
        0
    );
}

#[tokio::test]
async fn a_pod_whose_label_was_removed_or_overwritten_is_named_and_neither_a_start_nor_stopped_comes_beside_it()
 {
    // Where the stop clears the cause for a moment, each time it appears is a transition with an Event.
    for (label, value, transitions) in [
        (names::WORKSPACE_LABEL, Value::Null, 2),
        (names::WORKSPACE_LABEL, json!("other"), 2),
        ("pod-template-hash", Value::Null, 1),
    ] {
        let mut stage = Stage::with_running_demo().await;
        let first = run_id(&stage.child().unwrap());
        let astray = with_label(&stage, label, &value);
        stage.reconcile().await.unwrap();
        let named = |stage: &Stage| {
            let (why, message) = holds(stage, DEGRADED).unwrap();
            assert_eq!(why, reason::POD_NOT_MANAGED, "{label}");
            let way_out = format!("kubectl delete -n team pod/{astray}");
            assert!(message.contains(&way_out), "{message}");
        };
        named(&stage);
        next_pod(&stage);
        for _ in 0..2 {
            stage.reconcile().await.unwrap();
            named(&stage);
        }
        stage.set(DesiredStatus::Stopped);
        stage.reconcile().await.unwrap();
        stage.cluster();
        stage.server.remove::<Pod>(Some(NAMESPACE), "next");
        // No controller ends it.
        stage.server.edit::<Pod>(Some(NAMESPACE), &astray, |pod| {
            pod["metadata"]["deletionTimestamp"] = Value::Null;
        });
        for _ in 0..2 {
            stage.reconcile().await.unwrap();
            assert_eq!(stage.status().phase, Some(Phase::Stopping), "{label}");
            named(&stage);
        }
        stage.set(DesiredStatus::Running);
        stage.reconcile().await.unwrap();
        assert_eq!(
            (stage.replicas(), run_id(&stage.child().unwrap())),
            (Some(0), first),
            "{label}"
        );
        named(&stage);
        stage.server.remove::<Pod>(Some(NAMESPACE), &astray);
        stage.reconcile().await.unwrap();
        assert_eq!(stage.replicas(), Some(1), "{label}");
        assert_eq!(holds(&stage, DEGRADED), None);
        assert_eq!(
            reported(&stage, reason::POD_NOT_MANAGED),
            transitions,
            "{label}: {:?}",
            stage.events()
        );
    }
}

#[tokio::test]
async fn a_pod_left_on_a_disk_keeps_the_deletion_waiting_by_its_name() {
    let mut stage = Stage::with_running_demo().await;
    let astray = without_label(&stage, names::WORKSPACE_LABEL);
    stage.delete_demo();
    stage.reconcile().await.unwrap();
    stage.server.remove::<Deployment>(Some(NAMESPACE), CHILD);
    for set in stage.all::<ReplicaSet>() {
        stage
            .server
            .remove::<ReplicaSet>(Some(NAMESPACE), &set.name_any());
    }
    stage.set_clock(|| "2026-01-01T00:02:00Z".parse().unwrap());
    stage.reconcile().await.unwrap();
    assert!(
        stage.status().message.unwrap().contains(&format!("pod {astray}")),
        "{:?}",
        stage.status().message
    );
    assert!(stage.server.get::<Workspace>(Some(NAMESPACE), "demo").is_some());
}

#[tokio::test]
async fn a_pod_left_on_a_kept_disk_is_waited_for_by_the_next_workspace_of_that_name() {
    let mut stage = Stage::with_demo();
    stage.edit_spec(|spec| spec["storage"]["retain"] = json!("Retain"));
    stage.run().await;
    let astray = without_label(&stage, names::WORKSPACE_LABEL);
    // Another client removed the finalizer.
    stage.server.remove::<Workspace>(Some(NAMESPACE), "demo");
    stage.server.remove::<Deployment>(Some(NAMESPACE), CHILD);
    for set in stage.all::<ReplicaSet>() {
        stage
            .server
            .remove::<ReplicaSet>(Some(NAMESPACE), &set.name_any());
    }
    stage.server.remove::<Service>(Some(NAMESPACE), CHILD);
    stage.server.remove::<NetworkPolicy>(Some(NAMESPACE), CHILD);
    stage.replace_operator(None);
    let mut second = objects::workspace("demo");
    second.metadata.uid = Some("second".to_owned());
    stage.server.put(&second);
    for _ in 0..2 {
        stage.reconcile().await.unwrap();
        assert!(
            stage.all::<Deployment>().is_empty(),
            "its pod would be the second one"
        );
        assert_eq!(holds(&stage, DEGRADED).unwrap().0, reason::POD_NOT_MANAGED);
    }
    stage.server.remove::<Pod>(Some(NAMESPACE), &astray);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.all::<Deployment>().len(), 1);
}

#[tokio::test]
async fn a_strategy_that_allows_two_pods_is_restored_at_once_with_an_event() {
    let mut stage = Stage::with_running_demo().await;
    stage.server.edit::<Deployment>(Some(NAMESPACE), CHILD, |object| {
        object["spec"]["strategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}});
        object["spec"]["minReadySeconds"] = json!(30);
    });
    stage.reconcile().await.unwrap();
    let spec = stage.child::<Deployment>().unwrap().spec.unwrap();
    let strategy = json!(spec.strategy);
    assert_eq!(
        (strategy, spec.min_ready_seconds),
        (json!({"type": "Recreate"}), None)
    );
    assert_eq!(stage.status().phase, Some(Phase::Running));
    assert_eq!(reported(&stage, reason::DEPLOYMENT_RESTORED), 1);
    stage.server.take_calls();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.writes(), [""; 0]);
}

#[tokio::test]
async fn a_deployment_that_was_paused_starts_with_the_pod_template_of_today() {
    let mut stage = Stage::with_running_demo().await;
    stage.stop().await;
    stage.server.edit::<Deployment>(Some(NAMESPACE), CHILD, |object| {
        object["spec"]["paused"] = json!(true);
        object["metadata"]["generation"] = json!(object["metadata"]["generation"].as_i64().unwrap() + 1);
    });
    stage.edit_spec(|spec| {
        spec["desiredStatus"] = json!("Running");
        spec["port"] = json!(9000);
    });
    for _ in 0..3 {
        stage.reconcile().await.unwrap();
        stage.cluster();
    }
    let spec = stage.child::<Deployment>().unwrap().spec.unwrap();
    assert_ne!(spec.paused, Some(true));
    let container = spec.template.spec.unwrap().containers.remove(0);
    assert_eq!(container.ports.unwrap()[0].container_port, 9000);
}

#[tokio::test]
async fn a_running_workspace_that_is_scaled_up_stays_ready_with_one_event() {
    let mut stage = Stage::with_running_demo().await;
    let endpoint = stage.status().endpoint;
    next_pod(&stage);
    for replicas in [3, 1] {
        stage.server.edit::<Deployment>(Some(NAMESPACE), CHILD, |object| {
            object["spec"]["replicas"] = json!(replicas);
        });
        stage.reconcile().await.unwrap();
        let status = stage.status();
        assert_eq!(
            (status.phase, &status.endpoint),
            (Some(Phase::Running), &endpoint)
        );
    }
    assert_eq!(reported(&stage, reason::READY), 1);
    assert_eq!(reported(&stage, reason::POD_LOST), 0);
}

/// A workspace whose pod a quota refuses.
async fn refused() -> Stage {
    let mut stage = Stage::with_demo();
    stage.set_clock(|| "2026-01-01T00:01:00Z".parse().unwrap());
    stage.reconcile().await.unwrap();
    stage.server.edit::<Deployment>(Some(NAMESPACE), CHILD, |object| {
        object["status"]["conditions"] = json!([{
            "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "lastTransitionTime": "2026-01-01T00:00:50Z",
            "message": "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2",
        }]);
    });
    stage.reconcile().await.unwrap();
    stage.server.take_calls();
    stage
}

#[tokio::test(start_paused = true)]
async fn a_deployment_whose_pod_is_refused_is_touched_within_a_minute_again_until_the_pod_comes() {
    let mut stage = refused().await;
    let touches = |stage: &Stage| {
        let calls = stage.server.take_calls();
        let of_deployment = calls
            .iter()
            .filter(|call| short(call) == "PATCH deployments/workspace-demo");
        of_deployment.count()
    };
    assert_eq!(stage.status().reason.as_deref(), Some(reason::QUOTA_EXCEEDED));
    let generation = stage.child::<Deployment>().unwrap().metadata.generation;
    let clocks: [(fn() -> jiff::Timestamp, usize); 12] = [
        (|| "2026-01-01T00:01:10Z".parse().unwrap(), 0),
        (|| "2026-01-01T00:01:20Z".parse().unwrap(), 1),
        (|| "2026-01-01T00:01:49Z".parse().unwrap(), 0),
        (|| "2026-01-01T00:01:51Z".parse().unwrap(), 1),
        (|| "2026-01-01T00:02:50Z".parse().unwrap(), 0),
        (|| "2026-01-01T00:02:53Z".parse().unwrap(), 1),
        (|| "2026-01-01T00:03:52Z".parse().unwrap(), 0),
        (|| "2026-01-01T00:03:54Z".parse().unwrap(), 1),
        (|| "2026-01-01T00:04:53Z".parse().unwrap(), 0),
        (|| "2026-01-01T00:04:55Z".parse().unwrap(), 1),
        (|| "2026-01-01T00:05:54Z".parse().unwrap(), 0),
        (|| "2026-01-01T00:05:56Z".parse().unwrap(), 1),
    ];
    for (now, expected) in clocks {
        stage.set_clock(now);
        tokio::time::advance(std::time::Duration::from_secs(10)).await;
        for _ in 0..2 {
            stage.reconcile().await.unwrap();
        }
        assert_eq!(touches(&stage), expected, "{}", now());
    }
    let deployment = stage.child::<Deployment>().unwrap();
    assert_eq!(
        deployment.annotations()[names::RETRIED_AT],
        "2026-01-01T00:05:56Z"
    );
    assert_eq!(deployment.metadata.generation, generation, "no new run");
    stage.cluster();
    stage.get_ready();
    stage.set_clock(|| "2026-01-01T00:30:00Z".parse().unwrap());
    stage.reconcile().await.unwrap();
    assert_eq!((touches(&stage), stage.status().phase), (0, Some(Phase::Running)));
}
