//! Disks that name no storage class, in clusters without a default one.

use api::{condition::reason, workspace::Phase};
use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Pod, storage::v1::StorageClass};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use testkit::objects::NAMESPACE;

use super::Claim;
use crate::{routing::degraded, stage::Stage};

/// A few seconds after everything on the stage was made.
fn soon() -> Timestamp {
    "2026-01-01T00:00:05Z".parse().unwrap()
}

fn class(name: &str, is_default: bool) -> StorageClass {
    let annotations = json!({"storageclass.kubernetes.io/is-default-class": is_default.to_string()});
    serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": annotations}, "provisioner": "example.com/p",
    }))
    .unwrap()
}

/// What the cluster makes of a start whose disk is not provisioned: the claim waits, and its pod with it.
fn unprovisioned(stage: &Stage) {
    stage.cluster();
    stage
        .server
        .edit::<Claim>(Some(NAMESPACE), crate::stage::CHILD, |claim| {
            claim["spec"]["storageClassName"] = Value::Null;
            claim["status"] = json!({"phase": "Pending"});
        });
    for pod in stage.all::<Pod>() {
        stage.server.edit::<Pod>(Some(NAMESPACE), &pod.name_any(), |pod| {
            pod["status"] = json!({"phase": "Pending", "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
            }]});
        });
    }
}

#[tokio::test]
async fn a_disk_without_a_default_class_is_reported_with_a_remedy_and_binds_once_there_is_one() {
    for others in [&[][..], &["slow"]] {
        let mut stage = Stage::with_demo();
        stage.set_clock(soon);
        stage.server.remove::<StorageClass>(None, "standard");
        for other in others {
            stage.server.put(&class(other, false));
        }
        stage.reconcile().await.unwrap();
        let claim: Claim = stage.child().unwrap();
        assert_eq!(claim.spec.unwrap().storage_class_name, None);
        unprovisioned(&stage);
        for _ in 0..3 {
            stage.reconcile().await.unwrap();
        }
        assert_eq!(
            degraded(&stage),
            (
                reason::STORAGE_CLASS_NOT_FOUND.to_owned(),
                "The disk names no storage class and the cluster has no default one. Have a default made. Or delete the \
                 workspace and create it anew with spec.storage.storageClassName: the disk was never made, so no files are lost."
                    .to_owned()
            )
        );
        assert_eq!(stage.status().phase, Some(Phase::Failed));
        assert_eq!(
            stage.events(),
            [reason::STARTING, reason::STORAGE_CLASS_NOT_FOUND]
        );

        stage.writes();
        stage.server.put(&class("late", true));
        stage.reconcile().await.unwrap();
        assert_eq!(degraded(&stage).0, reason::AS_EXPECTED, "it is on its way");
        assert_eq!(stage.status().phase, Some(Phase::Starting));
        // Kubernetes writes the class into claims that wait for one.
        stage
            .server
            .edit::<Claim>(Some(NAMESPACE), crate::stage::CHILD, |claim| {
                claim["spec"]["storageClassName"] = json!("late");
                claim["status"] = json!({"phase": "Bound"});
            });
        stage.get_ready();
        stage.reconcile().await.unwrap();
        assert_eq!(stage.status().phase, Some(Phase::Running));
        let writes = stage.writes();
        assert!(
            writes
                .iter()
                .all(|write| !write.contains("persistentvolumeclaims")),
            "{writes:?}"
        );
        assert_eq!(
            stage
                .child::<Claim>()
                .unwrap()
                .spec
                .unwrap()
                .storage_class_name
                .as_deref(),
            Some("late")
        );
    }
}
