//! Stopped workspaces whose retention is over are deleted: as announced, a few at a time, and never by a wrong clock.

use std::time::Duration;

use api::{
    Workspace, WorkspaceTemplate,
    condition::{VALID, reason},
    names,
    workspace::{DesiredStatus, Phase},
};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{core::v1::PersistentVolumeClaim, events::v1::Event};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use testkit::{
    api_server::{ApiServer, Call, Disruption},
    objects::{self, NAMESPACE},
};

use crate::{
    faults::metrics,
    stage::{Stage, seconds, short},
    start_timeout::now,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
const NOTICE: SignedDuration = rules::expiry::NOTICE;

/// The operator deletes stopped workspaces, or not.
fn set_up(stage: &mut Stage, deletes_stopped: bool) {
    let image = "localhost/jk8s-application-jupyter-uv:1";
    stage.set_up_anew(&format!(
        "{{defaultImage: uv, imageAliases: {{uv: '{image}'}}, admission: true, deletesStopped: {deletes_stopped}}}"
    ));
    stage.set_clock(now);
    now();
}

/// From now on the API server's clock is ahead of the operator's by `skew`.
fn set_skew(stage: &Stage, skew: SignedDuration) {
    let date = move || (now() + skew).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    stage.server.show_date(date);
}

/// `demo`, stopped on day 0, with a retention of 30 days.
async fn stopped(retain: &str) -> Stage {
    let mut stage = Stage::with_demo();
    set_up(&mut stage, true);
    set_skew(&stage, SignedDuration::ZERO);
    stage.edit_spec(|spec| {
        spec["limits"] = json!({"stoppedRetentionDays": 30});
        spec["storage"]["retain"] = json!(retain);
    });
    stage.run().await;
    stage.stop().await;
    stage
}

/// So many days from then.
fn after(begin: Timestamp, days: i64) -> Timestamp {
    begin + SignedDuration::from_hours(24 * days)
}

fn announced(stage: &Stage) -> Option<Timestamp> {
    stage.status().deletes_at.map(|time| time.0)
}

fn is_deleted(stage: &Stage) -> bool {
    stage.workspace().metadata.deletion_timestamp.is_some()
}

/// Time passes, and a reconcile follows.
async fn pass(stage: &mut Stage, span: Duration) {
    tokio::time::advance(span).await;
    stage.reconcile().await.unwrap();
}

fn notes(stage: &Stage, reason: &str) -> Vec<String> {
    let events = stage.all::<Event>().into_iter();
    let events = events.filter(|event| event.reason.as_deref() == Some(reason));
    events.filter_map(|event| event.note).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stopped_workspace_is_deleted_at_the_announced_time_as_by_a_user() {
    for retain in ["Delete", "Retain"] {
        let mut stage = stopped(retain).await;
        let due = after(now(), 30);
        assert_eq!(announced(&stage), Some(due));
        let notice = notes(&stage, reason::DELETION_ANNOUNCED);
        let when = "after 30 days without a start (spec.limits.stoppedRetentionDays)";
        let files = if retain == "Delete" {
            "all files on it are deleted"
        } else {
            "is kept: a workspace of the same name uses it again"
        };
        assert_eq!(notice.len(), 1, "{notice:?}");
        for part in [&format!("at {due}"), when, files, "start it"] {
            assert!(notice[0].contains(part), "{part}: {notice:?}");
        }
        tokio::time::advance(MINUTE * (30 * 24 * 60 - 1)).await;
        stage.server.take_calls();
        let waits = stage.reconcile().await.unwrap();
        assert!((seconds(&waits) - 60.0).abs() < 0.01, "one timer: {waits:?}");
        let calls: Vec<_> = stage.server.take_calls().iter().map(Call::line).collect();
        assert_eq!(calls, [""; 0], "nothing is asked or written while it waits");
        assert!(metrics(&stage).contains("expired_workspaces_total 0\n"));
        pass(&mut stage, MINUTE).await;
        assert!(metrics(&stage).contains("expired_workspaces_total 1\n"));
        let calls = stage.server.take_calls();
        let lines: Vec<_> = calls.iter().map(short).collect();
        assert_eq!(
            lines[..3],
            ["GET /version", "GET workspaces/demo", "DELETE workspaces/demo"].map(str::to_owned)
        );
        let demo = stage.workspace();
        assert!(is_deleted(&stage));
        let preconditions = &calls[2].body["preconditions"];
        assert_eq!(preconditions["uid"], json!(demo.metadata.uid));
        assert!(preconditions["resourceVersion"].is_string(), "{preconditions}");
        let deleted = notes(&stage, reason::RETENTION_DELETED);
        assert!(
            deleted[0].starts_with(&format!("Deleted {when}; its disk ")),
            "{deleted:?}"
        );
        assert!(deleted[0].contains(files), "{deleted:?}");
        stage.reconcile().await.unwrap();
        let claim = stage.child::<PersistentVolumeClaim>();
        let is_kept = claim.is_some_and(|claim| claim.metadata.deletion_timestamp.is_none());
        assert_eq!(is_kept, retain == "Retain");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_no_change_of_the_pod_and_a_start_begins_anew() {
    let mut stage = stopped("Delete").await;
    let begin = now();
    pass(&mut stage, DAY * 29).await;
    stage.set(DesiredStatus::Running);
    stage.run().await;
    assert_eq!(announced(&stage), None);
    let run = stage.status().run_id;
    stage.edit_spec(|spec| spec["limits"]["stoppedRetentionDays"] = json!(10));
    pass(&mut stage, DAY * 20).await;
    let status = stage.status();
    assert_eq!((status.phase, &status.run_id), (Some(Phase::Running), &run));
    assert_eq!(status.pending_update, [""; 0]);
    assert!(!is_deleted(&stage));
    stage.stop().await;
    assert_eq!(announced(&stage), Some(after(begin, 59)));
    assert_eq!(notes(&stage, reason::DELETION_ANNOUNCED).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_wish_to_run_begins_the_days_anew_also_where_the_workspace_was_invalid() {
    for (desired, phase, days) in [("Running", Phase::Invalid, 50), ("Stopped", Phase::Stopped, 30)] {
        let mut stage = stopped("Delete").await;
        let begin = now();
        stage.edit_spec(|spec| {
            spec["desiredStatus"] = json!(desired);
            spec["executionProfileRef"] = json!("gone");
        });
        pass(&mut stage, DAY * 20).await;
        assert_eq!((stage.status().phase, announced(&stage)), (Some(phase), None));
        stage.edit_spec(|spec| {
            spec["desiredStatus"] = json!("Stopped");
            spec["executionProfileRef"] = Value::Null;
        });
        for _ in 0..2 {
            stage.reconcile().await.unwrap();
            assert_eq!(announced(&stage), Some(after(begin, days)), "{desired}");
            tokio::time::advance(DAY).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_nothing_is_deleted_that_was_not_announced_a_day_before() {
    let mut stage = stopped("Delete").await;
    let begin = now();
    stage.edit_spec(|spec| spec["limits"] = json!(null));
    stage.reconcile().await.unwrap();
    assert_eq!(announced(&stage), None);
    // The limit is set while no operator runs, and is over when one is back.
    stage.edit_spec(|spec| spec["limits"] = json!({"stoppedRetentionDays": 30}));
    set_up(&mut stage, true);
    pass(&mut stage, DAY * 40).await;
    assert_eq!(announced(&stage), Some(after(begin, 40) + NOTICE));
    set_up(&mut stage, true);
    pass(&mut stage, DAY).await;
    assert!(!is_deleted(&stage));
    pass(&mut stage, MINUTE * 11).await;
    assert!(is_deleted(&stage));
    // Announced before: it acts when it is back, or after another day's notice.
    for (outage, is_at_once) in [(DAY * 31, true), (DAY * 31 + MINUTE, false)] {
        let mut stage = stopped("Delete").await;
        set_up(&mut stage, true);
        pass(&mut stage, outage).await;
        assert_eq!(is_deleted(&stage), is_at_once, "{outage:?}");
        if !is_at_once {
            pass(&mut stage, DAY + MINUTE * 11).await;
            assert!(is_deleted(&stage));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_owner_has_another_day_although_an_apply_fails() {
    let mut stage = stopped("Delete").await;
    let begin = now();
    tokio::time::advance(MINUTE * (30 * 24 * 60 - 1)).await;
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", hand_over);
    stage.fail(
        Method::PATCH,
        "persistentvolumeclaims",
        403,
        "a policy says no",
        1,
    );
    stage.reconcile().await.unwrap();
    assert_eq!(stage.server.unmet(), [""; 0]);
    pass(&mut stage, MINUTE * 2).await;
    assert!(!is_deleted(&stage));
    let next = announced(&stage).map(|at| at.duration_since(begin).as_hours() / 24);
    assert_eq!(next, Some(30 + 1));
}

/// What users do in the last second.
fn start(object: &mut Value) {
    object["spec"]["desiredStatus"] = json!("Running");
}

fn edit(object: &mut Value) {
    object["spec"]["displayName"] = json!("again");
}

fn lengthen(object: &mut Value) {
    object["spec"]["limits"]["stoppedRetentionDays"] = json!(60);
}

fn hand_over(object: &mut Value) {
    object["metadata"]["annotations"][names::CREATED_BY] = json!("bob");
}

#[tokio::test(start_paused = true)]
async fn whatever_a_user_does_in_the_last_second_wins() {
    type Act = fn(&mut Value);
    let acts: [(Act, i64, i64); 4] = [
        (start, 1, 0),
        (edit, 1, 31),
        (lengthen, 1, 60),
        (hand_over, 0, 31),
    ];
    // Before the operator reads it again, and before its deletion arrives.
    for moment in [Method::GET, Method::DELETE] {
        for (act, generations, day_of_deletion) in acts {
            let mut stage = stopped("Delete").await;
            let begin = now();
            tokio::time::advance(DAY * 30).await;
            let meanwhile = move |server: &ApiServer| {
                server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
                    act(object);
                    let generation = object["metadata"]["generation"].as_i64().unwrap();
                    object["metadata"]["generation"] = json!(generation + generations);
                });
            };
            let disruption = Disruption::Meanwhile(Box::new(meanwhile));
            stage
                .server
                .disrupt(moment.clone(), "workspaces/demo", disruption);
            stage.reconcile().await.unwrap();
            assert_eq!(stage.server.unmet(), [""; 0]);
            assert!(!is_deleted(&stage), "{moment} {day_of_deletion}");
            assert_eq!(notes(&stage, reason::RETENTION_DELETED), [""; 0]);
            pass(&mut stage, SECOND * 10).await;
            assert!(!is_deleted(&stage));
            let next = announced(&stage).map(|at| at.duration_since(begin).as_hours() / 24);
            assert_eq!(next.unwrap_or_default(), day_of_deletion, "{moment}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_announced_or_deleted_while_the_clocks_differ() {
    for hours in [-1, 1] {
        let mut stage = stopped("Delete").await;
        tokio::time::advance(DAY * 30).await;
        set_skew(&stage, SignedDuration::from_hours(hours));
        let waits = stage.reconcile().await.unwrap();
        assert!(!is_deleted(&stage));
        assert!(seconds(&waits) <= 300.0, "{waits:?}");
        set_skew(&stage, SignedDuration::from_mins(hours * 4));
        pass(&mut stage, MINUTE * 5).await;
        assert!(is_deleted(&stage));
    }
    let mut stage = Stage::with_demo();
    set_up(&mut stage, true);
    stage.edit_spec(|spec| {
        spec["desiredStatus"] = json!("Stopped");
        spec["limits"] = json!({"stoppedRetentionDays": 7});
        spec["storage"]["retain"] = json!("Delete");
    });
    stage.reconcile().await.unwrap();
    assert_eq!(announced(&stage), None, "no date is known");
    set_skew(&stage, SignedDuration::from_mins(6));
    stage.reconcile().await.unwrap();
    assert_eq!(announced(&stage), None);
    set_skew(&stage, SignedDuration::ZERO);
    stage.reconcile().await.unwrap();
    assert!(announced(&stage).is_some());
}

#[tokio::test(start_paused = true)]
async fn at_most_ten_are_deleted_a_minute() {
    let mut stage = Stage::new();
    set_up(&mut stage, true);
    set_skew(&stage, SignedDuration::ZERO);
    let names: Vec<_> = (0..25).map(|number| format!("w{number}")).collect();
    for name in &names {
        let mut workspace = objects::workspace(name);
        workspace.spec.desired_status = DesiredStatus::Stopped;
        let limits = json!({"stoppedRetentionDays": 7});
        workspace.spec.limits = serde_json::from_value(limits).unwrap();
        let storage = json!({"size": "1Gi", "retain": "Delete"});
        workspace.spec.storage = serde_json::from_value(storage).unwrap();
        stage.server.put(&workspace);
    }
    let mut deletions = Vec::new();
    stage.add_finalizers();
    for step in 0..100 {
        stage.sync();
        for name in &names {
            let stored: Workspace = stage.server.get(Some(NAMESPACE), name).unwrap();
            if stored.metadata.deletion_timestamp.is_none() {
                stage.reconcile_unsynced(name).await.unwrap();
            }
        }
        let calls = stage.server.take_calls();
        let sent = calls
            .iter()
            .filter(|call| short(call).starts_with("DELETE workspaces/"));
        deletions.extend(sent.map(|_| step * 2));
        tokio::time::advance(if step == 0 { DAY * 7 } else { SECOND * 2 }).await;
    }
    assert_eq!(deletions.len(), 25, "{deletions:?}");
    for first in &deletions {
        let minute = deletions.iter().filter(|it| (*first..first + 60).contains(*it));
        assert!(minute.count() <= 10, "{deletions:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_setting_nothing_is_promised_or_deleted() {
    let mut stage = stopped("Delete").await;
    set_up(&mut stage, false);
    stage.reconcile().await.unwrap();
    assert_eq!(announced(&stage), None);
    assert_eq!(stage.status().resolved.unwrap().stopped_retention_days, None);
    stage.server.take_calls();
    pass(&mut stage, DAY * 60).await;
    assert!(!is_deleted(&stage));
    assert!(stage.server.take_calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_the_api_server_refuses_is_reported_and_tried_again() {
    let mut stage = stopped("Delete").await;
    stage.fail(Method::DELETE, "workspaces/demo", 403, "a policy says no", 1);
    pass(&mut stage, DAY * 30).await;
    assert!(!is_deleted(&stage));
    let notes = notes(&stage, reason::DELETION_REFUSED);
    assert!(
        notes[0].contains("status.deletesAt") && notes[0].contains("a policy says no"),
        "{notes:?}"
    );
    pass(&mut stage, MINUTE).await;
    assert!(is_deleted(&stage));
}

#[tokio::test(start_paused = true)]
async fn a_retention_by_the_template_counts_if_somebody_says_what_becomes_of_the_disk() {
    for retain in [None, Some("Retain")] {
        let mut stage = Stage::new();
        set_up(&mut stage, true);
        set_skew(&stage, SignedDuration::ZERO);
        let mut template: WorkspaceTemplate = objects::template("lab");
        let limits = json!({"stoppedRetentionDays": 7});
        template.spec.default_limits = serde_json::from_value(limits).unwrap();
        let storage = json!({"defaultSize": "1Gi", "retain": retain});
        template.spec.primary_storage = serde_json::from_value(storage).unwrap();
        stage.server.put(&template);
        let mut demo = objects::workspace("demo");
        demo.spec.template_ref = Some(template.name_any());
        demo.spec.desired_status = DesiredStatus::Stopped;
        let uid = template.uid().unwrap();
        demo.annotations_mut()
            .insert(names::ATTESTED_TEMPLATE.to_owned(), uid);
        stage.server.put(&demo);
        stage.reconcile().await.unwrap();
        let valid = stage.condition(VALID);
        assert_eq!(announced(&stage).is_some(), retain.is_some(), "{valid:?}");
        let says = valid.message.contains("spec.limits.stoppedRetentionDays");
        assert_eq!(says, retain.is_none(), "{valid:?}");
    }
}
