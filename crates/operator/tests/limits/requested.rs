//! Workspaces in which `stop-workspace` is called are stopped at once.

use api::{
    condition::{self, reason},
    workspace::{DesiredStatus, StopRule},
};
use serde_json::{Value, json};

use super::{
    MINUTE, announced, desired, edit_pod, forge_stop, gets_ready, is_stopped_by, minute, note, pass, running,
    second, starts,
};
use crate::stage::Stage;

/// The container of `demo` with this name ends, now. `is_back`: the kubelet has started it again.
pub(super) fn ends(stage: &Stage, name: &str, message: &str, exit_code: i32, is_back: bool) {
    let terminated = json!({"terminated": {
        "exitCode": exit_code, "reason": "Completed", "message": message, "finishedAt": second().to_string(),
        "startedAt": "2026-01-01T00:00:00Z",
    }});
    edit_pod(stage, |pod| {
        let all = pod["status"]["containerStatuses"].as_array_mut().unwrap();
        let mut container = all[0].clone();
        container["name"] = json!(name);
        container["ready"] = json!(is_back);
        let started = json!({"running": {"startedAt": second().to_string()}});
        let (present, last) = if is_back {
            container["restartCount"] = json!(1);
            (started, terminated)
        } else {
            (terminated, Value::Null)
        };
        container["state"] = present;
        container["lastState"] = last;
        all.retain(|container| container["name"] != name);
        all.push(container);
    });
}

#[tokio::test(start_paused = true)]
async fn a_workspace_is_stopped_once_its_container_has_ended_by_request_also_if_it_is_back() {
    for is_back in [false, true] {
        let mut stage = running(json!(null)).await;
        tokio::time::advance(MINUTE * 30).await;
        ends(&stage, "workspace", "stop-workspace\n", 0, is_back);
        forge_stop(&stage, StopRule::MaxAge);
        stage.reconcile().await.unwrap();
        assert_eq!(
            stage.condition(condition::DEGRADED).status,
            "False",
            "it is no failure"
        );
        is_stopped_by(&mut stage, StopRule::Requested, second()).await;
        let words = "because stop-workspace was called in it";
        assert!(note(&stage, reason::REQUESTED_STOPPED).contains(words));
        let message = stage.status().message.unwrap();
        assert!(message.contains(&format!("{words}. No pod is left")), "{message}");
        assert!(!stage.events().contains(&reason::CONTAINER_COMPLETED.to_owned()));
        // The next run has not asked for anything.
        stage.set(DesiredStatus::Running);
        starts(&mut stage).await;
        gets_ready(&mut stage).await;
        pass(&mut stage, MINUTE).await;
        assert_eq!(
            (desired(&stage), announced(&stage)),
            (DesiredStatus::Running, None)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_by_a_clock_that_is_ahead_counts_from_now_also_while_the_stop_is_refused() {
    let mut stage = running(json!(null)).await;
    tokio::time::advance(MINUTE * 30).await;
    ends(&stage, "workspace", "stop-workspace", 0, true);
    edit_pod(&stage, |pod| {
        let container = &mut pod["status"]["containerStatuses"][0];
        container["lastState"]["terminated"]["finishedAt"] = json!("2026-01-01T09:00:00Z");
    });
    stage.server.admit(|object| {
        let refusal = json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "a policy says no"});
        (object["spec"]["desiredStatus"] == "Stopped").then_some(refusal)
    });
    let asked = Some((StopRule::Requested, second()));
    for _ in 0..2 {
        stage.reconcile().await.unwrap();
        assert_eq!(
            (desired(&stage), announced(&stage)),
            (DesiredStatus::Running, asked)
        );
        tokio::time::advance(MINUTE).await;
    }
    stage.server.admit(|_| None);
    stage.reconcile().await.unwrap();
    is_stopped_by(&mut stage, StopRule::Requested, second()).await;
}

#[tokio::test(start_paused = true)]
async fn other_containers_messages_and_exit_codes_ask_for_nothing() {
    for (name, message, exit_code) in [
        ("helper", "stop-workspace", 0),
        ("workspace", "bash: stop-workspace: command not found", 0),
        ("workspace", "stop-workspace", 1),
        ("workspace", "", 0),
    ] {
        let mut stage = running(json!(null)).await;
        for is_back in [false, true] {
            ends(&stage, name, message, exit_code, is_back);
            pass(&mut stage, MINUTE).await;
            let found = (desired(&stage), stage.status().stop_requested_at);
            assert_eq!(
                found,
                (DesiredStatus::Running, None),
                "{name} {message} {exit_code}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_while_the_operator_was_away_counts_when_it_is_back_unless_the_container_ended_once_more() {
    for ended_once_more in [false, true] {
        let mut stage = running(json!(null)).await;
        ends(&stage, "workspace", "stop-workspace", 0, true);
        tokio::time::advance(MINUTE * 60).await;
        if ended_once_more {
            ends(&stage, "workspace", "a crash", 1, true);
        }
        stage.replace_operator(None);
        stage.set_clock(crate::start_timeout::now);
        stage.reconcile().await.unwrap();
        if ended_once_more {
            assert_eq!(desired(&stage), DesiredStatus::Running);
        } else {
            is_stopped_by(&mut stage, StopRule::Requested, minute(60)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_in_a_pod_that_ends_anyway_does_not_stop_the_start_that_waits_for_that() {
    let mut stage = running(json!(null)).await;
    stage.set(DesiredStatus::Stopped);
    stage.reconcile().await.unwrap();
    edit_pod(&stage, |pod| {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
    });
    stage.set(DesiredStatus::Running);
    stage.reconcile().await.unwrap();
    ends(&stage, "workspace", "stop-workspace", 0, false);
    pass(&mut stage, MINUTE).await;
    assert!(stage.is_ending(), "the start waits");
    assert_eq!(desired(&stage), DesiredStatus::Running);
    stage.end_pods();
    starts(&mut stage).await;
    gets_ready(&mut stage).await;
    pass(&mut stage, MINUTE).await;
    let found = (desired(&stage), stage.status().stop_requested_at);
    assert_eq!(found, (DesiredStatus::Running, None));
    // The control: in the run that has started it does.
    ends(&stage, "workspace", "stop-workspace", 0, false);
    stage.reconcile().await.unwrap();
    assert_eq!(desired(&stage), DesiredStatus::Stopped);
}
