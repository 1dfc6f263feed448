//! A network policy remains until the last pod that it isolates ends, whatever is deleted.

use std::time::Duration;

use api::{Workspace, names};
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, Pod},
    networking::v1::NetworkPolicy,
};
use kube::{Resource, ResourceExt as _};
use operator::controllers::orphans;
use serde::de::DeserializeOwned;
use serde_json::json;
use testkit::objects::{self, NAMESPACE};

use crate::stage::{CHILD, Stage};

/// What the garbage collector takes when `demo` is deleted, in the foreground or for good: all that names it as an owner, and
/// what made the pods, which get their time to end.
fn collect_dependents(stage: &Stage) {
    fn take<K: Resource<DynamicType = ()> + DeserializeOwned>(stage: &Stage) {
        for object in stage.all::<K>() {
            if object
                .owner_references()
                .iter()
                .any(|owner| owner.uid == "uid-of-demo")
            {
                stage.server.remove::<K>(Some(NAMESPACE), &object.name_any());
            }
        }
    }
    take::<PersistentVolumeClaim>(stage);
    take::<NetworkPolicy>(stage);
    for pod in stage.all::<Pod>() {
        stage
            .server
            .edit::<Pod>(Some(NAMESPACE), &pod.name_any(), |object| {
                object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:01:00Z");
            });
    }
}

async fn reconcile_orphans(stage: &mut Stage) -> Option<Duration> {
    stage.sync();
    orphans::reconcile(&stage.context).await
}

#[tokio::test]
async fn a_foreground_deletion_removes_the_network_policy_only_after_the_last_pod() {
    let mut stage = Stage::with_running_demo().await;
    stage.delete_demo();
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        object["metadata"]["finalizers"] = json!([names::CLEANUP_FINALIZER, "foregroundDeletion"]);
    });
    collect_dependents(&stage);
    stage.reconcile().await.unwrap();
    assert_eq!(reconcile_orphans(&mut stage).await, None);
    assert!(
        stage.child::<NetworkPolicy>().is_some(),
        "the pod is still ending"
    );
    stage.end_pods();
    stage.reconcile().await.unwrap();
    assert!(stage.child::<NetworkPolicy>().is_none());
    assert_eq!(stage.workspace().finalizers(), ["foregroundDeletion"]);
}

#[tokio::test]
async fn an_orphaned_network_policy_is_deleted_after_the_last_pod() {
    let mut stage = Stage::with_running_demo().await;
    stage.server.remove::<Workspace>(Some(NAMESPACE), "demo");
    collect_dependents(&stage);
    assert!(reconcile_orphans(&mut stage).await.is_some(), "it checks again");
    assert!(
        stage.child::<NetworkPolicy>().is_some(),
        "the pod is still ending"
    );
    stage.end_pods();
    assert_eq!(reconcile_orphans(&mut stage).await, None);
    assert!(stage.child::<NetworkPolicy>().is_none());
}

#[tokio::test]
async fn network_policies_with_a_workspace_and_foreign_ones_stay() {
    let mut stage = Stage::with_running_demo().await;
    reconcile_orphans(&mut stage).await;
    assert_eq!(stage.server.take_calls().len(), 0, "the cache shows it");
    stage.end_pods();
    stage.server.remove::<Workspace>(Some(NAMESPACE), "demo");
    stage.sync();
    // The cache lags behind: it shows no workspace, and there is one.
    stage.server.put(&objects::workspace("demo"));
    stage.server.remove::<Pod>(Some(NAMESPACE), CHILD);
    let stray: NetworkPolicy = serde_json::from_value(json!({
        "metadata": {"name": "theirs", "namespace": NAMESPACE, "uid": "x",
            "labels": {names::WORKSPACE_LABEL: "gone"}, "annotations": {names::WORKSPACE_UID: "gone"}},
    }))
    .unwrap();
    stage.server.put(&stray);
    stage.sync_one(6);
    assert!(orphans::reconcile(&stage.context).await.is_some());
    assert_eq!(stage.all::<NetworkPolicy>().len(), 2);
}
