//! Deletion of a workspace: which objects are deleted, in which order, and what delays it.

use api::{Workspace, names, workspace::Phase};
use http::Method;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use serde_json::json;
use testkit::objects::NAMESPACE;

use crate::stage::{POLICIES, Stage, short};

#[tokio::test]
async fn a_delete_removes_the_children_first_and_the_last_one_of_a_namespace_its_network_policies() {
    let mut stage = Stage::with_service();
    stage.run().await;
    stage.server.take_calls();
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
            "DELETE persistentvolumeclaims/workspace-demo",
            "DELETE pods/workspace-demo",
            "DELETE services/workspace-demo",
        ]
    );
    assert!(
        calls
            .iter()
            .filter(|call| call.method == Method::DELETE)
            .all(|call| {
                call.body["preconditions"]["uid"].is_string() && call.body["gracePeriodSeconds"].is_null()
            }),
        "its own objects, and never by force"
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
    assert_eq!(stage.writes(), ["PATCH workspaces/demo"]);
    assert_eq!(stage.policies(), POLICIES);
    assert!(stage.all::<Workspace>().is_empty());
    assert_eq!(stage.reconcile_policies().await, None);
    assert!(stage.all::<PersistentVolumeClaim>().is_empty());
    assert_eq!(stage.policies(), [""; 0]);
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
    stage.fail(Method::DELETE, "pods", 403, "not on Fridays", 1);
    stage.reconcile().await.unwrap();
    assert!(!stage.is_ending());
    stage.writes();
    // It is tried again.
    stage.reconcile().await.unwrap();
    assert!(stage.is_ending());
    assert!(stage.writes().contains(&"DELETE pods/workspace-demo".to_owned()));
    stage.collect_garbage();
    assert!(stage.all::<Pod>().is_empty());
    stage.reconcile().await.unwrap();
    assert_eq!(stage.writes(), Vec::<String>::new());
    assert_eq!(stage.workspace().finalizers(), ["example.com/other"]);
    stage.reconcile_policies().await;
    assert_eq!(stage.policies(), POLICIES, "until the workspace is gone");
}

#[tokio::test]
async fn a_workspace_that_never_had_children_goes_at_once() {
    let mut stage = Stage::with_demo();
    stage.delete_demo();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.writes(), ["PATCH workspaces/demo"]);
    assert!(stage.all::<Workspace>().is_empty());
}
