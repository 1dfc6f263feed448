//! The status in each situation.

use api::{
    condition::{DEGRADED, PROGRESSING, STOPPED, VALID},
    workspace::{DesiredStatus, Phase},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::objects;

use super::*;
use crate::{blockers::refusal::Refusal, cache::partial::Pod, testing};

/// 2026-01-01T00:00:00Z, the creation time in the fixtures.
const EPOCH: i64 = 1_767_225_600;

struct Case {
    workspace: Workspace,
    observed: Observed,
    validation: Result<ValidWorkspace, Rejected>,
    blocker: Option<Blocker>,
    /// Seconds after the fixtures' creation time.
    at: i64,
}

impl Case {
    fn new(observed: Observed) -> Self {
        let workspace = objects::workspace("demo");
        Self {
            validation: Ok(testing::admit(&workspace)),
            workspace,
            observed,
            blocker: None,
            at: 10,
        }
    }

    fn stopped(mut self) -> Self {
        self.workspace.spec.desired_status = DesiredStatus::Stopped;
        self
    }

    fn rejected(mut self) -> Self {
        let mut broken = objects::workspace("demo");
        broken.spec.template_ref = Some("absent".to_owned());
        let rejection = rules::admit(
            &broken,
            &rules::References::managed_by([&objects::manager("main")]),
            &testing::settings(),
        )
        .unwrap_err();
        self.validation = Err(Rejected::Rules(rejection));
        self
    }

    fn at(mut self, second: i64) -> Self {
        self.at = second;
        self
    }

    /// Merges this status into that of the only pod.
    fn pod(mut self, status: Value) -> Self {
        let mut pod: Pod = self.observed.pods[0].as_ref().clone();
        pod.status = serde_json::from_value(status).unwrap();
        self.observed.pods = vec![pod.into()];
        self
    }

    /// A container in this state, after this many restarts.
    fn container(self, state: &Value, last: &Value, restarts: i32) -> Self {
        self.pod(json!({
            "phase": "Running",
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}],
            "containerStatuses": [{
                "name": "workspace", "ready": false, "restartCount": restarts, "image": "", "imageID": "",
                "state": state, "lastState": last,
            }],
        }))
    }

    fn assess(&self) -> Assessment {
        assess(&Facts {
            workspace: &self.workspace,
            validation: &self.validation,
            observed: &self.observed,
            blocker: self.blocker.as_ref(),
            claim_blockers: &[],
            restarts: false,
            unschedulable_grace: testing::settings().unschedulable_grace(),
            now: Timestamp::from_second(EPOCH + self.at).unwrap(),
        })
    }

    fn status(&self) -> WorkspaceStatus {
        self.assess().status
    }
}

/// Status and reason of a condition.
fn condition<'a>(status: &'a WorkspaceStatus, type_: &str) -> (&'a str, &'a str) {
    let condition = condition::find(&status.conditions, type_).unwrap();
    (condition.status.as_str(), condition.reason.as_str())
}

fn cause(case: &Case) -> (String, Phase) {
    let status = case.status();
    let (holds, reason) = condition(&status, DEGRADED);
    assert_eq!(holds, "True", "{status:?}");
    (reason.to_owned(), status.phase.unwrap())
}

#[test]
fn the_class_that_is_shown_is_that_of_the_disk_and_not_the_one_that_is_named() {
    let shown = |observed: Observed| {
        let mut workspace = objects::workspace("demo");
        workspace.spec.storage = serde_json::from_value(json!({"storageClassName": "named"})).unwrap();
        let mut case = Case::new(observed);
        case.validation = Ok(testing::admit(&workspace));
        case.workspace = workspace;
        case.status().resolved.unwrap().storage.unwrap().class_name
    };
    let mut observed = testing::started();
    let mut claim = observed.claim.as_deref().unwrap().clone();
    claim.spec.as_mut().unwrap().storage_class_name = Some("slow".to_owned());
    observed.claim = Some(claim.into());
    assert_eq!(shown(observed).as_deref(), Some("slow"));
    assert_eq!(shown(testing::observed()).as_deref(), Some("named"));
}

#[test]
fn a_start_shows_url_and_run_but_no_endpoint() {
    let status = Case::new(testing::started()).status();
    assert_eq!(status.phase, Some(Phase::Starting));
    assert_eq!(status.run_id.as_deref(), Some("run1"));
    assert!(
        status
            .url
            .as_ref()
            .unwrap()
            .ends_with(".workspaces.localhost:8443/"),
        "{:?}",
        status.url
    );
    assert_eq!(status.endpoint, None);
    assert_eq!(status.owner.as_deref(), Some(objects::OWNER));
    assert_eq!(condition(&status, AVAILABLE), ("False", reason::STARTING));
    assert_eq!(condition(&status, PROGRESSING), ("True", reason::STARTING));
    assert_eq!(condition(&status, STOPPED), ("False", reason::STARTING));
}

#[test]
fn nothing_that_happens_on_the_way_to_ready_changes_the_status() {
    let first = Case::new(testing::started()).status();
    let container = |state: Value| Case::new(testing::started()).container(&state, &json!({}), 0);
    let mut later = vec![
        Case::new(testing::started()).pod(json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "pod has unbound immediate PersistentVolumeClaims",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]})),
        container(json!({"waiting": {"reason": "ContainerCreating"}})),
        container(json!({"waiting": {"reason": "PodInitializing"}})),
        container(json!({"running": {"startedAt": "2026-01-01T00:00:08Z"}})),
    ];
    for case in &mut later {
        case.workspace.status = Some(first.clone());
        assert_eq!(case.status(), first);
    }
}

#[test]
fn a_ready_pod_makes_it_running_at_the_port_that_the_pod_has() {
    let mut case = Case::new(testing::running());
    case.workspace.spec.port = Some(9000);
    case.validation = Ok(testing::admit(&case.workspace));
    let status = case.status();
    assert_eq!(status.phase, Some(Phase::Running));
    let endpoint = status.endpoint.clone().unwrap();
    assert_eq!((endpoint.pod_ip.as_str(), endpoint.port), ("10.0.0.9", 8888));
    assert_eq!(status.pending_update, ["spec.port"]);
    assert_eq!(condition(&status, AVAILABLE), ("True", reason::READY));
    assert_eq!(condition(&status, PROGRESSING).0, "False");
    assert_eq!(condition(&status, DEGRADED), ("False", reason::AS_EXPECTED));
}

#[test]
fn foreign_and_terminating_pods_are_no_endpoint() {
    let altered = |alter: &dyn Fn(&mut Pod)| {
        let mut observed = testing::running();
        let mut pod = observed.pods[0].as_ref().clone();
        alter(&mut pod);
        observed.pods = vec![pod.into()];
        Case::new(observed).status().endpoint
    };
    assert!(altered(&|_| ()).is_some());
    assert!(
        altered(&|pod| pod.metadata.owner_references = None).is_some(),
        "its UID tells whose it is"
    );
    assert_eq!(
        altered(&|pod| (pod.metadata.owner_references, pod.metadata.annotations) = (None, None)),
        None
    );
    assert_eq!(
        altered(&|pod| pod.metadata.owner_references.as_mut().unwrap()[0].uid = "x".to_owned()),
        None
    );
    let time = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(
        altered(&|pod| pod.metadata.deletion_timestamp.clone_from(&time)),
        None
    );
}

#[test]
fn a_stopped_workspace_without_a_disk_reports_that_its_files_are_gone() {
    let gone = "No pod is left; the files in its home are gone: the home has no disk.";
    let run_with = |storage: Value| {
        let mut case = Case::new(testing::running());
        case.workspace.spec.storage = serde_json::from_value(storage).unwrap();
        case.validation = Ok(testing::admit(&case.workspace));
        case
    };
    let stopped = |mut case: Case| {
        let mut before = case.status();
        // The run was started with this storage.
        before.pending_update.clear();
        case.workspace.status = Some(before);
        case.observed = testing::observed();
        let mut first = case.stopped();
        let status = first.status();
        // A rule's stop is told before the rest, and the storage of the next start is not that of the last run.
        let mut told = status.clone();
        told.message = Some(format!("Stopped at noon. {gone}"));
        for condition in &mut told.conditions {
            condition.message.insert_str(0, "Stopped at noon. ");
        }
        first.workspace.status = Some(told);
        first.workspace.spec.storage = serde_json::from_value(json!({"size": "1Gi"})).unwrap();
        first.validation = Ok(testing::admit(&first.workspace));
        let next = first.status();
        first.workspace.status = Some(next.clone());
        first.workspace.spec.desired_status = DesiredStatus::Running;
        first.observed = testing::running();
        assert!(!first.status().files_lost, "another run has begun");
        (status.message.unwrap(), next.message.unwrap())
    };
    let (first, next) = stopped(run_with(Value::Null));
    assert_eq!((first.as_str(), next.as_str()), (gone, gone));
    for disk in [json!({"size": "1Gi"}), json!({"claimName": "shared"})] {
        let (first, next) = stopped(run_with(disk));
        assert_eq!(
            (first.as_str(), next.as_str()),
            ("No pod is left.", "No pod is left.")
        );
    }
    let never_ran = Case::new(testing::observed()).stopped().status();
    assert_eq!(never_ran.message.unwrap(), "No pod is left.");
}

#[test]
fn a_slow_deletion_reports_what_is_left() {
    let mut case = Case::new(testing::running());
    case.workspace.status = Some(case.status());
    case.workspace.metadata.deletion_timestamp =
        serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    let at = |second, left| {
        deleting(
            &case.workspace,
            left,
            Timestamp::from_second(EPOCH + second).unwrap(),
        )
    };
    let early = at(3, "pod a, disk");
    assert_eq!((early.phase, early.endpoint), (Some(Phase::Deleting), None));
    assert_eq!(early.message, at(9, "disk").message);
    assert!(at(10, "disk").message.unwrap().contains("disk"));
}

#[test]
fn deleted_and_unreadable_workspaces_announce_no_stop() {
    let before = WorkspaceStatus {
        idle: Some(api::workspace::IdleStatus::default()),
        stops_at: serde_json::from_value(serde_json::json!("2026-01-01T00:00:04Z")).unwrap(),
        stops_because: Some(api::workspace::StopRule::Idle),
        ..WorkspaceStatus::default()
    };
    let mut workspace = objects::workspace("demo");
    workspace.status = Some(before.clone());
    let now = Timestamp::UNIX_EPOCH;
    for after in [
        deleting(&workspace, "disk", now),
        unreadable(before, Some(2), "spec: 7", now),
    ] {
        assert_eq!(
            (after.idle, after.stops_at, after.stops_because),
            (None, None, None)
        );
    }
}

proptest! {
    #[test]
    fn every_status_is_complete_and_stays_once_it_is_written(
        which in 0..4_usize, stopped: bool, rejected: bool, seconds in 0..400_i64,
    ) {
        let observed = match which {
            0 => testing::observed(),
            1 => testing::started(),
            2 => testing::running(),
            _ => testing::ending(),
        };
        let mut case = Case::new(observed).at(seconds);
        if stopped { case = case.stopped(); }
        if rejected { case = case.rejected(); }
        let status = case.status();
        for type_ in [VALID, AVAILABLE, PROGRESSING, DEGRADED, STOPPED] {
            let condition = condition::find(&status.conditions, type_).unwrap();
            prop_assert!(condition.reason.chars().next().unwrap().is_ascii_uppercase());
            prop_assert!(condition.reason.chars().all(|c| c.is_ascii_alphanumeric()));
            prop_assert!(!condition.message.is_empty());
            prop_assert_eq!(condition.observed_generation, Some(1));
        }
        prop_assert!(status.endpoint.is_none() || condition::holds(&status.conditions, AVAILABLE));
        case.workspace.status = Some(status.clone());
        prop_assert_eq!(case.at(seconds + 1).status(), status);
    }
}

mod external_changes;
mod failures;
mod problems;
mod timeout;

#[test]
fn a_stopped_workspace_that_could_not_start_shows_why_beside_its_phase() {
    let observed = testing::observed();
    let healthy = Case::new(observed.clone()).stopped().status();
    assert_eq!(healthy.reason.as_deref(), Some(reason::STOPPED));
    let case = Case::new(observed).stopped().rejected();
    let status = case.status();
    assert_eq!(status.phase, Some(Phase::Stopped));
    assert_eq!(status.reason.as_deref(), Some(reason::TEMPLATE_NOT_FOUND));
    assert_eq!(condition(&status, DEGRADED), ("True", reason::TEMPLATE_NOT_FOUND));
    assert_eq!(condition(&status, STOPPED), ("True", reason::STOPPED));
    for type_ in [VALID, DEGRADED] {
        let reported = &condition::find(&status.conditions, type_).unwrap().message;
        assert!(
            reported.ends_with("does not exist: the workspace is stopped, and cannot start until it does"),
            "{reported}"
        );
    }
    let waiting = Case::new(testing::observed()).rejected().status();
    assert_eq!(waiting.phase, Some(Phase::Invalid));
    let reported = waiting.message.unwrap();
    assert!(
        reported.ends_with("the workspace starts as soon as it does"),
        "{reported}"
    );
}
