//! Deletion of a workspace: which objects are deleted, in which order, and what delays it.

use api::{Workspace, names, workspace::Phase};
use http::Method;
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{PersistentVolumeClaim, Pod},
    networking::v1::NetworkPolicy,
};
use kube::ResourceExt as _;
use serde_json::json;
use testkit::objects::NAMESPACE;

use crate::stage::{CHILD, Stage, short};

#[tokio::test]
async fn a_delete_removes_the_children_first_and_the_network_policy_after_the_last_pod() {
    let mut stage = Stage::with_running_demo().await;
    stage.delete_demo();
    stage.reconcile().await.unwrap();
    let calls = stage.server.take_calls();
    let mut deleted: Vec<_> = calls
        .iter()
        .filter(|call| call.method == Method::DELETE)
        .map(short)
        .collect();
    deleted.sort();
    assert_eq!(
        deleted,
        [
            "DELETE deployments/workspace-demo",
            "DELETE persistentvolumeclaims/workspace-demo",
            "DELETE services/workspace-demo",
        ]
    );
    assert!(
        calls
            .iter()
            .filter(|call| call.method == Method::DELETE)
            .all(|call| {
                call.body["preconditions"]["uid"].is_string()
                    && call.body["propagationPolicy"] == "Background"
            }),
        "what the Deployment made is known, and waited for"
    );
    let status = stage.status();
    assert_eq!((status.phase, status.endpoint), (Some(Phase::Deleting), None));

    stage.reconcile().await.unwrap();
    assert_eq!(
        stage.writes(),
        Vec::<String>::new(),
        "nothing is deleted twice or reported twice"
    );

    stage.collect_garbage();
    stage.reconcile().await.unwrap();
    assert_eq!(
        stage.writes(),
        ["DELETE networkpolicies/workspace-demo", "PATCH workspaces/demo"]
    );
    assert!(stage.all::<Workspace>().is_empty());
    assert!(stage.all::<PersistentVolumeClaim>().is_empty());
    assert!(stage.all::<NetworkPolicy>().is_empty());
}

#[tokio::test]
async fn a_child_reported_gone_is_not_deleted_or_read_again_while_the_caches_lag() {
    let mut stage = Stage::with_running_demo().await;
    stage.delete_demo();
    stage.reconcile().await.unwrap();
    stage.server.take_calls();
    // The caches show all children still.
    stage.reconcile_unsynced("demo").await.unwrap();
    assert!(stage.server.take_calls().is_empty());
    stage.collect_garbage();
    stage.reconcile().await.unwrap();
    let calls: Vec<String> = stage.server.take_calls().iter().map(short).collect();
    assert_eq!(
        calls,
        [
            "GET replicasets",
            "GET pods",
            "DELETE networkpolicies/workspace-demo",
            "PATCH workspaces/demo"
        ]
    );
    assert!(stage.all::<Workspace>().is_empty());
}

#[tokio::test]
async fn a_deployment_that_took_the_place_of_the_one_that_is_gone_is_deleted_as_well() {
    let mut stage = Stage::with_running_demo().await;
    let first: Deployment = stage.child().unwrap();
    stage.delete_demo();
    stage.reconcile().await.unwrap();
    let mut second = first;
    second.metadata.uid = Some("second".to_owned());
    second.metadata.resource_version = None;
    stage.server.put(&second);
    stage.collect_garbage();
    stage.reconcile().await.unwrap();
    let second: Deployment = stage.child().unwrap();
    assert!(second.metadata.deletion_timestamp.is_some());
    stage.collect_garbage();
    stage.reconcile().await.unwrap();
    assert!(stage.all::<Workspace>().is_empty());
}

#[tokio::test]
async fn a_status_written_meanwhile_does_not_hold_up_the_release_of_a_workspace_but_a_new_finalizer_does() {
    let mut stage = Stage::with_demo();
    stage.delete_demo();
    stage.sync();
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        object["metadata"]["finalizers"] = json!([names::CLEANUP_FINALIZER, "example.com/other"]);
    });
    stage.reconcile_unsynced("demo").await.unwrap_err();
    stage.sync();
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        object["status"]["phase"] = json!("Deleting");
    });
    stage.reconcile_unsynced("demo").await.unwrap();
    assert_eq!(stage.workspace().finalizers(), ["example.com/other"]);
}

#[tokio::test]
async fn a_deleted_workspace_that_only_anothers_finalizer_holds_does_not_run_on() {
    let mut stage = Stage::with_running_demo().await;
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        object["metadata"]["finalizers"] = json!([names::CLEANUP_FINALIZER, "example.com/other"]);
    });
    stage.delete_demo();
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        object["metadata"]["finalizers"] = json!(["example.com/other"]);
    });
    stage.reconcile().await.unwrap();
    assert_eq!(stage.writes(), ["DELETE deployments/workspace-demo"]);
    stage.collect_garbage();
    assert!(stage.all::<Pod>().is_empty());
    stage.reconcile().await.unwrap();
    assert_eq!(stage.writes(), Vec::<String>::new());
    assert_eq!(stage.workspace().finalizers(), ["example.com/other"]);
    assert_eq!(
        stage.all::<NetworkPolicy>().len(),
        1,
        "the policy stands until the workspace is gone"
    );
}

#[tokio::test]
async fn a_workspace_that_never_had_children_goes_at_once() {
    let mut stage = Stage::with_demo();
    stage.delete_demo();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.writes(), ["PATCH workspaces/demo"]);
    assert!(stage.all::<Workspace>().is_empty());
}

/// How the Deployment of `demo` is deleted when something of it is not as usual.
async fn propagation(prepare: impl FnOnce(&Stage)) -> serde_json::Value {
    let mut stage = Stage::with_running_demo().await;
    prepare(&stage);
    stage.delete_demo();
    stage.reconcile().await.unwrap();
    let calls = stage.server.take_calls();
    let mut deleted = calls.iter().filter(|call| call.method == Method::DELETE);
    let deployment = deleted.find(|call| call.path.contains("deployments")).unwrap();
    let propagation = deployment.body["propagationPolicy"].clone();
    stage.collect_garbage();
    stage.reconcile().await.unwrap();
    assert!(stage.all::<Workspace>().is_empty());
    propagation
}

#[tokio::test]
async fn a_deployment_is_deleted_in_the_foreground_unless_all_its_objects_are_labelled() {
    assert_eq!(propagation(|_| {}).await, "Background");
    let unsettled = |stage: &Stage| {
        stage.server.edit::<Deployment>(Some("team"), CHILD, |object| {
            object["status"]["observedGeneration"] = json!(0);
        });
    };
    assert_eq!(
        propagation(unsettled).await,
        "Foreground",
        "it may still make a replica set"
    );
    let unmade = |stage: &Stage| {
        for set in stage.all::<ReplicaSet>() {
            stage
                .server
                .remove::<ReplicaSet>(Some("team"), &set.metadata.name.unwrap_or_default());
        }
    };
    assert_eq!(
        propagation(unmade).await,
        "Foreground",
        "its replica set is not there"
    );
    let stale = |stage: &Stage| {
        for set in stage.all::<ReplicaSet>() {
            let name = set.metadata.name.unwrap_or_default();
            stage.server.edit::<ReplicaSet>(Some("team"), &name, |object| {
                object["metadata"]["labels"][names::RUN_ID_LABEL] = json!("another");
            });
        }
    };
    assert_eq!(
        propagation(stale).await,
        "Foreground",
        "that of its run is not there"
    );
    let unmarked = |stage: &Stage| {
        for pod in stage.all::<Pod>() {
            let name = pod.metadata.name.unwrap_or_default();
            stage.server.edit::<Pod>(Some("team"), &name, |object| {
                object["metadata"]["annotations"] = serde_json::Value::Null;
            });
        }
    };
    assert_eq!(
        propagation(unmarked).await,
        "Foreground",
        "a pod without our mark"
    );
}

#[tokio::test]
async fn an_orphaned_replica_set_is_waited_for_and_reported_with_a_remedy() {
    let mut stage = Stage::with_running_demo().await;
    stage.orphan();
    stage.delete_demo();
    for _ in 0..2 {
        stage.reconcile().await.unwrap();
    }
    let message = stage.status().message.unwrap();
    let way_out = "kubectl delete -n team replicaset/workspace-demo-5d8f";
    assert!(message.contains(way_out), "{message}");
    assert_eq!(stage.all::<NetworkPolicy>().len(), 1, "its pod stays walled in");
    stage.collect_garbage();
    stage.reconcile().await.unwrap();
    assert!(stage.all::<Workspace>().is_empty());
}
