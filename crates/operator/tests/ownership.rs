//! The operator never writes or deletes objects that it does not own.

use api::{Workspace, condition::reason, workspace::Phase};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use serde_json::json;
use testkit::objects::NAMESPACE;

use crate::stage::{CHILD, Stage};

/// Another client's Service with the name of our child, without our labels: no cache contains it.
fn foreign_service() -> Service {
    serde_json::from_value(json!({
        "metadata": {"name": CHILD, "namespace": NAMESPACE, "uid": "foreign"},
        "spec": {"ports": [{"port": 1}], "selector": {"app": "theirs"}},
    }))
    .unwrap()
}

/// The disk of an earlier workspace of the name.
fn disk_of_predecessor(terminating: bool) -> PersistentVolumeClaim {
    serde_json::from_value(json!({
        "metadata": {
            "name": CHILD, "namespace": NAMESPACE, "uid": "old-disk",
            "labels": {api::names::WORKSPACE_LABEL: "demo"},
            "deletionTimestamp": terminating.then_some("2026-01-01T00:00:00Z"),
            "finalizers": ["kubernetes.io/pvc-protection"],
            "ownerReferences": [{
                "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "Workspace", "name": "demo",
                "uid": "predecessor", "controller": true,
            }],
        },
    }))
    .unwrap()
}

#[tokio::test]
async fn a_foreign_object_of_our_name_is_left_alone_and_reported() {
    let mut stage = Stage::with_service();
    stage.server.put(&foreign_service());
    stage.reconcile().await.unwrap();
    let status = stage.status();
    assert_eq!(
        (status.phase, status.reason.as_deref()),
        (Some(Phase::Failed), Some(reason::NAME_CONFLICT))
    );
    assert!(status.message.unwrap().contains("Service named workspace-demo"));
    assert!(stage.child::<Pod>().is_none(), "no pod without its surroundings");
    let service = stage.child::<Service>().unwrap();
    assert_eq!(service.spec.unwrap().selector.unwrap()["app"], "theirs");
    assert_eq!(service.metadata.owner_references, None);

    stage.server.remove::<Service>(Some(NAMESPACE), CHILD);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().phase, Some(Phase::Starting));
}

#[tokio::test]
async fn a_predecessors_disk_that_stays_is_a_conflict() {
    let mut stage = Stage::with_demo();
    stage.server.put(&disk_of_predecessor(false));
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().reason.as_deref(), Some(reason::NAME_CONFLICT));
}

#[tokio::test]
async fn a_delete_leaves_foreign_objects_alone_and_does_not_wait_for_them() {
    let mut stage = Stage::with_service();
    stage.server.put(&foreign_service());
    stage.server.put(&disk_of_predecessor(false));
    stage.reconcile().await.unwrap();
    stage.delete_demo();
    for _ in 0..3 {
        if !stage.all::<Workspace>().is_empty() {
            stage.reconcile().await.unwrap();
            stage.collect_garbage();
        }
    }
    assert!(stage.all::<Workspace>().is_empty());
    assert!(stage.child::<Service>().is_some());
    assert!(stage.child::<PersistentVolumeClaim>().is_some());
}
