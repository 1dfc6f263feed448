//! Workspaces whose time is over by a limit are stopped, at the announced time and by the announced rule.

mod age;
mod failing;
mod requested;

use std::time::Duration;

use api::{
    Workspace,
    condition::reason,
    names,
    workspace::{DesiredStatus, Phase, StopRule, StoppedBecause},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, Pod},
    events::v1::Event,
};
use serde_json::{Value, json};
use testkit::objects::{self, NAMESPACE};

use crate::{
    faults::metrics,
    stage::{CHILD, Stage, run_id},
    start_timeout::now,
};

const MINUTE: Duration = Duration::from_mins(1);

/// `demo` with these limits, whose pod has a node.
async fn stage(limits: Value) -> Stage {
    let mut stage = Stage::with_demo();
    stage.set_clock(now);
    now();
    stage.edit_spec(|spec| spec["limits"] = limits);
    starts(&mut stage).await;
    stage
}

async fn starts(stage: &mut Stage) {
    stage.reconcile().await.unwrap();
    stage.cluster();
    stage.reconcile().await.unwrap();
}

/// The same, ready since the first second.
async fn running(limits: Value) -> Stage {
    let mut stage = stage(limits).await;
    gets_ready(&mut stage).await;
    stage
}

/// The pod of `demo` begins to run, now.
async fn gets_ready(stage: &mut Stage) {
    stage.get_ready();
    let start = json!(second().to_string());
    edit_pod(stage, |pod| {
        pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] = start.clone();
        pod["status"]["conditions"][1]["lastTransitionTime"] = start;
    });
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().phase, Some(Phase::Running));
}

/// The container of `demo` waits, after it ended.
async fn crashes(stage: &mut Stage) {
    edit_pod(stage, |pod| {
        pod["status"]["conditions"][1]["status"] = json!("False");
        let container = &mut pod["status"]["containerStatuses"][0];
        container["ready"] = json!(false);
        container["restartCount"] = json!(4);
        container["state"] = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        container["lastState"] = json!({"terminated": {"exitCode": 3, "reason": "Error", "startedAt": second().to_string(), "finishedAt": second().to_string()}});
    });
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().phase, Some(Phase::Failed));
}

fn edit_pod(stage: &Stage, change: impl FnOnce(&mut Value)) {
    stage.server.edit::<Pod>(Some(NAMESPACE), CHILD, change);
}

/// Another container joins the pod of `demo`, so its status is to change.
fn add_container(stage: &Stage) {
    edit_pod(stage, |pod| {
        let mut sidecar = pod["status"]["containerStatuses"][0].clone();
        sidecar["name"] = json!("sidecar");
        let all = pod["status"]["containerStatuses"].as_array_mut().unwrap();
        all.push(sidecar);
    });
}

/// A user writes that this rule has stopped the run of `demo`.
fn forge_stop(stage: &Stage, rule: StopRule) {
    let run = run_id(&stage.child().unwrap());
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        let forged = format!("{} {} {run}", rule.name(), second());
        object["metadata"]["annotations"][names::STOPPED_BECAUSE] = json!(forged);
    });
}

fn second() -> Timestamp {
    Timestamp::from_second(now().as_second()).unwrap()
}

fn minute(minute: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
}

/// Time passes, and a reconcile follows.
async fn pass(stage: &mut Stage, span: Duration) {
    tokio::time::advance(span).await;
    stage.reconcile().await.unwrap();
}

fn desired(stage: &Stage) -> DesiredStatus {
    stage.workspace().spec.desired_status
}

/// The announced stop.
fn announced(stage: &Stage) -> Option<(StopRule, Timestamp)> {
    let status = stage.status();
    assert_eq!(status.stops_at.is_some(), status.stops_because.is_some());
    Some((status.stops_because?, status.stops_at?.0))
}

/// It was stopped by this rule at this time. Its pod ends, and the status then says why.
async fn is_stopped_by(stage: &mut Stage, rule: StopRule, at: Timestamp) -> StoppedBecause {
    assert_eq!(desired(stage), DesiredStatus::Stopped, "{:?}", stage.status());
    for other in StopRule::ALL {
        let count = u8::from(other == rule);
        let counted = format!("rule_stops_total{{rule=\"{}\"}} {count}\n", other.name());
        assert!(metrics(stage).contains(&counted), "{counted}");
    }
    stage.reconcile().await.unwrap();
    let because = stage.status().stopped_because.unwrap();
    assert_eq!((because.rule, because.time.0), (rule, at));
    assert_eq!(announced(stage), None);
    stage.cluster();
    stage.end_pods();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().phase, Some(Phase::Stopped));
    assert!(
        stage.child::<PersistentVolumeClaim>().is_some(),
        "its disk is kept"
    );
    because
}

fn note(stage: &Stage, reason: &str) -> String {
    let events = stage.all::<Event>().into_iter();
    let mut notes = events.filter(|event| event.reason.as_deref() == Some(reason));
    notes.next().and_then(|event| event.note).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_start_right_after_a_stop_by_a_limit_begins_anew_also_if_no_status_shows_the_stop() {
    for is_ready in [true, false] {
        let mut stage = stage(json!({"maxAgeMinutes": 60, "failedTimeoutMinutes": 15})).await;
        let (rule, minutes) = if is_ready {
            gets_ready(&mut stage).await;
            (StopRule::MaxAge, 60)
        } else {
            (StopRule::Failed, 15)
        };
        let began = announced(&stage).unwrap();
        assert_eq!(began.0, rule);
        pass(&mut stage, MINUTE * minutes).await;
        assert_eq!(desired(&stage), DesiredStatus::Stopped);
        stage.fail(
            http::Method::PATCH,
            "workspaces/demo/status",
            409,
            "it has changed",
            1,
        );
        stage.reconcile().await.unwrap();
        assert!(stage.is_ending());
        assert_eq!(announced(&stage), Some(began), "the status is that of before");
        stage.set(DesiredStatus::Running);
        for _ in 0..2 {
            pass(&mut stage, MINUTE).await;
            assert_eq!(desired(&stage), DesiredStatus::Running, "{rule:?}");
            assert_eq!(announced(&stage), None);
        }
        // Every pod of this server was created at minute 0, and a start counts from then.
        if is_ready {
            stage.end_pods();
            starts(&mut stage).await;
            gets_ready(&mut stage).await;
            assert_eq!(announced(&stage), Some((rule, minute(122))));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_lengthened_or_removed_while_it_is_pending_moves_the_time_and_restarts_nothing() {
    let mut stage = running(json!({"maxAgeMinutes": 60})).await;
    let run = stage.status().run_id;
    pass(&mut stage, MINUTE * 59).await;
    stage.edit_spec(|spec| spec["limits"] = json!({"maxAgeMinutes": 120}));
    stage.reconcile().await.unwrap();
    assert_eq!(announced(&stage), Some((StopRule::MaxAge, minute(120))));
    pass(&mut stage, MINUTE * 60).await;
    assert_eq!(desired(&stage), DesiredStatus::Running);
    stage.edit_spec(|spec| spec["limits"] = json!(null));
    pass(&mut stage, MINUTE * 60).await;
    let status = stage.status();
    assert_eq!((announced(&stage), status.running_since), (None, None));
    assert_eq!((desired(&stage), status.run_id), (DesiredStatus::Running, run));
    assert_eq!(status.pending_update, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_earliest_rule_is_announced_and_another_once_that_is_moved_out_of_the_way() {
    let mut stage = stage(json!({"failedTimeoutMinutes": 15, "maxAgeMinutes": 60})).await;
    assert_eq!(announced(&stage), Some((StopRule::Failed, minute(15))));
    tokio::time::advance(MINUTE * 10).await;
    gets_ready(&mut stage).await;
    assert_eq!(announced(&stage), Some((StopRule::MaxAge, minute(70))));
    tokio::time::advance(MINUTE * 10).await;
    crashes(&mut stage).await;
    assert_eq!(announced(&stage), Some((StopRule::Failed, minute(35))));
    stage.edit_spec(|spec| spec["limits"]["failedTimeoutMinutes"] = json!(100));
    stage.reconcile().await.unwrap();
    assert_eq!(announced(&stage), Some((StopRule::MaxAge, minute(70))));
    pass(&mut stage, MINUTE * 50).await;
    is_stopped_by(&mut stage, StopRule::MaxAge, minute(70)).await;
}

/// The claim of `demo` with this name is being deleted, once no pod has it any more.
fn delete_disk(stage: &Stage, claim: &str) {
    stage
        .server
        .edit::<PersistentVolumeClaim>(Some(NAMESPACE), claim, |claim| {
            claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:09:00Z");
            claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
            claim["spec"]["volumeName"] = json!("volume");
        });
}

#[tokio::test(start_paused = true)]
async fn no_limit_ends_a_run_whose_disk_is_being_deleted_and_the_status_says_so() {
    for rule in [StopRule::MaxAge, StopRule::Failed, StopRule::Requested] {
        for deleted in [Some(CHILD), Some("wsc-db-demo"), None] {
            let mut stage = Stage::with_demo();
            stage.set_clock(now);
            now();
            let mut template = objects::template("t");
            template.spec.volume_claims = serde_json::from_value(json!([{
                "name": "db", "mountPath": "/db",
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }]))
            .unwrap();
            stage.server.put(&template);
            stage.edit_spec(|spec| {
                spec["templateRef"] = json!("t");
                spec["limits"] = json!({"maxAgeMinutes": 60, "failedTimeoutMinutes": 15});
            });
            starts(&mut stage).await;
            gets_ready(&mut stage).await;
            match rule {
                StopRule::Failed => crashes(&mut stage).await,
                StopRule::Requested => requested::ends(&stage, "workspace", "stop-workspace", 0, true),
                StopRule::Idle | StopRule::MaxAge => {}
            }
            if let Some(claim) = deleted {
                delete_disk(&stage, claim);
            }
            let minutes = if rule == StopRule::MaxAge { 90 } else { 50 };
            pass(&mut stage, MINUTE * minutes).await;
            let conditions = stage.status().conditions;
            let says = conditions
                .iter()
                .any(|it| it.message.contains("Until then no rule stops it"));
            if deleted.is_some() {
                let found = (desired(&stage), announced(&stage), says);
                assert_eq!(
                    found,
                    (DesiredStatus::Running, None, true),
                    "{rule:?} {deleted:?}: {conditions:?}"
                );
            } else {
                assert_eq!(desired(&stage), DesiredStatus::Stopped, "{rule:?}");
                assert!(!says, "{rule:?}: {conditions:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_the_api_server_refuses_is_reported_and_tried_again() {
    let mut stage = running(json!({"maxAgeMinutes": 60})).await;
    stage.fail(http::Method::PATCH, "workspaces/demo", 403, "a policy says no", 1);
    pass(&mut stage, MINUTE * 60).await;
    assert_eq!(desired(&stage), DesiredStatus::Running);
    let event = note(&stage, reason::STOP_REFUSED);
    assert!(
        event.contains("spec.limits.maxAgeMinutes") && event.contains("a policy says no"),
        "{event}"
    );
    pass(&mut stage, MINUTE).await;
    is_stopped_by(&mut stage, StopRule::MaxAge, minute(61)).await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_the_api_server_refuses_holds_up_no_stop_that_is_announced() {
    for code in [403, 422, 500] {
        for (minutes, expected) in [(59, DesiredStatus::Running), (60, DesiredStatus::Stopped)] {
            let mut stage = running(json!({"maxAgeMinutes": 60})).await;
            tokio::time::advance(MINUTE * minutes).await;
            add_container(&stage);
            let path = "workspaces/demo/status";
            stage.fail(http::Method::PATCH, path, code, "a policy says no", 1);
            stage.reconcile().await.unwrap_err();
            assert_eq!(desired(&stage), expected, "{code}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_s_clock_begins_no_age_before_its_pod_or_after_now() {
    for minutes in [-600, -5, 600] {
        let mut stage = stage(json!({"maxAgeMinutes": 60})).await;
        tokio::time::advance(MINUTE * 10).await;
        stage.get_ready();
        let told = second() + SignedDuration::from_mins(minutes);
        edit_pod(&stage, |pod| {
            let container = &mut pod["status"]["containerStatuses"][0];
            container["state"]["running"]["startedAt"] = json!(told.to_string());
        });
        // Every pod of this server was created at minute 0.
        let expected = told.max(minute(0)).min(second());
        assert_eq!(expected == told, minutes == -5);
        for _ in 0..2 {
            pass(&mut stage, Duration::ZERO).await;
            let since = stage.status().running_since.map(|since| since.0);
            assert_eq!(since, Some(expected), "{minutes}");
            tokio::time::advance(MINUTE).await;
        }
    }
}
