//! Start timeouts, on a clock that the tests control.

use std::{sync::OnceLock, time::Duration};

use api::workspace::Phase;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::time::Instant;

use crate::stage::{Stage, seconds};

/// When everything on the stage was made.
const MADE: &str = "2026-01-01T00:00:00Z";
pub(crate) const LIMIT: Duration = Duration::from_mins(10);

/// The time of day goes as tokio's paused clock does, from that moment on.
pub(crate) fn now() -> Timestamp {
    thread_local!(static BEGIN: OnceLock<Instant> = const { OnceLock::new() });
    let passed = BEGIN.with(|begin| begin.get_or_init(Instant::now).elapsed());
    MADE.parse::<Timestamp>().unwrap() + SignedDuration::try_from(passed).unwrap()
}

/// `demo`, just started, with ten minutes to be ready.
pub(crate) async fn stage() -> Stage {
    let mut stage = Stage::with_demo();
    stage.set_clock(now);
    now();
    stage.edit_spec(|spec| spec["limits"] = json!({"startTimeoutMinutes": 10}));
    stage.reconcile().await.unwrap();
    stage.cluster();
    stage.reconcile().await.unwrap();
    stage.server.take_calls();
    stage
}

#[tokio::test(start_paused = true)]
async fn a_start_timeout_is_reported_at_that_moment_by_one_timer_one_write_and_one_event() {
    let mut stage = stage().await;
    tokio::time::advance(Duration::from_mins(1)).await;
    let waits = stage.reconcile().await.unwrap();
    assert!((seconds(&waits) - 540.0).abs() < 0.01, "{waits:?}");
    assert_eq!(stage.writes(), [""; 0], "nothing is written while it waits");
    tokio::time::advance(Duration::from_mins(9)).await;
    stage.reconcile().await.unwrap();
    let status = stage.status();
    assert_eq!(status.phase, Some(Phase::Failed));
    assert_eq!(status.reason.as_deref(), Some("StartTimeout"));
    let reported = status.message.unwrap();
    for text in [
        "not ready within 10 min of the beginning of its run at 2026-01-01T00:00:00Z",
        "keeps waiting",
        "spec.limits.startTimeoutMinutes",
        "Last problem: no reason is known; the pod workspace-demo",
    ] {
        assert!(reported.contains(text), "{text}: {reported}");
    }
    assert_eq!(status.resolved.unwrap().start_timeout_minutes, Some(10));
    let writes = stage.writes();
    assert_eq!(
        writes.iter().filter(|write| !write.contains("events")).count(),
        1,
        "{writes:?}"
    );
    for _ in 0..3 {
        tokio::time::advance(LIMIT).await;
        stage.reconcile().await.unwrap();
    }
    assert_eq!(stage.writes(), [""; 0], "it is reported once");
    assert_eq!(stage.events(), ["Starting", "StartTimeout"]);
    assert_eq!(stage.all::<Pod>().len(), 1, "the pod goes on waiting");
    assert!(!stage.is_ending());
}
