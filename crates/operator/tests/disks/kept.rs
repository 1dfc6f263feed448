//! Retained disks of deleted workspaces, and the users who may use them again.

use api::{
    Workspace,
    condition::{PROGRESSING, reason},
    names,
};
use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;
use testkit::{api_server::Disruption, objects::NAMESPACE};

use super::{Claim, Phase, claim, delete_workspace, with_kept_disk, workspace};
use crate::stage::{CHILD, Stage};

#[tokio::test]
async fn a_retained_disk_has_no_owner_reference_and_records_its_owner() {
    let stage = with_kept_disk().await;
    let disk = stage.child::<Claim>().unwrap();
    assert_eq!(disk.owner_references(), []);
    let annotation = |key: &str| disk.annotations().get(key).map(String::as_str);
    assert_eq!(annotation(names::CREATED_BY), Some("alice"));
    assert_eq!(annotation(names::WORKSPACE_UID), Some("first"));
    assert_eq!(annotation(names::WORKSPACE_LABEL), Some("demo"));
    assert!(stage.events().contains(&reason::DISK_KEPT.to_owned()));
    assert!(stage.all::<Pod>().is_empty());
}

#[tokio::test]
async fn a_disk_to_be_kept_never_has_an_owner_that_a_foreground_deletion_could_take_it_with() {
    let mut stage = Stage::new();
    let storage = json!({"size": "1Gi", "retain": "Retain"});
    stage.server.put(&workspace("first", "alice", &storage));
    stage.reconcile().await.unwrap();
    assert_eq!(stage.child::<Claim>().unwrap().owner_references(), []);
    // Should it go by hand, it comes back the same way; and it is not written for having no owner.
    stage.cluster();
    stage.get_ready();
    stage.reconcile().await.unwrap();
    stage.server.take_calls();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.server.take_calls().len(), 0);
}

#[tokio::test]
async fn its_owner_gets_a_retained_disk_back_with_one_write_and_an_event() {
    let mut stage = with_kept_disk().await;
    let kept = stage.child::<Claim>().unwrap();
    stage
        .server
        .put(&workspace("second", "alice", &json!({"size": "1Gi"})));
    stage.reconcile().await.unwrap();
    let disk = stage.child::<Claim>().unwrap();
    assert_eq!(disk.uid(), kept.uid(), "the same files");
    assert_eq!(disk.owner_references()[0].uid, "second");
    assert_eq!(disk.annotations()[names::WORKSPACE_UID], "second");
    let writes = stage.writes();
    let to_disk = writes
        .iter()
        .filter(|line| line.contains("persistentvolumeclaims"));
    assert_eq!(to_disk.count(), 1, "{writes:?}");
    assert!(stage.events().contains(&reason::DISK_TAKEN_OVER.to_owned()));
    stage.run().await;
    delete_workspace(&mut stage).await;
    assert!(
        stage.all::<Claim>().is_empty(),
        "the second one does not keep its disk"
    );
}

#[tokio::test]
async fn another_owner_gets_neither_a_retained_nor_a_new_disk_until_the_claim_is_assigned() {
    let mut stage = with_kept_disk().await;
    let kept = stage.child::<Claim>().unwrap();
    stage
        .server
        .put(&workspace("second", "bob", &json!({"size": "1Gi"})));
    for _ in 0..3 {
        stage.reconcile().await.unwrap();
    }
    let status = stage.status();
    assert_eq!(
        (status.phase, status.reason.as_deref()),
        (
            Some(Phase::Failed),
            Some(reason::RETAINED_VOLUME_OF_ANOTHER_OWNER)
        )
    );
    assert!(
        !status.message.unwrap().contains("alice"),
        "whose it is stays unsaid"
    );
    assert_eq!(stage.child::<Claim>().unwrap(), kept);
    assert!(stage.child::<Pod>().is_none());
    assert_eq!(stage.all::<Claim>().len(), 1);

    stage.server.edit::<Claim>(Some(NAMESPACE), CHILD, |claim| {
        claim["metadata"]["annotations"][names::CREATED_BY] = json!("bob");
    });
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().phase, Some(Phase::Starting));
    assert_eq!(stage.child::<Claim>().unwrap().uid(), kept.uid());
}

#[tokio::test]
async fn the_deletion_of_a_workspace_that_was_refused_a_disk_leaves_the_disk() {
    let mut stage = with_kept_disk().await;
    let kept = stage.child::<Claim>().unwrap();
    stage
        .server
        .put(&workspace("second", "bob", &json!({"size": "1Gi"})));
    stage.reconcile().await.unwrap();
    delete_workspace(&mut stage).await;
    assert_eq!(stage.child::<Claim>().unwrap(), kept);
}

#[tokio::test]
async fn a_disk_whose_owner_changes_at_the_last_moment_is_not_taken_over() {
    let mut stage = with_kept_disk().await;
    stage
        .server
        .put(&workspace("second", "alice", &json!({"size": "1Gi"})));
    stage.server.disrupt(
        Method::PATCH,
        "persistentvolumeclaims",
        Disruption::Meanwhile(Box::new(|server| {
            server.edit::<Claim>(Some(NAMESPACE), CHILD, |claim| {
                claim["metadata"]["annotations"][names::CREATED_BY] = json!("carol");
            });
        })),
    );
    stage.reconcile().await.unwrap_err();
    stage.reconcile().await.unwrap();
    assert_eq!(
        stage.status().reason.as_deref(),
        Some(reason::RETAINED_VOLUME_OF_ANOTHER_OWNER)
    );
    assert_eq!(stage.child::<Claim>().unwrap().owner_references(), []);
}

#[tokio::test]
async fn a_retained_disk_that_no_cache_shows_is_found_and_checked() {
    let mut stage = with_kept_disk().await;
    stage
        .server
        .put(&workspace("second", "bob", &json!({"size": "1Gi"})));
    // Without the label, no watch reports it.
    stage.server.edit::<Claim>(Some(NAMESPACE), CHILD, |claim| {
        claim["metadata"]["labels"] = json!({});
    });
    stage.reconcile().await.unwrap();
    assert_eq!(
        stage.status().reason.as_deref(),
        Some(reason::RETAINED_VOLUME_OF_ANOTHER_OWNER)
    );
    assert!(stage.child::<Pod>().is_none());
}

#[tokio::test]
async fn a_claim_with_forged_marks_gives_no_access_to_another_s_files() {
    // Marks of alice's running workspace on a claim of mallory's, whatever its name: hers stays as it is.
    let mut stage = Stage::with_running_demo().await;
    let disk = stage.child::<Claim>().unwrap();
    let mut forged = claim("workspace-mallory", "ReadWriteOnce");
    forged.metadata.annotations = disk.metadata.annotations.clone();
    forged.metadata.labels = disk.metadata.labels.clone();
    stage.server.put(&forged);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.child::<Claim>().unwrap(), disk);
    stage.delete_demo();
    stage.reconcile().await.unwrap();
    let left = stage.server.get::<Claim>(Some(NAMESPACE), "workspace-mallory");
    assert!(left.is_some(), "it is not deleted with hers either");
}

#[tokio::test]
async fn a_change_of_owner_is_recorded_on_the_disk_and_the_next_owner_gets_it() {
    let mut stage = Stage::new();
    let storage = json!({"size": "1Gi", "retain": "Retain"});
    stage.server.put(&workspace("first", "alice", &storage));
    stage.run().await;
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        object["metadata"]["annotations"][names::CREATED_BY] = json!("bob");
    });
    stage.reconcile().await.unwrap();
    assert_eq!(
        names::owner(&stage.child::<Claim>().unwrap().metadata),
        Some("bob")
    );
    delete_workspace(&mut stage).await;
    stage.server.put(&workspace("second", "alice", &storage));
    stage.reconcile().await.unwrap();
    assert_eq!(
        stage.status().reason.as_deref(),
        Some(reason::RETAINED_VOLUME_OF_ANOTHER_OWNER)
    );
}

#[tokio::test]
async fn a_change_of_owner_that_the_cache_does_not_show_yet_delays_the_deletion() {
    let mut stage = Stage::new();
    let storage = json!({"size": "1Gi", "retain": "Retain"});
    stage.server.put(&workspace("first", "alice", &storage));
    stage.run().await;
    stage.delete_demo();
    stage.reconcile().await.unwrap();
    stage.collect_garbage();
    stage.sync();
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        object["metadata"]["annotations"][names::CREATED_BY] = json!("bob");
    });
    stage.reconcile_unsynced("demo").await.unwrap_err();
    stage.reconcile().await.unwrap();
    assert!(stage.all::<Workspace>().is_empty());
    assert_eq!(
        names::owner(&stage.child::<Claim>().unwrap().metadata),
        Some("bob")
    );
}

#[tokio::test]
async fn a_predecessor_s_terminating_disk_is_waited_for_and_never_taken_over() {
    let mut stage = with_kept_disk().await;
    stage.server.edit::<Claim>(Some(NAMESPACE), CHILD, |claim| {
        claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
    });
    stage
        .server
        .put(&workspace("second", "alice", &json!({"size": "1Gi"})));
    stage.reconcile().await.unwrap();
    let progressing = stage.condition(PROGRESSING);
    assert_eq!(progressing.reason, reason::PREDECESSOR_TERMINATING);
    stage.server.remove::<Claim>(Some(NAMESPACE), CHILD);
    stage.reconcile().await.unwrap();
    assert_eq!(
        stage.child::<Claim>().unwrap().owner_references()[0].uid,
        "second"
    );
}
