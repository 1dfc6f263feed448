//! Workspaces whose maximum age is over are stopped, whatever their use and whatever else changes.

use api::{
    Workspace, WorkspaceTemplate,
    condition::{self, reason},
    names,
    workspace::{AccessType, DesiredStatus, Phase, StopRule, WorkspaceStatus},
};
use jiff::SignedDuration;
use kube::ResourceExt as _;
use operator::controllers::shares;
use serde_json::{Value, json};
use testkit::objects::{self, NAMESPACE};

use super::{
    MINUTE, add_container, announced, desired, edit_pod, forge_stop, gets_ready, is_stopped_by, minute, note,
    pass, running, second, starts,
};
use crate::{
    sharing::{put_share, reported},
    stage::{Stage, run_id, seconds},
    start_timeout::now,
};

#[tokio::test(start_paused = true)]
async fn a_maximum_age_stops_a_workspace_at_the_announced_time_and_a_start_begins_anew() {
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
            add_container(&stage);
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
async fn a_loop_that_keeps_the_maximum_age_from_being_announced_holds_it_up_for_five_minutes() {
    type Store = fn(&mut Value);
    // What is stored when the loop begins.
    let stored: [(&str, Store); 4] = [
        ("an idle stop", |status| {
            status["stopsBecause"] = json!("Idle");
            status["stopsAt"] = json!("2026-01-31T00:00:00Z");
        }),
        ("no stop", |status| {
            status["stopsBecause"] = Value::Null;
            status["stopsAt"] = Value::Null;
        }),
        ("a stop of an earlier run", |status| {
            status["runID"] = json!("earlier");
        }),
        ("no status", |status| *status = Value::Null),
    ];
    for (what, store) in stored {
        for (minutes, is_late) in [(64, false), (65, true)] {
            let mut stage = running(json!({"maxAgeMinutes": 60})).await;
            tokio::time::advance(MINUTE * minutes).await;
            stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
                store(&mut object["status"]);
            });
            stage.sync();
            // The cache has not seen it, so each write of a status fails.
            annotate(&stage, |all| all["x.example/y"] = json!("1"));
            stage.server.take_calls();
            stage.reconcile_unsynced("demo").await.unwrap();
            let mut expected = vec!["PATCH workspaces/demo/status"];
            if is_late {
                expected.push("PATCH workspaces/demo");
            }
            assert_eq!(stage.writes(), expected, "{what}");
            if is_late {
                is_stopped_by(&mut stage, StopRule::MaxAge, second()).await;
            } else {
                assert_eq!(desired(&stage), DesiredStatus::Running, "{what}");
            }
        }
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

fn annotate(stage: &Stage, change: fn(&mut Value)) {
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        change(&mut object["metadata"]["annotations"]);
    });
}

/// Nobody gets round it: what its user, another owner, a guest or an administrator writes during the run moves nothing.
#[tokio::test(start_paused = true)]
async fn no_write_to_a_running_workspace_moves_its_maximum_age() {
    type Write = fn(&Stage);
    type IsSeen = fn(&WorkspaceStatus) -> bool;
    let writes: [(&str, Write, IsSeen); 9] = [
        (
            "another image, idle rule and name",
            |stage| {
                stage.edit_spec(|spec| {
                    spec["image"] = json!("other:1");
                    spec["displayName"] = json!("other");
                    spec["idleShutdown"] = json!({"enabled": false});
                });
            },
            |status| !status.pending_update.is_empty(),
        ),
        (
            "open to all",
            |stage| stage.edit_spec(|spec| spec["accessType"] = json!("Public")),
            |status| {
                let resolved = status.resolved.as_ref();
                resolved.is_some_and(|values| values.access_type == Some(AccessType::Public))
            },
        ),
        (
            "a share",
            |stage| put_share(stage, &json!({"workspaceUID": "uid-of-demo"})),
            |status| status.phase == Some(Phase::Running),
        ),
        (
            "what makes it invalid, with a longer limit",
            |stage| {
                stage.edit_spec(|spec| {
                    spec["executionProfileRef"] = json!("gone");
                    spec["limits"]["maxAgeMinutes"] = json!(600);
                });
            },
            |status| !condition::holds(&status.conditions, condition::VALID),
        ),
        (
            "recovery",
            |stage| stage.edit_spec(|spec| spec["recoveryMode"] = json!(true)),
            |status| !status.pending_update.is_empty(),
        ),
        (
            "a hand-over to an administrator",
            |stage| annotate(stage, |all| all[names::CREATED_BY] = json!("system:admin")),
            |status| status.owner.as_deref() == Some("system:admin"),
        ),
        (
            "kept",
            |stage| {
                annotate(stage, |all| {
                    all[names::KEEP_UNTIL] = json!("2026-01-01T23:00:00Z");
                });
            },
            |status| status.kept.is_some(),
        ),
        (
            "a stop that was forged",
            |stage| forge_stop(stage, StopRule::MaxAge),
            |status| status.stopped_because.is_none(),
        ),
        (
            "as many annotations as are allowed",
            |stage| {
                annotate(stage, |all| {
                    for number in 0..names::MAX_ANNOTATIONS - 10 {
                        all[format!("x.example/{number}")] = json!("1");
                    }
                });
            },
            |status| status.phase == Some(Phase::Running),
        ),
    ];
    for (what, write, is_seen) in writes {
        let mut stage = running(json!({"maxAgeMinutes": 60})).await;
        let expected = announced(&stage).unwrap();
        assert_eq!(
            expected,
            (StopRule::MaxAge, second() + SignedDuration::from_mins(60))
        );
        for minutes in [10, 20, 29] {
            tokio::time::advance(MINUTE * minutes).await;
            write(&stage);
            stage.reconcile().await.unwrap();
            shares::reconcile(&stage.context).await;
            assert!(what != "a share" || reported(&stage) == reason::SHARED);
            let found = (desired(&stage), announced(&stage));
            assert_eq!(found, (DesiredStatus::Running, Some(expected)), "{what}");
            assert!(is_seen(&stage.status()), "{what}");
        }
        write(&stage);
        pass(&mut stage, MINUTE).await;
        is_stopped_by(&mut stage, StopRule::MaxAge, expected.1).await;
    }
}

/// A pod that was there before does not go on in the next workspace of that name.
#[tokio::test(start_paused = true)]
async fn a_workspace_that_is_deleted_and_made_anew_has_another_pod_and_the_same_time_from_its_start() {
    let mut stage = running(json!({"maxAgeMinutes": 60})).await;
    let first = run_id(&stage.child().unwrap());
    tokio::time::advance(MINUTE * 50).await;
    stage.delete_demo();
    stage.reconcile().await.unwrap();
    assert!(stage.is_ending(), "its pod ends with it");
    while !stage.all::<Workspace>().is_empty() {
        stage.collect_garbage();
        stage.reconcile().await.unwrap();
    }
    let mut demo = objects::workspace("demo");
    demo.metadata.uid = Some("uid-of-another".to_owned());
    demo.spec.limits = serde_json::from_value(json!({"maxAgeMinutes": 60})).unwrap();
    stage.server.put(&demo);
    starts(&mut stage).await;
    gets_ready(&mut stage).await;
    assert_ne!(run_id(&stage.child().unwrap()), first);
    assert_eq!(announced(&stage), Some((StopRule::MaxAge, minute(110))));
    pass(&mut stage, MINUTE * 60).await;
    assert_eq!(desired(&stage), DesiredStatus::Stopped);
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
    forge_stop(&stage, StopRule::MaxAge);
    stage.edit_spec(|spec| spec["displayName"] = json!("other"));
    stage.reconcile().await.unwrap();
    assert_eq!(announced(&stage), Some((StopRule::MaxAge, minute(60))), "forged");
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
