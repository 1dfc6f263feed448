//! Workspaces that are not ready for long are stopped.

use api::{
    condition::reason,
    workspace::{DesiredStatus, StopRule},
};
use jiff::SignedDuration;
use serde_json::json;

use super::{
    MINUTE, announced, crashes, desired, edit_pod, forge_stop, gets_ready, is_stopped_by, minute, note, pass,
    running, second, stage, starts,
};
use crate::stage::seconds;

#[tokio::test(start_paused = true)]
async fn a_session_after_a_long_start_has_two_minutes_to_be_ready_again() {
    for is_drained in [false, true] {
        let mut stage = stage(json!({"failedTimeoutMinutes": 15})).await;
        tokio::time::advance(MINUTE * 13).await;
        gets_ready(&mut stage).await;
        tokio::time::advance(MINUTE * 3).await;
        if is_drained {
            stage.end_pods();
            starts(&mut stage).await;
        } else {
            edit_pod(&stage, |pod| {
                pod["status"]["conditions"][1]["status"] = json!("False");
            });
            stage.reconcile().await.unwrap();
        }
        let fails_at = second() + SignedDuration::from_mins(2);
        assert_eq!(announced(&stage), Some((StopRule::Failed, fails_at)));
        pass(&mut stage, MINUTE).await;
        assert_eq!(desired(&stage), DesiredStatus::Running);
        pass(&mut stage, MINUTE).await;
        is_stopped_by(&mut stage, StopRule::Failed, fails_at).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_init_container_that_never_ends_is_stopped_at_the_limit_and_the_disk_is_kept() {
    let mut stage = stage(json!({"failedTimeoutMinutes": 15})).await;
    edit_pod(&stage, |pod| {
        pod["status"]["initContainerStatuses"] = json!([{
            "name": "fetch", "ready": false, "restartCount": 0, "image": "", "imageID": "",
            "state": {"running": {"startedAt": "2026-01-01T00:00:03Z"}},
        }]);
    });
    stage.reconcile().await.unwrap();
    assert_eq!(announced(&stage), Some((StopRule::Failed, minute(15))));
    tokio::time::advance(MINUTE * 14).await;
    let waits = stage.reconcile().await.unwrap();
    assert!((seconds(&waits) - 60.0).abs() < 0.01, "{waits:?}");
    assert_eq!(desired(&stage), DesiredStatus::Running);
    pass(&mut stage, MINUTE).await;
    is_stopped_by(&mut stage, StopRule::Failed, minute(15)).await;
    let words = "after 15 min without being ready for five minutes together";
    assert!(note(&stage, reason::FAILED_STOPPED).contains(words));
    assert!(stage.status().message.unwrap().contains(words));
}

#[tokio::test(start_paused = true)]
async fn a_workspace_that_is_ready_between_crashes_fails_and_one_that_was_ready_for_long_has_its_whole_time()
{
    let mut stage = running(json!({"failedTimeoutMinutes": 15})).await;
    assert_eq!(announced(&stage), None, "a ready workspace does not fail");
    tokio::time::advance(MINUTE * 30).await;
    crashes(&mut stage).await;
    assert_eq!(announced(&stage), Some((StopRule::Failed, minute(45))));
    for _ in 0..3 {
        tokio::time::advance(MINUTE).await;
        gets_ready(&mut stage).await;
        assert_eq!(announced(&stage), None);
        forge_stop(&stage, StopRule::Failed);
        tokio::time::advance(MINUTE * 3).await;
        crashes(&mut stage).await;
        assert_eq!(
            announced(&stage),
            Some((StopRule::Failed, minute(45))),
            "not for long"
        );
    }
    tokio::time::advance(MINUTE).await;
    gets_ready(&mut stage).await;
    tokio::time::advance(MINUTE * 5).await;
    assert_eq!(desired(&stage), DesiredStatus::Running, "48 minutes, and ready");
    crashes(&mut stage).await;
    assert_eq!(
        announced(&stage),
        Some((StopRule::Failed, minute(63))),
        "five minutes together"
    );
    pass(&mut stage, MINUTE * 15).await;
    let because = is_stopped_by(&mut stage, StopRule::Failed, minute(63)).await;
    assert_eq!(because.reason.as_deref(), Some(reason::CRASH_LOOPING));
    let event = note(&stage, reason::FAILED_STOPPED);
    assert!(event.contains("CrashLooping: "), "{event}");
    let message = stage.status().message.unwrap();
    assert!(
        message.contains("together (CrashLooping). No pod is left"),
        "{message}"
    );
}
