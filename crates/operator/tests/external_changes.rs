//! External changes of children, and changes of a run that has not started.

use api::{
    Workspace,
    condition::reason,
    names,
    workspace::{DesiredStatus, Phase},
};
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, Pod},
    events::v1::Event,
};
use serde_json::json;
use testkit::objects::{NAMESPACE, OWNER};

use crate::stage::{CHILD, Stage, run_id};

type Claim = PersistentVolumeClaim;

/// Kubernetes holds a deleted claim for as long as a pod uses it.
fn delete_disk(stage: &Stage) {
    stage.server.edit::<Claim>(Some(NAMESPACE), CHILD, |claim| {
        claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
    });
}

/// A stage whose workspace runs on a disk with a volume.
async fn with_volume() -> Stage {
    let mut stage = Stage::with_running_demo().await;
    stage.server.edit::<Claim>(Some(NAMESPACE), CHILD, |claim| {
        claim["spec"]["volumeName"] = json!("pv-1");
    });
    stage.reconcile().await.unwrap();
    stage.server.take_calls();
    stage
}

#[tokio::test]
async fn a_terminating_disk_is_released_only_by_an_explicit_restart_or_stop() {
    for started in [true, false] {
        let mut stage = with_volume().await;
        if !started {
            stage.stop().await;
            stage.set(DesiredStatus::Running);
            stage.reconcile().await.unwrap();
            stage.cluster();
        }
        delete_disk(&stage);
        stage.edit_spec(|spec| {
            spec["updatePolicy"] = json!("Always");
            spec["port"] = json!(9000);
        });
        for _ in 0..3 {
            stage.reconcile().await.unwrap();
        }
        assert!(!stage.is_ending(), "started: {started}");
        assert_eq!(stage.status().pending_update, ["spec.port"]);
        stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
            object["metadata"]["annotations"][names::RESTARTED_AT] = json!("2026-01-01T00:00:00Z");
        });
        stage.reconcile().await.unwrap();
        assert!(stage.is_ending(), "started: {started}");
    }
}

#[tokio::test]
async fn a_run_in_which_nothing_has_started_takes_a_change_at_once() {
    let mut stage = Stage::with_demo();
    stage.edit_spec(|spec| spec["image"] = json!("example.com/typo:1"));
    stage.reconcile().await.unwrap();
    stage.cluster();
    stage.reconcile().await.unwrap();
    let first = run_id(&stage.child().unwrap());
    stage.edit_spec(|spec| spec["image"] = json!("example.com/right:1"));
    stage.reconcile().await.unwrap();
    assert!(stage.is_ending(), "one pod per disk, always");
    stage.cluster();
    stage.reconcile().await.unwrap();
    assert_eq!(run_id(&stage.child().unwrap()), first, "the pod is not gone yet");
    stage.end_pods();
    stage.reconcile().await.unwrap();
    let pod = stage.child::<Pod>().unwrap();
    let image = pod.spec.unwrap().containers[0].image.clone();
    assert_eq!(image.as_deref(), Some("example.com/right:1"));
    assert_ne!(run_id(&stage.child().unwrap()), first);
    stage.cluster();
    stage.get_ready();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().phase, Some(Phase::Running));
    assert!(stage.status().started_at.is_some());
}

#[tokio::test]
async fn each_change_of_owner_is_an_event_with_its_own_names() {
    let mut stage = Stage::with_running_demo().await;
    for owner in ["bob", "carol"] {
        stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
            object["metadata"]["annotations"][names::CREATED_BY] = json!(owner);
        });
        stage.reconcile().await.unwrap();
    }
    let mut notes: Vec<_> = stage
        .all::<Event>()
        .into_iter()
        .filter(|event| event.reason.as_deref() == Some(reason::HANDED_OVER))
        .filter_map(|event| event.note)
        .collect();
    notes.sort();
    let note =
        |now: &str, before: &str| format!("The workspace belongs to {now:?} now; it belonged to {before:?}.");
    assert_eq!(notes, [note("bob", OWNER), note("carol", "bob")]);
}
