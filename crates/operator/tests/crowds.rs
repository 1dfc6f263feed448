//! Many workspaces on their way at a time: what makes them get on goes first, and nothing of it is lost.

use api::{
    WorkspaceStatus,
    condition::{self, STOPPED},
    workspace::Phase,
};
use k8s_openapi::api::core::v1::Pod;
use operator::{context::Context, status::debounce::MANY};
use serde_json::json;

use crate::stage::Stage;

/// Many other workspaces are on their way.
fn crowd(context: &Context) {
    for number in 0..MANY {
        let other = format!("team/other-{number}");
        context
            .debounce
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
async fn among_many_a_start_and_a_stop_are_told_once_when_they_are_over() {
    let mut stage = Stage::with_demo();
    let context = stage.context.clone();
    crowd(&context);
    stage.pass().await.unwrap();
    stage.cluster();
    stage.pass().await.unwrap();
    assert_eq!(statuses(&stage), 0);
    stage.get_ready();
    stage.pass().await.unwrap();
    stage.pass().await.unwrap();
    assert_eq!(statuses(&stage), 1);
    assert_eq!(stage.status().phase, Some(Phase::Running));
    assert_eq!(stage.events(), ["Ready"]);

    stage.edit_spec(|spec| spec["desiredStatus"] = json!("Stopped"));
    stage.pass().await.unwrap();
    stage.cluster();
    stage.pass().await.unwrap();
    assert_eq!(statuses(&stage), 0);
    stage.end_pods();
    stage.pass().await.unwrap();
    assert_eq!(statuses(&stage), 1);
    assert_eq!(stage.status().phase, Some(Phase::Stopped));
    assert_eq!(stage.events(), ["Ready", "Stopped"]);
}

#[tokio::test]
async fn a_start_that_was_not_told_yet_is_ended_like_any_other() {
    let mut stage = Stage::with_running_demo().await;
    let context = stage.context.clone();
    stage.edit_spec(|spec| spec["desiredStatus"] = json!("Stopped"));
    stage.pass().await.unwrap();
    stage.cluster();
    stage.end_pods();
    stage.pass().await.unwrap();
    assert!(condition::holds(&stage.status().conditions, STOPPED));
    crowd(&context);
    stage.edit_spec(|spec| spec["desiredStatus"] = json!("Running"));
    stage.pass().await.unwrap();
    stage.cluster();
    // Nobody was told, and it is stopped again: what the status says is from before, and proves nothing.
    stage.edit_spec(|spec| spec["desiredStatus"] = json!("Stopped"));
    stage.pass().await.unwrap();
    stage.cluster();
    stage.server.take_calls();
    stage.end_pods();
    stage.pass().await.unwrap();
    let calls = stage.server.take_calls();
    assert!(
        calls.iter().any(|call| call.path.ends_with("/pods")),
        "made sure of"
    );
    assert_eq!(stage.status().phase, Some(Phase::Stopped));
    assert!(stage.all::<Pod>().is_empty());
}

#[tokio::test(start_paused = true)]
async fn among_many_what_lasts_is_told_after_a_while() {
    let mut stage = Stage::with_demo();
    let context = stage.context.clone();
    crowd(&context);
    stage.pass().await.unwrap();
    stage.cluster();
    stage.pass().await.unwrap();
    assert_eq!(statuses(&stage), 0);
    tokio::time::sleep(operator::status::debounce::LONGEST).await;
    stage.pass().await.unwrap();
    assert_eq!(statuses(&stage), 1);
    assert_eq!(stage.status().phase, Some(Phase::Starting));
    assert_eq!(stage.events(), ["Starting"]);
}

#[tokio::test]
async fn even_among_many_nobody_is_sent_to_a_pod_that_ends_without_having_been_asked_to() {
    let mut stage = Stage::with_running_demo().await;
    let context = stage.context.clone();
    crowd(&context);
    assert!(stage.status().endpoint.is_some());
    // The run ends, to begin anew; the workspace is wanted to run all the time.
    stage.edit_spec(|spec| {
        spec["updatePolicy"] = json!("Always");
        spec["port"] = json!(9000);
    });
    stage.pass().await.unwrap();
    stage.cluster();
    stage.pass().await.unwrap();
    let is_leaving = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
    assert!(stage.all::<Pod>().iter().all(is_leaving), "it was asked to end");
    assert_eq!(stage.status().endpoint, None);
}
