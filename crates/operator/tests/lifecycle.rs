//! Start, stop, resume, change.

use api::{
    condition::{self, PROGRESSING, STOPPED, reason},
    names,
    workspace::{AccessType, DesiredStatus, Phase},
};
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, Pod, Service},
    events::v1::Event as StoredEvent,
    networking::v1::NetworkPolicy,
};
use kube::ResourceExt as _;
use serde_json::json;
use testkit::objects;

use crate::stage::{CHILD, POLICIES, Stage, run_id};

#[tokio::test]
async fn a_stop_keeps_the_disk_and_reports_stopped_only_when_the_last_pod_is_gone() {
    let mut stage = Stage::with_service();
    stage.run().await;
    let disk = stage.child::<PersistentVolumeClaim>().unwrap().uid();
    stage.set(DesiredStatus::Stopped);
    stage.reconcile().await.unwrap();
    let status = stage.status();
    assert_eq!((status.phase, status.endpoint), (Some(Phase::Stopping), None));
    assert!(stage.is_ending());

    stage.cluster();
    stage.reconcile().await.unwrap();
    assert_eq!(
        stage.status().phase,
        Some(Phase::Stopping),
        "the pod is still ending"
    );

    stage.end_pods();
    stage.reconcile().await.unwrap();
    let status = stage.status();
    assert_eq!((status.phase, status.run_id), (Some(Phase::Stopped), None));
    assert!(condition::holds(&status.conditions, STOPPED));
    assert_eq!(stage.child::<PersistentVolumeClaim>().unwrap().uid(), disk);
    assert!(stage.child::<Service>().is_some());
    assert_eq!(stage.policies(), POLICIES);
    assert_eq!(stage.events(), ["Starting", "Ready", "Stopping", "Stopped"]);
}

#[tokio::test]
async fn each_run_has_events_of_its_own() {
    let mut stage = Stage::with_running_demo().await;
    stage.stop().await;
    stage.set(DesiredStatus::Running);
    stage.run().await;
    let expected = ["Starting", "Ready", "Stopping", "Stopped", "Starting", "Ready"];
    assert_eq!(stage.events(), expected);
    assert!(
        stage
            .all::<StoredEvent>()
            .iter()
            .all(|event| event.series.is_none())
    );
}

#[tokio::test]
async fn a_resume_waits_for_the_last_pod_and_is_a_new_run_on_the_same_disk() {
    let mut stage = Stage::with_running_demo().await;
    let first = run_id(&stage.child().unwrap());
    let disk = stage.child::<PersistentVolumeClaim>().unwrap().uid();
    stage.set(DesiredStatus::Stopped);
    stage.reconcile().await.unwrap();
    stage.cluster();
    stage.set(DesiredStatus::Running);
    stage.reconcile().await.unwrap();
    assert_eq!(run_id(&stage.child().unwrap()), first, "one pod per disk, always");
    let progressing = stage.condition(PROGRESSING);
    assert_eq!(progressing.reason, reason::PREDECESSOR_TERMINATING);

    stage.end_pods();
    stage.reconcile().await.unwrap();
    assert_ne!(run_id(&stage.child().unwrap()), first);
    assert!(!stage.is_ending());
    assert_eq!(stage.child::<PersistentVolumeClaim>().unwrap().uid(), disk);
}

#[tokio::test]
async fn a_disk_grows_in_place() {
    let mut stage = Stage::with_running_demo().await;
    stage.edit_spec(|spec| spec["storage"]["size"] = json!("2Gi"));
    stage.reconcile().await.unwrap();
    let requests = stage
        .child::<PersistentVolumeClaim>()
        .unwrap()
        .spec
        .unwrap()
        .resources
        .unwrap()
        .requests
        .unwrap();
    assert_eq!(requests["storage"].0, "2Gi");
    assert_eq!(stage.status().pending_update, Vec::<String>::new());
}

#[tokio::test]
async fn a_workspace_whose_template_arrives_later_starts_by_itself() {
    let mut stage = Stage::new();
    let mut workspace = objects::workspace("demo");
    workspace.spec.template_ref = Some("late".to_owned());
    stage.server.put(&workspace);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().reason.as_deref(), Some(reason::TEMPLATE_NOT_FOUND));
    assert!(stage.child::<PersistentVolumeClaim>().is_none());
    assert_eq!(stage.events(), [reason::TEMPLATE_NOT_FOUND]);

    stage.server.put(&objects::template("late"));
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().phase, Some(Phase::Starting));
    assert!(stage.child::<Pod>().is_some());
}

#[tokio::test]
async fn a_workspace_out_of_bounds_makes_nothing_and_names_every_violation() {
    let mut stage = Stage::new();
    stage.server.put(&objects::template("small"));
    let mut workspace = objects::workspace("demo");
    workspace.spec.template_ref = Some("small".to_owned());
    workspace.spec.image = Some("example.com/other:1".to_owned());
    workspace.spec.storage.as_mut().unwrap().size = serde_json::from_value(json!("9Gi")).unwrap();
    stage.server.put(&workspace);
    stage.reconcile().await.unwrap();
    let status = stage.status();
    assert_eq!(
        (status.phase, status.reason.as_deref()),
        (Some(Phase::Invalid), Some(reason::RULES_VIOLATED))
    );
    let message = status.message.unwrap();
    assert!(
        message.contains("spec.image") && message.contains("spec.storage.size"),
        "{message}"
    );
    assert!(!stage.writes().iter().any(|write| write.contains(CHILD)));
}

#[tokio::test]
async fn a_running_workspace_that_became_invalid_keeps_its_pod_and_stops_on_request() {
    let mut stage = Stage::with_running_demo().await;
    stage.server.remove::<api::WorkspaceManager>(None, "main");
    stage.reconcile().await.unwrap();
    let status = stage.status();
    assert_eq!(
        (status.phase, status.endpoint.is_some(), status.url.is_some()),
        (Some(Phase::Running), true, true)
    );
    assert_eq!(status.reason.as_deref(), Some(reason::MANAGER_NOT_FOUND));
    // The policies are kept around it.
    stage.server.remove::<NetworkPolicy>(Some("team"), POLICIES[0]);
    assert!(stage.reconcile_policies().await.is_some());
    assert_eq!(stage.policies(), POLICIES);
    stage.set(DesiredStatus::Stopped);
    stage.reconcile().await.unwrap();
    assert!(stage.is_ending());
}

#[tokio::test]
async fn access_taken_back_counts_also_while_the_workspace_is_invalid() {
    let mut stage = Stage::with_running_demo().await;
    stage.edit_spec(|spec| spec["accessType"] = json!(AccessType::Public));
    stage.reconcile().await.unwrap();
    let access = |stage: &Stage| stage.status().resolved.unwrap().access_type;
    assert_eq!(access(&stage), Some(AccessType::Public));
    stage.server.remove::<api::WorkspaceManager>(None, "main");
    stage.edit_spec(|spec| spec["accessType"] = serde_json::Value::Null);
    stage.reconcile().await.unwrap();
    assert_eq!(access(&stage), Some(AccessType::OwnerOnly));
}

#[tokio::test]
async fn without_a_webhook_the_finalizer_is_set_before_the_first_child() {
    let mut stage = Stage::new();
    let mut workspace = objects::workspace("demo");
    workspace.metadata.finalizers = None;
    stage.server.put(&workspace);
    stage.reconcile().await.unwrap();
    assert_eq!(
        stage.writes().first().map(String::as_str),
        Some("PATCH workspaces/demo")
    );
    assert_eq!(stage.workspace().finalizers(), [names::CLEANUP_FINALIZER]);
}
