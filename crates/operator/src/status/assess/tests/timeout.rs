//! Start timeout: when a start counts as failed, what is reported, and how that clears.

use api::workspace::Limits;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;

impl Case {
    /// A start may take this many minutes.
    fn limited(mut self, minutes: i32) -> Self {
        self.workspace.spec.limits = Some(Limits {
            start_timeout_minutes: Some(minutes),
            ..Limits::default()
        });
        self.validation = Ok(testing::admit(&self.workspace));
        self
    }

    /// Its earlier status.
    fn following(mut self, status: WorkspaceStatus) -> Self {
        self.workspace.status = Some(status);
        self
    }

    fn reported_late(&self) -> String {
        let status = self.status();
        assert_eq!(condition(&status, DEGRADED), ("True", reason::START_TIMEOUT));
        assert_eq!(status.phase, Some(Phase::Failed));
        assert_eq!(status.reason.as_deref(), Some(reason::START_TIMEOUT));
        status.message.unwrap()
    }
}

/// The status of a workspace that just started.
fn starting() -> WorkspaceStatus {
    Case::new(testing::started()).at(0).status()
}

fn pulling(why: &str, message: &str) -> Case {
    let case = Case::new(testing::started()).limited(10).following(starting());
    let state = json!({"waiting": {"reason": why, "message": message}});
    case.container(&state, &json!({}), 0)
}

#[test]
fn the_last_problem_keeps_its_message_after_the_timeout() {
    let failing = pulling("ImagePullBackOff", "back-off 5m0s pulling image \"x:1\"").at(300);
    assert_eq!(cause(&failing).0, reason::IMAGE_PULL_FAILED);
    let text = failing.status().message.unwrap();
    let late = pulling("ErrImagePull", "x:1: not found")
        .following(failing.status())
        .at(600);
    let reported = late.reported_late();
    assert!(
        reported.ends_with(&format!("Last problem: ImagePullFailed: {text}")),
        "the kubelet's text by turns are one cause: {reported}"
    );
    let again = pulling("ImagePullBackOff", "back-off")
        .following(late.status())
        .at(900);
    assert_eq!(again.reported_late(), reported);
    let nothing = Case::new(testing::started())
        .limited(10)
        .following(late.status())
        .at(901);
    assert_eq!(nothing.reported_late(), reported, "the last cause was the last");
    let other = json!({"terminated": {"exitCode": 3, "reason": "Error"}});
    let other = Case::new(testing::started())
        .limited(10)
        .following(late.status())
        .container(&other, &json!({}), 0)
        .at(902)
        .reported_late();
    assert!(other.contains("Last problem: ContainerExited: "), "{other}");
}

#[test]
fn every_run_has_its_whole_time() {
    let mut of_before = Case::new(testing::started())
        .limited(10)
        .following(starting())
        .at(600)
        .status();
    of_before.run_id = Some("run0".to_owned());
    let mut observed = testing::started();
    let mut pod = observed.pods[0].as_ref().clone();
    pod.metadata.creation_timestamp = serde_json::from_value(json!("2026-01-01T00:10:50Z")).unwrap();
    observed.pods = vec![pod.into()];
    let next = Case::new(observed)
        .limited(10)
        .following(of_before)
        .at(650)
        .assess();
    assert_eq!(condition(&next.status, DEGRADED).0, "False");
    assert_eq!(next.recheck, Some(Duration::from_mins(10)));
}

#[test]
fn a_start_without_operator_counts_from_its_first_pod() {
    let seen = Case::new(testing::started()).limited(10).at(599).assess();
    let since: Time = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(seen.status.starting_since, Some(since));
    assert_eq!(seen.recheck, Some(Duration::from_secs(1)));
}

#[test]
fn a_pod_may_wait_for_a_node_as_long_as_a_start_may_take() {
    let unscheduled = |second| {
        let case = Case::new(testing::started()).limited(10).following(starting());
        let pod = json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient cpu.",
            "lastTransitionTime": "2026-01-01T00:00:05Z",
        }]});
        case.pod(pod).at(second)
    };
    let waits = unscheduled(400);
    assert_eq!(cause(&waits), (reason::UNSCHEDULABLE.to_owned(), Phase::Starting));
    assert_eq!(waits.assess().recheck, Some(Duration::from_secs(200)));
    let reported = unscheduled(600).reported_late();
    assert!(
        reported.contains("Last problem: Unschedulable: No node can take the pod."),
        "{reported}"
    );
}
