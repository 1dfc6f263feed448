//! Workspaces that a user keeps are not stopped as idle until then. Every other rule stops them.

use std::time::Duration;

use api::{
    Workspace, WorkspaceTemplate,
    names::KEEP_UNTIL,
    workspace::{DesiredStatus, StopRule},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use testkit::objects::{self, NAMESPACE};

use crate::{
    idle::{MINUTE, Pod, READY, ask_for, ask_once, desired, settle, stage},
    stage::Stage,
};

fn ready(minutes: i64) -> Timestamp {
    READY.parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

/// Writes the annotation as a user whom no webhook hinders.
fn keep(stage: &Stage, until: &str) {
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        object["metadata"]["annotations"][KEEP_UNTIL] = json!(until);
    });
}

fn announced(stage: &Stage) -> Option<(StopRule, Timestamp)> {
    let status = stage.status();
    Some((status.stops_because?, status.stops_at?.0))
}

#[tokio::test(start_paused = true)]
async fn a_kept_workspace_is_idle_at_its_time_and_no_sooner() {
    let mut stage = stage().await;
    let pod = Pod::new();
    keep(&stage, &ready(40).to_string());
    ask_for(&mut stage, &pod, MINUTE).await;
    assert_eq!(announced(&stage), Some((StopRule::Idle, ready(40))));
    let kept = stage.status().kept.unwrap();
    assert_eq!(
        (kept.until.0, kept.annotation),
        (ready(40), ready(40).to_string())
    );
    ask_for(&mut stage, &pod, MINUTE * 38).await;
    assert_eq!(desired(&stage), DesiredStatus::Running, "{:?}", stage.status());
    ask_for(&mut stage, &pod, MINUTE * 3).await;
    let because = stage.status().stopped_because.unwrap();
    assert_eq!(because.rule, StopRule::Idle);
    assert!(because.time.0 >= ready(40), "{because:?}");
    assert_eq!(stage.status().kept, None, "it has passed");
}

#[tokio::test(start_paused = true)]
async fn who_takes_it_back_has_the_timeout_again() {
    let mut stage = stage().await;
    let pod = Pod::new();
    keep(&stage, &ready(600).to_string());
    ask_for(&mut stage, &pod, MINUTE * 15).await;
    assert_eq!(desired(&stage), DesiredStatus::Running);
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        object["metadata"]["annotations"]
            .as_object_mut()
            .unwrap()
            .remove(KEEP_UNTIL);
    });
    ask_for(&mut stage, &pod, MINUTE * 2).await;
    assert_eq!(stage.status().stopped_because.unwrap().rule, StopRule::Idle);
}

/// The desired status after an annotation that was written an instant before the stop, when the status does not have it yet.
async fn desired_after_a_late(text: &str) -> DesiredStatus {
    let mut stage = stage().await;
    let pod = Pod::new();
    ask_for(&mut stage, &pod, MINUTE * 9 + Duration::from_secs(50)).await;
    assert_eq!(desired(&stage), DesiredStatus::Running);
    keep(&stage, text);
    stage.sync();
    ask_once(&stage, &pod, MINUTE * 2).await;
    desired(&stage)
}

#[tokio::test(start_paused = true)]
async fn a_value_that_the_status_does_not_have_yet_holds_the_stop_up() {
    let until = ready(60).to_string();
    assert_eq!(desired_after_a_late(&until).await, DesiredStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn prose_holds_no_stop_up() {
    assert_eq!(desired_after_a_late("tonight").await, DesiredStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn it_holds_over_a_stop_and_a_start() {
    let mut stage = stage().await;
    let pod = Pod::new();
    keep(&stage, &ready(60).to_string());
    ask_for(&mut stage, &pod, MINUTE).await;
    stage.set(DesiredStatus::Stopped);
    settle(&mut stage).await;
    stage.end_pods();
    settle(&mut stage).await;
    stage.set(DesiredStatus::Running);
    settle(&mut stage).await;
    stage.cluster();
    stage.get_ready();
    ask_for(&mut stage, &pod, MINUTE * 20).await;
    assert_eq!(announced(&stage), Some((StopRule::Idle, ready(60))));
    assert_eq!(desired(&stage), DesiredStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn without_a_webhook_nobody_is_kept_longer_than_the_template_allows() {
    let mut stage = stage().await;
    let mut template = objects::template("small");
    template.spec.limit_bounds = serde_json::from_value(json!({"keepMinutes": {"max": 30}})).unwrap();
    stage.server.put::<WorkspaceTemplate>(&template);
    stage.edit_spec(|spec| spec["templateRef"] = json!("small"));
    let pod = Pod::new();
    keep(&stage, "2030-01-01T00:00:00Z");
    ask_for(&mut stage, &pod, MINUTE).await;
    let kept = stage.status().kept.unwrap().until.0;
    assert!(kept >= ready(29) && kept <= ready(31), "{kept}");
    assert_eq!(announced(&stage), Some((StopRule::Idle, kept)));
    ask_for(&mut stage, &pod, MINUTE * 28).await;
    assert_eq!(desired(&stage), DesiredStatus::Running);
    ask_for(&mut stage, &pod, MINUTE * 4).await;
    assert_eq!(stage.status().stopped_because.unwrap().rule, StopRule::Idle);
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_round_a_maximum_age_by_keeping() {
    let mut stage = stage().await;
    stage.edit_spec(|spec| spec["limits"] = json!({"maxAgeMinutes": 20}));
    let pod = Pod::new();
    for minute in 0..19 {
        keep(&stage, &ready(600 + minute).to_string());
        ask_for(&mut stage, &pod, MINUTE).await;
        assert_eq!(desired(&stage), DesiredStatus::Running);
    }
    let (rule, at) = announced(&stage).unwrap();
    assert_eq!(rule, StopRule::MaxAge);
    keep(&stage, &ready(700).to_string());
    ask_for(&mut stage, &pod, MINUTE * 2).await;
    let because = stage.status().stopped_because.unwrap();
    assert_eq!(because.rule, StopRule::MaxAge);
    assert!(
        because.time.0 >= at && because.time.0 <= at + SignedDuration::from_mins(1),
        "{because:?}"
    );
}
