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
