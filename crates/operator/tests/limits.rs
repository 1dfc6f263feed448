//! Workspaces whose time is over by a limit are stopped, at the announced time and by the announced rule.

use std::time::Duration;

use api::{
    Workspace, WorkspaceTemplate,
    condition::reason,
    names,
    workspace::{DesiredStatus, Phase, StopRule, StoppedBecause},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, Pod},
    events::v1::Event,
};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use testkit::objects::{self, NAMESPACE};

use crate::{
    stage::{CHILD, Stage, run_id, seconds},
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
async fn a_maximum_age_stops_a_busy_workspace_at_the_announced_time_and_a_start_begins_anew() {
    let mut stage = running(json!({"maxAgeMinutes": 60})).await;
    assert_eq!(announced(&stage), Some((StopRule::MaxAge, minute(60))));
    stage.server.take_calls();
    tokio::time::advance(MINUTE * 59).await;
    let waits = stage.reconcile().await.unwrap();
    assert!(
        (seconds(&waits) - 60.0).abs() < 0.01,
        "one timer, no polling: {waits:?}"
    );
    assert_eq!(stage.writes(), [""; 0], "nothing is written while it waits");
    pass(&mut stage, MINUTE).await;
    let writes = stage.writes();
    assert_eq!(writes, ["PATCH workspaces/demo"], "one stop");
    let because = is_stopped_by(&mut stage, StopRule::MaxAge, minute(60)).await;
    assert_eq!(because.reason, None);
    let words = "after 60 min, its maximum age";
    let message = stage.status().message.unwrap();
    assert!(message.contains(&format!("{words}. No pod is left")), "{message}");
    assert!(note(&stage, reason::MAX_AGE_STOPPED).contains(words));
    assert!(note(&stage, reason::MAX_AGE_STOPPED).contains("the disk is kept"));
    assert!(!stage.events().contains(&reason::STOPPING.to_owned()));
    tokio::time::advance(MINUTE * 5).await;
    stage.set(DesiredStatus::Running);
    starts(&mut stage).await;
    gets_ready(&mut stage).await;
    assert_eq!(announced(&stage), Some((StopRule::MaxAge, minute(125))));
    pass(&mut stage, MINUTE * 59).await;
    assert_eq!(desired(&stage), DesiredStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn a_loop_of_annotations_does_not_hold_up_a_maximum_age() {
    for has_news in [false, true] {
        let mut stage = running(json!({"maxAgeMinutes": 60})).await;
        tokio::time::advance(MINUTE * 60).await;
        if has_news {
            edit_pod(&stage, |pod| {
                let mut sidecar = pod["status"]["containerStatuses"][0].clone();
                sidecar["name"] = json!("sidecar");
                let all = pod["status"]["containerStatuses"].as_array_mut().unwrap();
                all.push(sidecar);
            });
        }
        stage.sync();
        // The cache has not seen it: a test of the version would fail now and each time.
        stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
            object["metadata"]["annotations"]["x.example/y"] = json!("1");
        });
        stage.server.take_calls();
        stage.reconcile_unsynced("demo").await.unwrap();
        let mut expected = vec!["PATCH workspaces/demo"];
        if has_news {
            // It fails. The stored status announces the stop all the same.
            expected.insert(0, "PATCH workspaces/demo/status");
        }
        assert_eq!(stage.writes(), expected);
        assert_eq!(desired(&stage), DesiredStatus::Stopped);
        let workspace = stage.workspace();
        assert_eq!(
            workspace.annotations()["x.example/y"],
            "1",
            "it is not overwritten"
        );
        assert!(workspace.annotations()[names::STOPPED_BECAUSE].starts_with("MaxAge "));
    }
}

#[tokio::test(start_paused = true)]
async fn annotations_without_room_for_the_record_do_not_hold_up_a_maximum_age() {
    const MOST: usize = 262_144;
    let size = |object: &Value| -> usize {
        let all = object["metadata"]["annotations"]
            .as_object()
            .into_iter()
            .flatten();
        all.map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
            .sum()
    };
    for room in [1000, 0] {
        let mut stage = running(json!({"maxAgeMinutes": 60})).await;
        stage.server.admit(move |object| {
            let refusal = json!({"kind": "Status", "status": "Failure", "code": 422, "reason": "Invalid", "message": "metadata.annotations: Too long"});
            (size(object) > MOST).then_some(refusal)
        });
        tokio::time::advance(MINUTE * 60).await;
        stage.sync();
        // The cache has not seen it, so the object has also changed.
        stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
            let left = MOST - size(object) - "x.example/y".len() - room;
            object["metadata"]["annotations"]["x.example/y"] = json!("y".repeat(left));
        });
        stage.server.take_calls();
        stage.reconcile_unsynced("demo").await.unwrap();
        let (once, again) = (["PATCH workspaces/demo"; 1], ["PATCH workspaces/demo"; 2]);
        assert_eq!(stage.writes(), if room > 0 { &once[..] } else { &again[..] });
        assert_eq!(desired(&stage), DesiredStatus::Stopped, "{room}");
        let is_recorded = stage
            .workspace()
            .annotations()
            .contains_key(names::STOPPED_BECAUSE);
        assert_eq!(is_recorded, room > 0);
    }
}

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
async fn a_pod_that_ends_anyway_is_not_stopped_and_the_next_one_is_as_old() {
    let mut stage = running(json!({"maxAgeMinutes": 60})).await;
    // A drain deletes the pod, which takes its time.
    edit_pod(&stage, |pod| {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:59:00Z");
    });
    pass(&mut stage, MINUTE * 60).await;
    assert_eq!(desired(&stage), DesiredStatus::Running);
    stage.end_pods();
    stage.reconcile().await.unwrap();
    is_stopped_by(&mut stage, StopRule::MaxAge, minute(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_user_has_started_since_is_not_stopped() {
    let mut stage = running(json!({"maxAgeMinutes": 60})).await;
    tokio::time::advance(MINUTE * 60).await;
    stage.sync();
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        object["status"]["runID"] = json!("another");
    });
    stage.reconcile_unsynced("demo").await.unwrap();
    assert_eq!(desired(&stage), DesiredStatus::Running);
    assert_eq!(note(&stage, reason::STOP_REFUSED), "", "it is no refusal");
}

#[tokio::test(start_paused = true)]
async fn a_replaced_pod_belongs_to_the_same_age_and_a_restart_by_a_user_does_not() {
    let mut stage = running(json!({"maxAgeMinutes": 60})).await;
    let first = run_id(&stage.child().unwrap());
    tokio::time::advance(MINUTE * 20).await;
    // A drain deletes the pod.
    stage.end_pods();
    starts(&mut stage).await;
    gets_ready(&mut stage).await;
    assert_ne!(run_id(&stage.child().unwrap()), first);
    assert_eq!(announced(&stage), Some((StopRule::MaxAge, minute(60))));
    tokio::time::advance(MINUTE * 20).await;
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        object["metadata"]["annotations"][names::RESTARTED_AT] = json!("2026-01-01T00:40:00Z");
    });
    stage.reconcile().await.unwrap();
    stage.end_pods();
    starts(&mut stage).await;
    gets_ready(&mut stage).await;
    assert_eq!(announced(&stage), Some((StopRule::MaxAge, minute(100))));
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_acts_on_what_came_due() {
    let mut stage = running(json!({"maxAgeMinutes": 60})).await;
    tokio::time::advance(MINUTE * 90).await;
    stage.replace_operator(None);
    stage.set_clock(now);
    stage.reconcile().await.unwrap();
    is_stopped_by(&mut stage, StopRule::MaxAge, minute(90)).await;
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
async fn the_maximum_of_a_template_stops_a_workspace_that_names_none() {
    let mut stage = Stage::new();
    stage.set_clock(now);
    now();
    let mut template = objects::template("small");
    template.spec.limit_bounds = serde_json::from_value(json!({"maxAgeMinutes": {"max": 30}})).unwrap();
    stage.server.put::<WorkspaceTemplate>(&template);
    let mut demo = objects::workspace("demo");
    demo.spec.template_ref = Some("small".to_owned());
    stage.server.put(&demo);
    starts(&mut stage).await;
    gets_ready(&mut stage).await;
    assert_eq!(stage.status().resolved.unwrap().max_age_minutes, Some(30));
    assert_eq!(announced(&stage), Some((StopRule::MaxAge, minute(30))));
    pass(&mut stage, MINUTE * 30).await;
    is_stopped_by(&mut stage, StopRule::MaxAge, minute(30)).await;
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

#[tokio::test(start_paused = true)]
async fn no_limit_ends_a_run_whose_disk_is_being_deleted_and_the_status_says_so() {
    let mut stage = running(json!({"maxAgeMinutes": 60})).await;
    stage
        .server
        .edit::<PersistentVolumeClaim>(Some(NAMESPACE), CHILD, |claim| {
            claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:09:00Z");
            claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
            claim["spec"]["volumeName"] = json!("volume");
        });
    pass(&mut stage, MINUTE * 90).await;
    assert_eq!(
        (desired(&stage), announced(&stage)),
        (DesiredStatus::Running, None)
    );
    let message = stage.condition(api::condition::DEGRADED).message;
    assert!(message.contains("Until then no rule stops it"), "{message}");
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
