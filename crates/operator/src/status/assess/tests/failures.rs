//! The plain failures: reason, time of the report, and a stable message.

use api::condition::reason::{
    CONTAINER_COMPLETED, CONTAINER_EXITED, CONTAINER_START_FAILED, CRASH_LOOPING, IMAGE_PULL_FAILED,
    OOM_KILLED,
};

use super::*;

#[test]
fn each_failure_of_the_pod_has_its_own_reason() {
    let waiting = |why: &str| json!({"waiting": {"reason": why, "message": "details"}});
    let ended = |why: &str, code: i32| json!({"terminated": {"reason": why, "exitCode": code}});
    let running = json!({"running": {"startedAt": "2026-01-01T00:00:08Z"}});
    let none = json!({});
    let back_off = waiting("CrashLoopBackOff");
    for (state, last, restarts, expected) in [
        (&waiting("ErrImagePull"), &none, 0, IMAGE_PULL_FAILED),
        (&waiting("ImagePullBackOff"), &none, 0, IMAGE_PULL_FAILED),
        (&waiting("ErrImageNeverPull"), &none, 0, IMAGE_PULL_FAILED),
        (
            &waiting("CreateContainerConfigError"),
            &none,
            0,
            CONTAINER_START_FAILED,
        ),
        (&ended("StartError", 128), &none, 0, CONTAINER_START_FAILED),
        (&back_off, &ended("StartError", 128), 3, CONTAINER_START_FAILED),
        (&ended("Completed", 0), &none, 1, CONTAINER_COMPLETED),
        (&running, &ended("Error", 1), 2, CRASH_LOOPING),
        (&ended("OOMKilled", 137), &none, 0, OOM_KILLED),
        (&back_off, &ended("OOMKilled", 137), 4, OOM_KILLED),
    ] {
        let case = Case::new(testing::started()).container(state, last, restarts);
        assert_eq!(cause(&case), (expected.to_owned(), Phase::Failed), "{state}");
    }
}

/// The states that the kubelet shows of a container that exits at once, in order. A busy kubelet may repeat or reorder them.
#[test]
fn a_container_that_flips_fast_has_ended_once_and_then_again_and_never_in_reverse() {
    let end = json!({"terminated": {"reason": "Error", "exitCode": 1}});
    let running = json!({"running": {"startedAt": "2026-01-01T00:00:08Z"}});
    let back_off = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}});
    let creating = json!({"waiting": {"reason": "ContainerCreating"}});
    let none = json!({});
    let (once, again) = (CONTAINER_EXITED, CRASH_LOOPING);
    for (state, last, restarts, expected) in [
        (&end, &none, 0, once),
        (&back_off, &end, 0, once),
        (&creating, &end, 0, once),
        (&running, &end, 1, once),
        (&end, &end, 1, again),
        (&back_off, &end, 1, again),
        (&end, &none, 1, again),
        (&running, &end, 2, again),
        (&end, &end, 2, again),
    ] {
        let case = Case::new(testing::started()).container(state, last, restarts);
        assert_eq!(cause(&case).0, expected, "{state} after {restarts} restarts");
    }
}

#[test]
fn an_end_with_exit_code_0_is_told_as_such_with_the_way_and_is_a_failure_only_if_it_comes_again() {
    let end = |name: &str, restarts: i32| {
        let status = |name: &str, state: Value, ready: bool| json!({"name": name, "ready": ready, "restartCount": restarts, "image": "", "imageID": "", "state": state});
        let ended = json!({"terminated": {"reason": "Completed", "exitCode": 0}});
        let mut all = vec![status(name, ended, false)];
        if name != "workspace" {
            all.push(status("workspace", json!({"running": {}}), true));
        }
        Case::new(testing::started())
            .pod(json!({"phase": "Running", "containerStatuses": all}))
            .status()
    };
    for (name, way) in [("workspace", "stop-workspace"), ("helper", "init container")] {
        for (restarts, phase) in [(0, Phase::Starting), (1, Phase::Failed), (7, Phase::Failed)] {
            let status = end(name, restarts);
            let told = (status.reason.as_deref(), status.phase);
            assert_eq!(
                told,
                (Some(CONTAINER_COMPLETED), Some(phase)),
                "{name} {restarts}"
            );
            let message = status.message.unwrap();
            assert!(
                message.contains("exit code 0") && message.contains(way),
                "{message}"
            );
            assert!(!message.contains("administrator"), "{message}");
        }
    }
}

#[test]
fn a_crash_loop_has_the_same_message_after_each_restart() {
    let last = json!({"terminated": {"reason": "Error", "exitCode": 1}});
    let message = |state: Value, restarts| {
        Case::new(testing::started())
            .container(&state, &last, restarts)
            .status()
            .message
    };
    let first = message(
        json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}),
        2,
    );
    assert_eq!(
        first,
        message(json!({"running": {"startedAt": "2026-01-01T00:00:09Z"}}), 3)
    );
    assert_eq!(
        first,
        message(
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}}),
            3
        )
    );
}

#[test]
fn a_failing_pull_keeps_its_first_message_while_the_run_lasts() {
    let pull = |why: &str, text: &str| {
        let state = json!({"waiting": {"reason": why, "message": text}});
        Case::new(testing::started()).container(&state, &json!({}), 0)
    };
    let first = pull("ErrImagePull", "not found").status();
    let mut second = pull("ImagePullBackOff", "Back-off pulling image");
    second.workspace.status = Some(first.clone());
    assert_eq!(second.status(), first);
    assert!(first.message.unwrap().contains("not found"));
}

#[test]
fn a_pod_without_node_is_reported_after_a_second_and_fails_after_the_grace_for_autoscalers() {
    let unscheduled = || {
        Case::new(testing::started()).pod(json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient cpu.",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]}))
    };
    let at_once = unscheduled().at(0).assess();
    assert_eq!(condition(&at_once.status, DEGRADED).0, "False");
    assert_eq!(at_once.recheck, Some(Duration::from_secs(1)));
    let soon = unscheduled().at(2);
    assert_eq!(cause(&soon), (reason::UNSCHEDULABLE.to_owned(), Phase::Starting));
    assert!(soon.status().message.unwrap().contains("Insufficient cpu"));
    assert_eq!(soon.assess().recheck, Some(Duration::from_secs(298)));
    assert_eq!(
        cause(&unscheduled().at(301)),
        (reason::UNSCHEDULABLE.to_owned(), Phase::Failed)
    );
}

#[test]
fn a_container_that_never_gets_ready_is_reported_after_a_minute() {
    let state = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
    let case = |second| {
        Case::new(testing::started())
            .container(&state, &json!({}), 0)
            .at(second)
    };
    let early = case(20).assess();
    assert_eq!(condition(&early.status, DEGRADED).0, "False");
    assert_eq!(early.recheck, Some(Duration::from_secs(40)));
    assert_eq!(cause(&case(60)).0, reason::READINESS_FAILED);
}

#[test]
fn a_disk_without_class_or_volume_is_reported() {
    let pending = |class: Option<&str>, classes: Value| {
        let mut observed = testing::started();
        let mut claim = serde_json::to_value(observed.claim.as_deref().unwrap()).unwrap();
        claim["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        claim["spec"]["storageClassName"] = json!(class);
        claim["status"] = json!({"phase": "Pending"});
        observed.claim = Some(
            serde_json::from_value::<k8s_openapi::api::core::v1::PersistentVolumeClaim>(claim)
                .unwrap()
                .into(),
        );
        let classes: Vec<k8s_openapi::api::storage::v1::StorageClass> =
            serde_json::from_value(classes).unwrap();
        observed.storage_classes = classes.into_iter().map(Into::into).collect();
        Case::new(observed)
    };
    let class = json!([{"metadata": {"name": "fast", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "p"}]);
    assert_eq!(
        cause(&pending(Some("slow"), class.clone())).0,
        reason::STORAGE_CLASS_NOT_FOUND
    );
    assert_eq!(
        cause(&pending(None, json!([]))).0,
        reason::STORAGE_CLASS_NOT_FOUND
    );
    for named in [Some("fast"), None] {
        let early = pending(named, class.clone()).status();
        assert_eq!(condition(&early, DEGRADED).0, "False");
        assert_eq!(
            cause(&pending(named, class.clone()).at(61)).0,
            reason::VOLUME_UNBOUND
        );
    }
}

#[test]
fn the_missing_class_of_a_further_disk_has_a_remedy_that_can_be_followed() {
    let found = |class: Option<&str>, classes: Value| {
        let mut observed = testing::started();
        let mut claim = json!(observed.claim.as_deref().unwrap());
        claim["metadata"]["name"] = json!("wsc-db-demo");
        claim["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        claim["spec"]["storageClassName"] = json!(class);
        claim["status"] = json!({"phase": "Pending"});
        let claim: k8s_openapi::api::core::v1::PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
        observed.further_claims = vec![claim.into()];
        let mut pod = json!(testing::pod());
        let volumes = pod["spec"]["volumes"].as_array_mut().unwrap();
        volumes.push(json!({"name": "db", "persistentVolumeClaim": {"claimName": "wsc-db-demo"}}));
        observed.pods = vec![testing::partial(&pod)];
        let classes: Vec<k8s_openapi::api::storage::v1::StorageClass> =
            serde_json::from_value(classes).unwrap();
        observed.storage_classes = classes.into_iter().map(Into::into).collect();
        let status = Case::new(observed).status();
        (status.reason, status.message.unwrap_or_default())
    };
    let fast = json!([{"metadata": {"name": "fast"}, "provisioner": "p"}]);
    for (class, expected) in [
        (
            Some("slow"),
            "The disk wsc-db-demo's storage class \"slow\" does not exist. Have it made, or create another workspace from a template \
             that names another class. The disk was never made, so no files are lost.",
        ),
        (
            None,
            "The disk wsc-db-demo has no storage class, and the cluster has no default one. Have a default made, or create another \
             workspace from a template that names a class. The disk was never made, so no files are lost.",
        ),
    ] {
        let (reason, message) = found(class, fast.clone());
        assert_eq!(reason.as_deref(), Some(reason::STORAGE_CLASS_NOT_FOUND));
        assert_eq!(message, expected);
    }
    let (reason, _) = found(Some("fast"), fast);
    assert_ne!(reason.as_deref(), Some(reason::STORAGE_CLASS_NOT_FOUND));
}

#[test]
fn blockers_are_reported_and_a_terminating_predecessor_is_waited_for() {
    let mut case = Case::new(testing::observed());
    case.blocker = Some(Blocker::Conflict {
        kind: "Service".to_owned(),
        name: "workspace-demo".to_owned(),
    });
    assert_eq!(cause(&case), (reason::NAME_CONFLICT.to_owned(), Phase::Failed));
    case.blocker = Some(Blocker::Refused(Refusal {
        reason: reason::QUOTA_EXCEEDED,
        message: "no room".to_owned(),
        is_invalid: false,
    }));
    assert_eq!(case.status().message.as_deref(), Some("no room"));
    case.blocker = Some(Blocker::Terminating {
        kind: "disk".to_owned(),
        name: "workspace-demo".to_owned(),
        holders: None,
    });
    let status = case.status();
    assert_eq!(status.phase, Some(Phase::Starting));
    assert_eq!(
        condition(&status, PROGRESSING),
        ("True", reason::PREDECESSOR_TERMINATING)
    );
    assert_eq!(condition(&status, DEGRADED).0, "False");
}
