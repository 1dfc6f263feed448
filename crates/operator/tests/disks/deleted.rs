//! Disks that a user deleted, and finalizers of other software that hold them.

use api::condition::{PROGRESSING, reason};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::json;
use testkit::objects::NAMESPACE;

use crate::stage::{CHILD, Stage};

const HOLDER: &str = "example.com/backup";

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
        let progressing = stage.condition(PROGRESSING);
        let said = progressing.message;
        assert_eq!(
            (progressing.status.as_str(), progressing.reason.as_str()),
            ("True", reason::DELETING)
        );
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
