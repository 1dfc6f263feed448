//! Disks that a user deleted, and finalizers of other software that hold them.

use api::{
    condition::{self, DEGRADED, PROGRESSING, reason},
    workspace::DesiredStatus,
};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use serde_json::json;
use testkit::objects::NAMESPACE;

use super::{Claim, Phase};
use crate::stage::{CHILD, Stage};

const HOLDER: &str = "example.com/backup";

/// A user deletes the disk, and other software holds it.
fn delete_held(stage: &Stage) {
    stage.server.edit::<Claim>(Some(NAMESPACE), CHILD, |claim| {
        claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection", HOLDER]);
    });
}

/// Message of a condition that is true, with its reason.
fn message(stage: &Stage, type_: &str) -> (String, String) {
    let conditions = stage.status().conditions;
    let found = condition::find(&conditions, type_).filter(|it| it.status == "True");
    let found = found.unwrap();
    (found.reason.clone(), found.message.clone())
}

/// `demo`, stopped after a run on a disk with a volume.
async fn stopped() -> Stage {
    let mut stage = Stage::with_demo();
    stage.reconcile().await.unwrap();
    stage.server.edit::<Claim>(Some(NAMESPACE), CHILD, |claim| {
        claim["spec"]["volumeName"] = json!("pv-1");
    });
    stage.run().await;
    stage.stop().await;
    let conditions = stage.status().conditions;
    assert_eq!(condition::find(&conditions, DEGRADED).unwrap().status, "False");
    stage
}

#[tokio::test]
async fn a_stopped_workspace_says_that_its_disk_was_deleted_what_holds_it_and_what_follows() {
    let mut stage = stopped().await;
    let disk = stage.child::<Claim>().unwrap().uid();
    delete_held(&stage);
    for _ in 0..2 {
        stage.reconcile().await.unwrap();
    }
    let status = stage.status();
    assert_eq!(
        (status.phase, status.reason.as_deref()),
        (Some(Phase::Stopped), Some(reason::VOLUME_TERMINATING))
    );
    let said = message(&stage, DEGRADED).1;
    for part in [CHILD, HOLDER, "gets an empty disk", "kubectl patch pv pv-1"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("pvc-protection"), "{said}");
    let events = stage.events();
    assert_eq!(
        events
            .iter()
            .filter(|it| *it == reason::VOLUME_TERMINATING)
            .count(),
        1
    );

    stage.set(DesiredStatus::Running);
    stage.reconcile().await.unwrap();
    let (why, said) = message(&stage, PROGRESSING);
    assert_eq!(why, reason::PREDECESSOR_TERMINATING);
    assert!(said.contains(HOLDER), "{said}");
    assert_eq!(stage.status().phase, Some(Phase::Starting));
    assert!(
        stage.child::<k8s_openapi::api::core::v1::Pod>().is_none(),
        "no pod is made before the disk is gone"
    );
    stage.set(DesiredStatus::Stopped);
    stage.reconcile().await.unwrap();

    stage.server.remove::<Claim>(Some(NAMESPACE), CHILD);
    stage.reconcile().await.unwrap();
    assert_ne!(stage.child::<Claim>().unwrap().uid(), disk);
    let said = stage.status().message.unwrap();
    assert!(said.contains("Its disk is a new, empty one"), "{said}");
    assert_eq!(stage.status().phase, Some(Phase::Stopped));
}

#[tokio::test]
async fn a_deletion_names_the_finalizer_that_holds_the_disk() {
    for finalizers in [
        json!(["kubernetes.io/pvc-protection", HOLDER]),
        json!(["kubernetes.io/pvc-protection"]),
    ] {
        let mut stage = Stage::with_running_demo().await;
        stage
            .server
            .edit::<PersistentVolumeClaim>(Some(NAMESPACE), CHILD, |claim| {
                claim["metadata"]["finalizers"] = finalizers.clone();
            });
        stage.delete_demo();
        for _ in 0..3 {
            stage.reconcile().await.unwrap();
            stage.end_pods();
        }
        let (why, said) = message(&stage, PROGRESSING);
        assert_eq!(why, reason::DELETING);
        assert!(said.contains("disk"), "{said}");
        let is_foreign = finalizers.as_array().unwrap().len() > 1;
        assert_eq!(
            said.contains("disk (held by the finalizer example.com/backup)"),
            is_foreign,
            "{said}"
        );
        assert!(!said.contains("pvc-protection"), "{said}");
    }
}
