//! Network policies of namespaces: before each pod, and for as long as one needs them.

use std::time::Duration;

use api::{Workspace, WorkspaceManager, condition::reason, names, workspace::DesiredStatus};
use http::Method;
use k8s_openapi::api::{core::v1::Pod, networking::v1::NetworkPolicy};
use kube::ResourceExt as _;
use operator::controllers::network_policies;
use serde_json::{Value, json};
use testkit::{
    api_server::{Call, Disruption},
    objects::{self, NAMESPACE},
};
use tokio::{task::JoinHandle, time::Instant};

use crate::stage::{POLICIES, Stage, unisolated};

/// A call that comes late, but is not given up.
const LATE: Duration = Duration::from_millis(300);

fn policy(stage: &Stage, name: &str) -> Option<NetworkPolicy> {
    stage.server.get(Some(NAMESPACE), name)
}

fn put_manager(stage: &Stage, name: &str, network_policy: Value) {
    let mut manager = serde_json::to_value(objects::manager(name)).unwrap();
    manager["spec"]["networkPolicy"] = network_policy;
    stage
        .server
        .put(&serde_json::from_value::<WorkspaceManager>(manager).unwrap());
}

/// The labels that policies select.
fn labels(stage: &Stage) -> (Option<String>, Option<String>) {
    let pod = stage.child::<Pod>().unwrap();
    let label = |key: &str| pod.labels().get(key).cloned();
    (label(names::ISOLATED_LABEL), label(names::MANAGER))
}

fn labels_for(manager: &str) -> (Option<String>, Option<String>) {
    (Some("true".to_owned()), Some(rules::names::manager_hash(manager)))
}

#[tokio::test]
async fn a_running_pod_follows_its_manager_without_a_restart() {
    let mut stage = Stage::with_running_demo().await;
    let uid = stage.child_pod();
    put_manager(&stage, "main", json!({"egress": "None"}));
    stage.reconcile_policies().await;
    assert_eq!(stage.writes(), [format!("PATCH networkpolicies/{}", POLICIES[1])]);

    put_manager(&stage, "other", Value::Null);
    stage.edit_spec(|spec| spec["managerRef"] = json!("other"));
    stage.reconcile().await.unwrap();
    assert_eq!(labels(&stage), labels_for("other"));
    stage.reconcile_policies().await;
    let moved = format!("workspace--{}", rules::names::manager_hash("other"));
    let mut left = stage.policies();
    left.sort();
    let mut expected = [moved.as_str(), POLICIES[0]];
    expected.sort_unstable();
    assert_eq!(left, expected, "nobody uses the other manager");
    assert_eq!(unisolated(&stage.server), [""; 0]);

    put_manager(&stage, "other", json!({"enabled": false}));
    stage.reconcile().await.unwrap();
    assert_eq!(labels(&stage), (None, None));
    stage.reconcile_policies().await;
    assert_eq!(stage.policies(), [POLICIES[0]], "it stays for the next start");
    stage.server.take_calls();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.reconcile_policies().await, None);
    assert!(stage.server.take_calls().is_empty(), "settled");
    put_manager(&stage, "other", Value::Null);
    stage.reconcile().await.unwrap();
    assert_eq!((labels(&stage), stage.child_pod()), (labels_for("other"), uid));
}

#[tokio::test]
async fn a_policy_that_is_deleted_or_changed_while_nothing_else_happens_comes_back() {
    let mut stage = Stage::with_running_demo().await;
    assert_eq!(stage.reconcile_policies().await, None);
    assert!(stage.server.take_calls().is_empty(), "settled");
    let before: Vec<_> = POLICIES.map(|name| policy(&stage, name).unwrap().spec).into();
    stage.server.remove::<NetworkPolicy>(Some(NAMESPACE), POLICIES[1]);
    stage
        .server
        .edit::<NetworkPolicy>(Some(NAMESPACE), POLICIES[0], |policy| {
            policy["spec"]["podSelector"] = json!({"matchLabels": {"app": "another"}});
        });
    stage.reconcile_policies().await;
    let after: Vec<_> = POLICIES.map(|name| policy(&stage, name).unwrap().spec).into();
    assert_eq!(after, before);
}

#[tokio::test]
async fn without_its_policies_no_pod_is_made() {
    let quota = "networkpolicies.networking.k8s.io is forbidden: exceeded quota: none";
    let foreign =
        json!({"metadata": {"name": POLICIES[0], "namespace": NAMESPACE}, "spec": {"podSelector": {}}});
    let foreign: NetworkPolicy = serde_json::from_value(foreign).unwrap();
    for is_taken in [false, true] {
        let mut stage = Stage::with_demo();
        if is_taken {
            stage.server.put(&foreign);
        } else {
            stage.fail(Method::POST, "networkpolicies", 403, quota, 1);
        }
        stage.reconcile().await.unwrap();
        let expected = if is_taken {
            reason::NAME_CONFLICT
        } else {
            reason::QUOTA_EXCEEDED
        };
        assert_eq!(stage.status().reason.as_deref(), Some(expected));
        assert_eq!(stage.all::<Pod>().len(), 0);
        stage.reconcile_policies().await;
        if is_taken {
            assert_eq!(policy(&stage, POLICIES[0]).unwrap().labels().len(), 0);
            stage.server.remove::<NetworkPolicy>(Some(NAMESPACE), POLICIES[0]);
        }
        stage.run().await;
    }
}

/// `demo` was deleted, and the operator deletes the policies of its namespace. Returns it when the base policy's deletion was sent, and the
/// deletion comes this late.
async fn while_policies_are_deleted(
    stage: &mut Stage,
    late: Duration,
) -> (Workspace, JoinHandle<Option<Duration>>) {
    stage.stop().await;
    let mut demo = stage.workspace();
    stage.server.remove::<Workspace>(Some(NAMESPACE), "demo");
    stage.sync();
    let context = stage.context.clone();
    stage
        .server
        .disrupt(Method::DELETE, POLICIES[0], Disruption::Late(late));
    let deletion = tokio::spawn(async move { network_policies::reconcile(&context).await });
    let is_sent = |calls: &[Call]| {
        let mut calls = calls.iter();
        calls.any(|call| call.method == Method::DELETE && call.path.contains(POLICIES[0]))
    };
    while !is_sent(&stage.server.take_calls()) {
        tokio::task::yield_now().await;
    }
    demo.spec.desired_status = DesiredStatus::Running;
    (demo, deletion)
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_comes_late_fails_after_the_first_start_under_another_leader() {
    let mut stage = Stage::with_running_demo().await;
    let (demo, deletion) = while_policies_are_deleted(&mut stage, LATE).await;
    stage.replace_operator(None);
    stage.server.put(&demo);
    stage.reconcile().await.unwrap();
    assert!(stage.child::<Pod>().is_some());
    assert!(deletion.await.unwrap().is_some(), "it was not deleted");
    assert_eq!(stage.policies(), POLICIES);
    assert_eq!(unisolated(&stage.server), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_start_while_policies_are_deleted_waits_and_makes_them_again() {
    let mut stage = Stage::with_running_demo().await;
    let (demo, deletion) = while_policies_are_deleted(&mut stage, LATE).await;
    stage.server.put(&demo);
    // The cache of policies stays as it was.
    stage.sync_one(0);
    stage.reconcile_unsynced("demo").await.unwrap();
    assert!(stage.child::<Pod>().is_some());
    deletion.await.unwrap();
    assert_eq!(stage.policies(), POLICIES);
    assert_eq!(unisolated(&stage.server), [""; 0]);
}

#[tokio::test]
async fn a_pod_of_others_with_our_labels_keeps_policies_and_opens_nothing() {
    let mut stage = Stage::with_running_demo().await;
    let mut other = stage.child::<Pod>().unwrap();
    other.metadata.name = Some("other".to_owned());
    for is_gone in [false, true] {
        stage.server.put(&other);
        if is_gone {
            stage.server.remove::<Workspace>(Some(NAMESPACE), "demo");
            stage.end_pods();
            stage.server.put(&other);
            stage.reconcile_policies().await;
            assert_eq!(stage.policies(), POLICIES, "a pod needs them");
        }
        for name in POLICIES {
            stage.server.remove::<NetworkPolicy>(Some(NAMESPACE), name);
        }
        stage.reconcile_policies().await;
        // The control: a run of the manager.
        let expected = if is_gone { &POLICIES[..1] } else { &POLICIES };
        assert_eq!(stage.policies(), expected);
    }
}

/// `demo` runs, and another client has just changed the policy that denies so often that it is not written now. Workspaces `second` and
/// `third` may start: by the manager `other`.
async fn while_contested() -> Stage {
    let mut stage = Stage::with_running_demo().await;
    for _ in 0..4 {
        stage.reconcile_policies().await;
        stage
            .server
            .edit::<NetworkPolicy>(Some(NAMESPACE), POLICIES[0], |policy| {
                policy["spec"]["ingress"] = json!([{}]);
            });
    }
    put_manager(&stage, "other", Value::Null);
    for name in ["second", "third"] {
        let mut workspace = serde_json::to_value(objects::workspace(name)).unwrap();
        workspace["spec"]["managerRef"] = json!("other");
        stage
            .server
            .put(&serde_json::from_value::<Workspace>(workspace).unwrap());
    }
    stage.add_finalizers();
    stage.sync();
    stage.server.take_calls();
    stage
}

#[tokio::test(start_paused = true)]
async fn a_contested_policy_does_not_hide_that_the_other_was_refused() {
    let stage = while_contested().await;
    let quota = "networkpolicies.networking.k8s.io is forbidden: exceeded quota: none";
    stage.fail(Method::POST, "networkpolicies", 403, quota, 1);
    stage.reconcile_unsynced("second").await.unwrap();
    let second: Workspace = stage.server.get(Some(NAMESPACE), "second").unwrap();
    let status = second.status.unwrap();
    assert_eq!(status.reason.as_deref(), Some(reason::QUOTA_EXCEEDED));
    assert_eq!(stage.all::<Pod>().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn starts_do_not_wait_for_each_other_while_a_policy_is_contested() {
    let mut stage = while_contested().await;
    stage.edit_spec(|spec| spec["managerRef"] = json!("other"));
    stage.reconcile().await.unwrap();
    stage.sync();
    for _ in 0..2 {
        let slow = Disruption::Late(Duration::from_secs(1));
        stage.server.disrupt(Method::POST, "/pods", slow);
    }
    let begin = Instant::now();
    let (second, third) = futures::join!(
        stage.reconcile_unsynced("second"),
        stage.reconcile_unsynced("third")
    );
    assert!(second.is_ok() && third.is_ok());
    assert_eq!(stage.all::<Pod>().len(), 3);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_was_given_up_fails_after_the_next_start() {
    let mut stage = Stage::with_running_demo().await;
    let (demo, deletion) = while_policies_are_deleted(&mut stage, Duration::from_secs(20)).await;
    assert!(deletion.await.unwrap().is_some(), "it was given up");
    stage.server.put(&demo);
    stage.reconcile().await.unwrap();
    assert!(stage.child::<Pod>().is_some());
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(stage.policies(), POLICIES);
    assert_eq!(unisolated(&stage.server), [""; 0]);
}
