//! Disks that are expanded at once, later, or never.

use api::{
    condition::reason,
    workspace::{DesiredStatus, Phase},
};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::json;

use super::Claim;
use crate::stage::Stage;

fn class_and_size(claim: Claim) -> (Option<String>, String) {
    let spec = claim.spec.unwrap();
    let size = spec.resources.unwrap().requests.unwrap()["storage"].0.clone();
    (spec.storage_class_name, size)
}

#[tokio::test]
async fn a_disk_that_never_had_a_volume_gets_the_corrected_class_and_a_bound_one_stays() {
    for bound in [false, true] {
        let mut stage = Stage::new();
        let storage = json!({"size": "2Gi", "storageClassName": "nope"});
        stage.server.put(&super::workspace("u", "alice", &storage));
        stage.reconcile().await.unwrap();
        let made = stage.child::<Claim>().unwrap();
        stage
            .server
            .edit::<Claim>(Some(testkit::objects::NAMESPACE), "workspace-demo", |claim| {
                claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
                if bound {
                    claim["spec"]["volumeName"] = json!("pv-1");
                }
                claim["status"]["phase"] = json!(if bound { "Bound" } else { "Pending" });
            });
        stage.edit_spec(|spec| spec["storage"] = json!({"size": "1Gi", "storageClassName": "standard"}));
        stage.reconcile().await.unwrap();
        stage.collect_garbage();
        for _ in 0..2 {
            stage.reconcile().await.unwrap();
        }
        let now = stage.child::<Claim>().unwrap();
        let is_the_same = now.metadata.uid == made.metadata.uid;
        let expected = if bound {
            ("nope", "2Gi")
        } else {
            ("standard", "1Gi")
        };
        let (class, size) = class_and_size(now);
        assert_eq!((class.as_deref(), size.as_str()), (Some(expected.0), expected.1));
        assert_eq!(is_the_same, bound);
        stage.server.take_calls();
        stage.reconcile().await.unwrap();
        assert_eq!(stage.writes(), [""; 0], "no loop");
        if bound {
            assert_eq!(
                stage.status().reason.as_deref(),
                Some(reason::VOLUME_RESIZE_FAILED)
            );
        }
    }
}

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
