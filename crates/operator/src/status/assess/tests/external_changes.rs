//! External changes, also during a failure: they are reported and stay in the status.

use kube::runtime::events::EventType;

use super::*;
use crate::cache::warnings::Warning;

impl Case {
    /// Its disk is on volume `pv-1`, and was deleted.
    fn deleted_disk(mut self) -> Self {
        let mut claim = self.observed.claim.as_deref().unwrap().clone();
        claim.metadata.uid = Some("claim-1".to_owned());
        claim.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        claim.spec.as_mut().unwrap().volume_name = Some("pv-1".to_owned());
        self.observed.claim = Some(claim.into());
        self
    }

    /// The image of the pod was changed externally.
    fn changed_by_hand(mut self) -> Self {
        let mut pod = self.observed.pods[0].as_ref().clone();
        pod.metadata.managed_fields = serde_json::from_value(json!([{
            "manager": "kubectl-edit", "operation": "Update", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:containers": {"k:{\"name\":\"workspace\"}": {"f:image": {}}}}},
        }]))
        .unwrap();
        self.observed.pods = vec![pod.into()];
        self
    }

    fn after(mut self, status: WorkspaceStatus) -> Self {
        self.workspace.status = Some(status);
        self
    }

    fn events(&self) -> Vec<(EventType, String)> {
        let events = self.assess().events;
        events
            .into_iter()
            .map(|event| (event.type_, event.reason))
            .collect()
    }
}

fn message(status: &WorkspaceStatus, type_: &str) -> String {
    condition::find(&status.conditions, type_)
        .unwrap()
        .message
        .clone()
}

#[test]
fn a_disk_deleted_under_a_pod_is_reported_with_a_remedy() {
    for (observed, phase) in [
        (testing::running(), Phase::Running),
        (testing::started(), Phase::Starting),
    ] {
        let case = Case::new(observed).deleted_disk();
        let status = case.status();
        assert_eq!(condition(&status, DEGRADED), ("True", reason::VOLUME_TERMINATING));
        assert_eq!(status.phase, Some(phase));
        let reported = message(&status, DEGRADED);
        for text in [
            "copy the files",
            "cannot be undone",
            "kubectl patch pv pv-1",
            r#"{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}"#,
        ] {
            assert!(reported.contains(text), "{reported}");
        }
    }
    let invalid = Case::new(testing::running()).rejected().deleted_disk().status();
    assert_eq!(
        condition(&invalid, DEGRADED),
        ("True", reason::VOLUME_TERMINATING),
        "no other problem hides it"
    );
    let stopping = Case::new(testing::ending()).deleted_disk().stopped();
    assert_eq!(
        cause(&stopping),
        (reason::VOLUME_TERMINATING.to_owned(), Phase::Stopping)
    );
}

#[test]
fn a_terminating_disk_without_a_pod_is_reported_and_not_as_kept() {
    let mut observed = testing::started();
    observed.pods.clear();
    let status = Case::new(observed).deleted_disk().stopped().status();
    assert_eq!(condition(&status, STOPPED), ("True", reason::STOPPED));
    let stopped = message(&status, STOPPED);
    assert!(
        stopped.contains("files are deleted with the PersistentVolumeClaim"),
        "{stopped}"
    );
    assert_eq!(condition(&status, DEGRADED), ("True", reason::VOLUME_TERMINATING));
}

#[test]
fn an_externally_changed_image_is_pending_and_one_event() {
    let scenes: [fn() -> Case; 3] = [
        || Case::new(testing::running()),
        || Case::new(testing::started()),
        || Case::new(testing::running()).rejected(),
    ];
    for case in scenes {
        let case = case().changed_by_hand();
        let status = case.status();
        assert_eq!(status.pending_update, [CHANGED_EXTERNALLY], "{:?}", status.phase);
        assert_eq!(
            case.events(),
            [(EventType::Warning, reason::POD_TEMPLATE_CHANGED.to_owned())]
        );
        assert!(
            case.assess().events[0]
                .note
                .as_ref()
                .unwrap()
                .contains("by \"kubectl-edit\"")
        );
        assert_eq!(case.after(status).events(), []);
    }
    let starting = Case::new(testing::started()).changed_by_hand().status();
    assert!(message(&starting, AVAILABLE).contains("changed by \"kubectl-edit\""));
}

#[test]
fn a_failing_hook_is_named_and_keeps_the_message_with_the_cause() {
    let hooked = |state: Value, ended: Value| {
        let mut case = Case::new(testing::started()).container(&state, &json!({"terminated": ended}), 1);
        let about = case.observed.pods[0].metadata.uid.clone().unwrap_or_default();
        case.observed.warnings.push(Warning {
            about,
            reason: "FailedPostStartHook",
            message: "PostStartHook failed".to_owned(),
            last: serde_json::from_value(json!("2026-01-01T00:00:04Z")).unwrap(),
        });
        case
    };
    let ended = |second: &str| json!({"exitCode": 137, "reason": "Error", "startedAt": format!("2026-01-01T00:00:{second}Z")});
    let why = json!({"waiting": {"reason": "PostStartHookError", "message": format!("command exited with 7{}", "ä".repeat(900))}});
    let status = hooked(why, ended("03")).status();
    assert_eq!(
        condition(&status, DEGRADED),
        ("True", reason::POST_START_HOOK_FAILED)
    );
    let reported = message(&status, DEGRADED);
    assert!(
        reported.contains("exited with 7") && reported.contains("spec.lifecycle.postStart"),
        "{reported}"
    );
    assert!(reported.len() < 600, "{}", reported.len());
    // While the container is being ended, for its whole grace period, its state does not show the failure.
    let ending = hooked(json!({"waiting": {"reason": "ContainerCreating"}}), ended("03")).status();
    assert_eq!(condition(&ending, DEGRADED).1, reason::POST_START_HOOK_FAILED);
    let back_off = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let later = hooked(back_off.clone(), ended("03"));
    assert_eq!(
        condition(&later.status(), DEGRADED).1,
        reason::POST_START_HOOK_FAILED
    );
    assert_eq!(message(&later.after(status).status(), DEGRADED), reported);
    let other = hooked(back_off, ended("30"));
    assert_eq!(
        condition(&other.status(), DEGRADED).1,
        reason::CRASH_LOOPING,
        "the hook of an earlier container"
    );
}
