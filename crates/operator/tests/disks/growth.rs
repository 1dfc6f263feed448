//! Disks that are expanded at once, later, or never.

use api::{
    condition::reason,
    workspace::{DesiredStatus, Phase},
};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::json;

use super::Claim;
use crate::stage::Stage;

#[tokio::test]
async fn a_disk_of_a_class_that_cannot_grow_is_not_written_and_does_not_block_a_run() {
    let mut stage = Stage::with_running_demo().await;
    let fixed: StorageClass =
        serde_json::from_value(json!({"metadata": {"name": "standard"}, "provisioner": "example.com/p"}))
            .unwrap();
    stage.server.put(&fixed);
    stage.edit_spec(|spec| spec["storage"]["size"] = json!("2Gi"));
    stage.reconcile().await.unwrap();
    let status = stage.status();
    assert_eq!(
        (status.phase, status.reason.as_deref()),
        (Some(Phase::Running), Some(reason::VOLUME_RESIZE_FAILED))
    );
    assert_eq!(stage.writes(), ["PATCH workspaces/demo/status", "POST events"]);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.server.take_calls().len(), 0, "no loop");
    stage.stop().await;
    stage.set(DesiredStatus::Running);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().phase, Some(Phase::Starting));
    assert!(!stage.is_ending());

    stage.server.edit::<StorageClass>(None, "standard", |class| {
        class["allowVolumeExpansion"] = json!(true);
    });
    stage.reconcile().await.unwrap();
    let spec = stage.child::<Claim>().unwrap().spec.unwrap();
    assert_eq!(spec.resources.unwrap().requests.unwrap()["storage"].0, "2Gi");
}

#[tokio::test]
async fn a_size_below_that_of_the_disk_is_reported_as_by_the_webhook_and_does_not_block_a_run() {
    let mut stage = Stage::with_running_demo().await;
    // It was not refused: no webhook was there, or it did not see the disk.
    stage.edit_spec(|spec| spec["storage"]["size"] = json!("512Mi"));
    stage.reconcile().await.unwrap();
    let status = stage.status();
    assert_eq!(
        (status.phase, status.reason.as_deref()),
        (Some(Phase::Running), Some(reason::VOLUME_RESIZE_FAILED))
    );
    let text = r#"spec.storage.size: "512Mi" is less than the disk has, 1Gi, and a disk does not shrink: keep 1Gi, or ask for more"#;
    assert!(
        status.message.as_ref().unwrap().contains(text),
        "{:?}",
        status.message
    );
    assert_eq!(stage.writes(), ["PATCH workspaces/demo/status", "POST events"]);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.server.take_calls().len(), 0, "no loop");
    let spec = stage.child::<Claim>().unwrap().spec.unwrap();
    assert_eq!(spec.resources.unwrap().requests.unwrap()["storage"].0, "1Gi");
    stage.edit_spec(|spec| spec["storage"]["size"] = json!("1Gi"));
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().reason.as_deref(), Some("Ready"));
}

#[tokio::test]
async fn a_disk_without_a_volume_yet_grows_once_it_has_one() {
    let mut stage = Stage::with_demo();
    stage.reconcile().await.unwrap();
    stage.edit_spec(|spec| spec["storage"]["size"] = json!("2Gi"));
    stage.server.take_calls();
    stage.reconcile().await.unwrap();
    assert!(
        !stage
            .writes()
            .iter()
            .any(|line| line.contains("persistentvolumeclaims"))
    );
    stage.cluster();
    stage.reconcile().await.unwrap();
    let spec = stage.child::<Claim>().unwrap().spec.unwrap();
    assert_eq!(spec.resources.unwrap().requests.unwrap()["storage"].0, "2Gi");
}
