//! Many workspaces start or stop: writes that make progress have priority, and nothing is lost.

use api::{WorkspaceStatus, workspace::Phase};
use k8s_openapi::api::core::v1::Pod;
use operator::{context::Context, status::debounce::LOAD_THRESHOLD};
use serde_json::json;

use crate::stage::Stage;

/// Many other workspaces are starting.
fn add_load(context: &Context) {
    for number in 0..LOAD_THRESHOLD {
        let other = format!("team/other-{number}");
        context
            .status_debounce
            .debounce(&other, "u", &WorkspaceStatus::default());
    }
}

fn statuses(stage: &Stage) -> usize {
    let writes = stage.writes();
    let status = writes
        .iter()
        .filter(|write| *write == "PATCH workspaces/demo/status");
    status.count()
}

#[tokio::test]
async fn under_load_a_start_and_a_stop_have_one_status_each() {
    let mut stage = Stage::with_demo();
    let context = stage.context.clone();
    add_load(&context);
    stage.reconcile().await.unwrap();
    stage.cluster();
    stage.reconcile().await.unwrap();
    assert_eq!(statuses(&stage), 0);
    stage.get_ready();
    stage.reconcile().await.unwrap();
    stage.reconcile().await.unwrap();
    assert_eq!(statuses(&stage), 1);
    assert_eq!(stage.status().phase, Some(Phase::Running));
    assert_eq!(stage.events(), ["Ready"]);

    stage.edit_spec(|spec| spec["desiredStatus"] = json!("Stopped"));
    stage.reconcile().await.unwrap();
    stage.cluster();
    stage.reconcile().await.unwrap();
    assert_eq!(statuses(&stage), 0);
    stage.end_pods();
    stage.reconcile().await.unwrap();
    assert_eq!(statuses(&stage), 1);
    assert_eq!(stage.status().phase, Some(Phase::Stopped));
    assert_eq!(stage.events(), ["Ready", "Stopped"]);
}

#[tokio::test]
async fn under_load_the_endpoint_of_an_unexpectedly_ending_pod_is_removed_at_once() {
    let mut stage = Stage::with_running_demo().await;
    let context = stage.context.clone();
    add_load(&context);
    assert!(stage.status().endpoint.is_some());
    // The run ends, to begin anew; the workspace is wanted to run all the time.
    stage.edit_spec(|spec| {
        spec["updatePolicy"] = json!("Always");
        spec["port"] = json!(9000);
    });
    stage.reconcile().await.unwrap();
    stage.cluster();
    stage.reconcile().await.unwrap();
    let is_terminating = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
    assert!(
        stage.all::<Pod>().iter().all(is_terminating),
        "it was asked to end"
    );
    assert_eq!(stage.status().endpoint, None);
}
