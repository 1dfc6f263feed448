//! One pod per workspace, whose name is the lock: after deletions, evictions, a stale cache, other writers and refusals.

use std::{sync::Arc, time::Duration};

use api::{
    Workspace, WorkspaceTemplate,
    condition::{self, PROGRESSING, STOPPED, reason},
    names,
    workspace::{DesiredStatus, Phase},
};
use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use testkit::objects::{self, NAMESPACE};

use crate::{
    outages::begin,
    stage::{CHILD, POLICIES, Stage, run_id, seconds},
};

/// Somebody marks the pod of `demo` as deleted, as an eviction or `kubectl delete` does. It needs time to end.
fn delete_pod(stage: &Stage) {
    edit_pod(stage, |pod| {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:01:00Z");
    });
}

fn edit_pod(stage: &Stage, change: impl FnOnce(&mut Value)) {
    stage.server.edit::<Pod>(Some(NAMESPACE), CHILD, change);
}

fn run_of(stage: &Stage) -> String {
    run_id(&stage.child().unwrap())
}

fn reported(stage: &Stage, reason: &str) -> usize {
    stage.events().iter().filter(|it| *it == reason).count()
}

/// A pod of the workspace's name that is somebody else's.
fn foreign() -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": CHILD, "namespace": NAMESPACE, "uid": "foreign"},
        "spec": {"containers": [], "nodeName": "n"}, "status": {"phase": "Running"},
    }))
    .unwrap()
}

#[tokio::test]
async fn a_pod_deleted_in_a_run_is_followed_by_a_run_of_todays_spec_once_it_is_gone() {
    let mut stage = Stage::with_running_demo().await;
    let first = run_of(&stage);
    stage.edit_spec(|spec| spec["port"] = json!(9000));
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().pending_update, ["spec.port"]);
    delete_pod(&stage);
    for _ in 0..2 {
        stage.reconcile().await.unwrap();
        assert_eq!(run_of(&stage), first, "one pod per disk, always");
    }
    let status = stage.status();
    assert_eq!((status.phase, status.endpoint), (Some(Phase::Starting), None));
    let progressing = stage.condition(PROGRESSING);
    assert_eq!(progressing.reason, reason::PREDECESSOR_TERMINATING);
    assert!(progressing.message.contains(CHILD), "{progressing:?}");
    assert_eq!(reported(&stage, reason::POD_LOST), 1);

    stage.end_pods();
    stage.run().await;
    assert_ne!(run_of(&stage), first);
    assert_eq!(stage.status().pending_update, [""; 0]);
    assert_eq!(stage.status().endpoint.unwrap().port, 9000);
    assert_eq!(reported(&stage, reason::POD_LOST), 1);
}

#[tokio::test]
async fn a_pod_that_vanished_is_reported_and_replaced_at_once() {
    let mut stage = Stage::with_running_demo().await;
    let first = run_of(&stage);
    stage.end_pods();
    stage.reconcile().await.unwrap();
    assert_ne!(run_of(&stage), first);
    assert_eq!(stage.status().phase, Some(Phase::Starting));
    assert_eq!(reported(&stage, reason::POD_LOST), 1);
}

#[tokio::test]
async fn an_evicted_pod_is_deleted_with_its_reason_and_followed_by_another_run() {
    let mut stage = Stage::with_running_demo().await;
    let first = run_of(&stage);
    edit_pod(&stage, |pod| {
        pod["status"]["phase"] = json!("Failed");
        pod["status"]["reason"] = json!("Evicted");
        pod["status"]["message"] = json!("The node was low on resource: memory.");
    });
    stage.reconcile().await.unwrap();
    assert!(stage.child::<Pod>().is_none(), "an ended object is deleted");
    let status = stage.status();
    assert_eq!(
        (status.phase, status.reason.as_deref()),
        (Some(Phase::Starting), Some(reason::EVICTED))
    );
    assert!(status.message.unwrap().contains("low on resource: memory"));
    stage.reconcile().await.unwrap();
    assert_ne!(run_of(&stage), first);
    assert_eq!(
        stage.status().reason.as_deref(),
        Some(reason::EVICTED),
        "until the next pod is ready"
    );
    stage.cluster();
    stage.get_ready();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().phase, Some(Phase::Running));
    assert_eq!(reported(&stage, reason::EVICTED), 1);
    assert_eq!(reported(&stage, reason::POD_LOST), 0, "the eviction says it");
}

#[tokio::test]
async fn a_pod_that_no_cache_shows_is_the_run_and_gets_its_labels_back() {
    for value in [Value::Null, json!("other")] {
        let mut stage = Stage::with_running_demo().await;
        let before = stage.child::<Pod>().unwrap();
        edit_pod(&stage, |pod| {
            let labels = pod["metadata"]["labels"].as_object_mut().unwrap();
            labels.insert(names::WORKSPACE_LABEL.to_owned(), value.clone());
            labels.remove(names::RUN_ID_LABEL);
            labels.retain(|_, value| !value.is_null());
        });
        stage.reconcile().await.unwrap();
        let after = stage.child::<Pod>().unwrap();
        assert_eq!(
            (after.uid(), after.labels()),
            (before.uid(), before.labels()),
            "{value}"
        );
        stage.reconcile().await.unwrap();
        let status = stage.status();
        assert_eq!(
            (status.phase, status.run_id),
            (Some(Phase::Running), Some(run_id(&before)))
        );
        assert_eq!(reported(&stage, reason::POD_LOST), 0, "{value}");
    }
}

#[tokio::test]
async fn stopped_is_said_only_when_one_read_by_name_finds_no_pod() {
    let mut stage = Stage::with_running_demo().await;
    // Without its label no cache shows it.
    edit_pod(&stage, |pod| pod["metadata"]["labels"] = json!({}));
    stage.set(DesiredStatus::Stopped);
    stage.reconcile().await.unwrap();
    assert!(stage.is_ending() && stage.child::<Pod>().is_some());
    assert_eq!(stage.status().phase, Some(Phase::Stopping));
    stage.end_pods();
    stage.reconcile().await.unwrap();
    assert!(condition::holds(&stage.status().conditions, STOPPED));
    stage.server.take_calls();
    stage.reconcile().await.unwrap();
    assert!(stage.server.take_calls().is_empty(), "it is read once");
}

#[tokio::test]
async fn a_pod_of_somebody_else_is_a_conflict_and_stays_as_it_is() {
    let mut stage = Stage::with_demo();
    stage.server.put(&foreign());
    let before = stage.child::<Pod>().unwrap();
    for _ in 0..2 {
        stage.reconcile().await.unwrap();
        let status = stage.status();
        assert_eq!(status.reason.as_deref(), Some(reason::NAME_CONFLICT));
        let message = status.message.unwrap();
        assert!(
            message.contains(CHILD) && message.contains("delete the Pod"),
            "{message}"
        );
    }
    stage.set(DesiredStatus::Stopped);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().phase, Some(Phase::Stopped));
    assert_eq!(stage.child::<Pod>().unwrap(), before);
    stage.server.remove::<Pod>(Some(NAMESPACE), CHILD);
    stage.set(DesiredStatus::Running);
    stage.run().await;
}

#[tokio::test]
async fn a_pod_that_a_former_leader_makes_late_is_the_run_of_its_successor_or_ends() {
    let mut stage = Stage::with_demo();
    stage.reconcile().await.unwrap();
    let late = stage.child::<Pod>().unwrap();
    stage.server.remove::<Pod>(Some(NAMESPACE), CHILD);
    stage.replace_operator(None);
    stage.sync();
    // It lands after the successor has read its caches.
    stage.server.put(&late);
    stage.reconcile_unsynced("demo").await.unwrap();
    assert_eq!(stage.all::<Pod>().len(), 1);
    assert_eq!(stage.status().run_id, Some(run_id(&late)));

    stage.stop().await;
    let mut late = late;
    late.metadata.uid = Some("later".to_owned());
    late.metadata.resource_version = None;
    stage.server.put(&late);
    stage.reconcile().await.unwrap();
    assert!(stage.is_ending(), "a stopped workspace has no pod");
}

#[tokio::test]
async fn a_pod_left_by_an_orphaning_deletion_ends_before_the_network_policies() {
    let mut stage = Stage::with_running_demo().await;
    edit_pod(&stage, |pod| pod["metadata"]["ownerReferences"] = Value::Null);
    stage.delete_demo();
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        object["metadata"]["finalizers"] = json!([names::CLEANUP_FINALIZER, "orphan"]);
    });
    stage.reconcile().await.unwrap();
    assert!(stage.is_ending());
    stage.server.remove::<Workspace>(Some(NAMESPACE), "demo");
    assert!(stage.reconcile_policies().await.is_some(), "it checks again");
    assert_eq!(stage.policies(), POLICIES, "the pod is still ending");
    stage.end_pods();
    assert_eq!(stage.reconcile_policies().await, None);
    assert_eq!(stage.policies(), [""; 0]);
}

#[tokio::test]
async fn a_pod_that_breaks_a_rule_for_every_pod_is_not_made_and_the_next_right_one_is() {
    let mut stage = Stage::with_demo();
    let run_as = |stage: &mut Stage, user: i64| {
        let context = Arc::get_mut(&mut stage.context).unwrap();
        context.installation.identifiers.run_as_user = Some(user);
    };
    run_as(&mut stage, 0);
    stage.reconcile().await.unwrap();
    assert!(stage.child::<Pod>().is_none());
    let posts = stage.server.take_calls().into_iter();
    let mut posts = posts.filter(|call| call.method == Method::POST);
    assert!(posts.all(|call| !call.path.contains("/pods")));
    let status = stage.status();
    assert_eq!(
        (status.phase, status.reason.as_deref()),
        (Some(Phase::Failed), Some(reason::POD_SECURITY_VIOLATION))
    );
    let expected = "The Pod was not created: spec.securityContext.runAsUser: \"0\" is not allowed by Pod Security restricted: use a \
                    number above 0.";
    assert_eq!(status.message.as_deref(), Some(expected));
    run_as(&mut stage, 1000);
    stage.run().await;
}

#[tokio::test]
async fn a_pod_template_that_no_webhook_judged_makes_no_pod_while_it_is_bad() {
    let of_template = |container: Value, pod: Value| {
        let amounts = json!({"cpu": "10m", "memory": "16Mi"});
        let mut sidecar = json!({"name": "sidecar", "image": "r/db:1", "resources": {"limits": amounts}});
        json_patch::merge(&mut sidecar, &container);
        let mut spec = json!({"containers": [sidecar], "volumes": [{"name": "files", "emptyDir": {}}]});
        json_patch::merge(&mut spec, &pod);
        let mut template = json!(objects::template("t"));
        template["spec"]["podTemplate"] = json!({ "spec": spec });
        let stage = Stage::with_demo();
        let template: WorkspaceTemplate = serde_json::from_value(template).unwrap();
        stage.server.put(&template);
        stage.edit_spec(|spec| spec["templateRef"] = json!("t"));
        stage
    };
    for (container, pod, field) in [
        (json!({}), json!({"hostNetwork": true}), "spec.hostNetwork"),
        (
            json!({}),
            json!({"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}),
            "spec.volumes[0].hostPath",
        ),
        (
            json!({}),
            json!({"serviceAccountName": "admin"}),
            "spec.serviceAccountName",
        ),
        (
            json!({"securityContext": {"privileged": true}}),
            json!({}),
            "spec.containers[0].securityContext.privileged",
        ),
        (
            json!({"resources": null}),
            json!({}),
            "spec.containers[0].resources",
        ),
    ] {
        let mut stage = of_template(container, pod);
        stage.reconcile().await.unwrap();
        assert!(stage.child::<Pod>().is_none(), "{field}");
        let mut calls = stage.server.take_calls().into_iter();
        let is_pod =
            |call: &testkit::api_server::Call| call.method == Method::POST && call.path.contains("/pods");
        assert!(!calls.any(|call| is_pod(&call)), "{field}");
        let status = stage.status();
        assert_eq!(status.reason.as_deref(), Some(reason::RULES_VIOLATED), "{field}");
        let message = status.message.unwrap();
        assert!(message.contains(field), "{field}: {message}");
    }
    of_template(json!({}), json!({})).run().await;
}

#[tokio::test]
async fn a_refused_pod_is_the_reason_at_once_and_tried_again_within_10_seconds() {
    for (code, message, expected) in [
        (
            403,
            "pods \"workspace-demo\" is forbidden: exceeded quota: small",
            reason::QUOTA_EXCEEDED,
        ),
        (
            403,
            "pods \"workspace-demo\" is forbidden: violates PodSecurity \"restricted\": x",
            reason::POD_SECURITY_VIOLATION,
        ),
        (
            422,
            "pods \"workspace-demo\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: x",
            reason::ADMISSION_DENIED,
        ),
        (
            422,
            "Pod \"workspace-demo\" is invalid: spec.tolerations[0].operator: Unsupported value: \"Is\"",
            reason::ADMISSION_DENIED,
        ),
        (
            500,
            "Internal error occurred: failed calling webhook \"w\": no endpoints",
            reason::ADMISSION_DENIED,
        ),
    ] {
        let mut stage = Stage::with_demo();
        stage.fail(Method::POST, "pods", code, message, 2);
        for _ in 0..2 {
            let again = seconds(&stage.reconcile().await.unwrap());
            assert!(again <= 10.0, "{message}: {again}");
            let status = stage.status();
            assert_eq!(
                (status.phase, status.reason.as_deref()),
                (Some(Phase::Failed), Some(expected))
            );
            assert!(status.message.unwrap().starts_with("The Pod was refused: "));
            assert!(stage.child::<Pod>().is_none());
        }
        stage.run().await;
        assert_eq!(stage.events(), [expected, "Starting", "Ready"], "reported once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_with_another_text_each_time_is_not_tried_again_at_once() {
    let stage = Stage::with_demo();
    stage.add_finalizers();
    for port in 0..500 {
        let message =
            format!("failed calling webhook \"w\": read tcp 10.0.0.1:{port}->10.0.0.2:443: i/o timeout");
        stage.fail(Method::POST, "pods", 500, &message, 1);
    }
    let operator = begin(&stage);
    tokio::time::sleep(Duration::from_secs(10)).await;
    drop(operator);
    let writes = stage.writes();
    let tries = writes.iter().filter(|write| *write == "POST pods").count();
    assert!((2..=12).contains(&tries), "{tries}");
}
