//! Start timeout: when a start counts as failed, what is reported, and how that clears.

use api::workspace::Limits;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;

impl Scene {
    /// A start may take this many minutes.
    fn limited(mut self, minutes: i32) -> Self {
        self.workspace.spec.limits = Some(Limits {
            start_timeout_minutes: Some(minutes),
        });
        self.verdict = Ok(testing::admit(&self.workspace));
        self
    }

    /// Its earlier status.
    fn following(mut self, status: WorkspaceStatus) -> Self {
        self.workspace.status = Some(status);
        self
    }

    fn told_late(&self) -> String {
        let status = self.status();
        assert_eq!(condition(&status, DEGRADED), ("True", reason::START_TIMEOUT));
        assert_eq!(status.phase, Some(Phase::Failed));
        assert_eq!(status.reason.as_deref(), Some(reason::START_TIMEOUT));
        status.message.unwrap()
    }
}

/// The status of a workspace that just started.
fn begun() -> WorkspaceStatus {
    Scene::of(testing::started()).at(0).status()
}

fn pulling(why: &str, message: &str) -> Scene {
    let scene = Scene::of(testing::started()).limited(10).following(begun());
    let state = json!({"waiting": {"reason": why, "message": message}});
    scene.container(&state, &json!({}), 0)
}

#[test]
fn a_start_counts_as_failed_when_its_time_is_over_and_not_before() {
    let scene = |second| {
        Scene::of(testing::started())
            .limited(10)
            .following(begun())
            .at(second)
    };
    let early = scene(599).assess();
    assert_eq!(condition(&early.status, DEGRADED).0, "False");
    assert_eq!(
        early.recheck,
        Some(Duration::from_secs(1)),
        "one timer, to the end"
    );
    let late = scene(600);
    let told = late.told_late();
    for words in [
        "not ready within 10 min of the beginning of its run at 2026-01-01T00:00:00Z",
        "goes on waiting",
        "spec.limits.startTimeoutMinutes",
        "last: nothing that the cluster tells; the pod workspace-demo-5d8f",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert_eq!(late.assess().recheck, None, "nothing more is due");
    let again = scene(700).following(late.status());
    assert_eq!(again.status(), late.status(), "it is written once");
}

#[test]
fn what_was_in_the_way_last_is_told_in_its_words_and_stays() {
    let failing = pulling("ImagePullBackOff", "back-off 5m0s pulling image \"x:1\"").at(300);
    assert_eq!(cause(&failing).0, reason::IMAGE_PULL_FAILED);
    let words = failing.status().message.unwrap();
    let late = pulling("ErrImagePull", "x:1: not found")
        .following(failing.status())
        .at(600);
    let told = late.told_late();
    assert!(
        told.ends_with(&format!("last: ImagePullFailed: {words}")),
        "the kubelet's words by turns are one cause: {told}"
    );
    let again = pulling("ImagePullBackOff", "back-off")
        .following(late.status())
        .at(900);
    assert_eq!(again.told_late(), told);
    let nothing = Scene::of(testing::started())
        .limited(10)
        .following(late.status())
        .at(901);
    assert_eq!(nothing.told_late(), told, "the last cause was the last");
    let other = json!({"terminated": {"exitCode": 3, "reason": "Error"}});
    let other = Scene::of(testing::started())
        .limited(10)
        .following(late.status())
        .container(&other, &json!({}), 0)
        .at(902)
        .told_late();
    assert!(other.contains("last: ContainerExited: "), "{other}");
}

#[test]
fn a_late_start_clears_when_the_pod_is_ready_the_limit_longer_or_the_workspace_stopped() {
    let late = Scene::of(testing::started())
        .limited(10)
        .following(begun())
        .at(600);
    let status = late.status();
    let ready = Scene::of(testing::running())
        .limited(10)
        .following(status.clone())
        .at(601);
    let ready = ready.status();
    assert_eq!(condition(&ready, DEGRADED).0, "False");
    assert_eq!(
        (ready.phase, &ready.starting_since),
        (Some(Phase::Running), &None)
    );
    let longer = Scene::of(testing::started())
        .limited(30)
        .following(status.clone())
        .at(601);
    let longer = longer.assess();
    assert_eq!(condition(&longer.status, DEGRADED).0, "False");
    assert_eq!(longer.status.phase, Some(Phase::Starting));
    assert_eq!(longer.recheck, Some(Duration::from_secs(30 * 60 - 601)));
    let unlimited = Scene::of(testing::started()).following(status.clone()).at(601);
    assert_eq!(condition(&unlimited.status(), DEGRADED).0, "False");
    let stopped = Scene::of(testing::scaled_to_zero()).limited(10).stopped();
    let stopped = stopped.following(status).at(601).status();
    assert_eq!(condition(&stopped, DEGRADED).0, "False");
    assert_eq!(stopped.starting_since, None);
}

#[test]
fn every_run_has_its_whole_time() {
    let mut of_before = Scene::of(testing::started())
        .limited(10)
        .following(begun())
        .at(600)
        .status();
    of_before.run_id = Some("run0".to_owned());
    let mut observed = testing::started();
    observed.pods.clear();
    let next = Scene::of(observed)
        .limited(10)
        .following(of_before)
        .at(650)
        .assess();
    assert_eq!(condition(&next.status, DEGRADED).0, "False");
    assert_eq!(next.recheck, Some(Duration::from_mins(10)));
}

#[test]
fn a_run_that_was_ready_once_has_started() {
    let ready = Scene::of(testing::running())
        .limited(10)
        .following(begun())
        .at(20)
        .status();
    let lost = Scene::of(testing::started())
        .limited(10)
        .following(ready)
        .at(30)
        .assess();
    assert_eq!(lost.status.starting_since, None);
    let later = Scene::of(testing::started())
        .limited(10)
        .following(lost.status)
        .at(6000);
    assert_eq!(condition(&later.status(), DEGRADED).0, "False");
}

#[test]
fn a_start_that_nobody_was_there_to_tell_of_began_with_its_first_pod() {
    let seen = Scene::of(testing::started()).limited(10).at(599).assess();
    let since: Time = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(seen.status.starting_since, Some(since));
    assert_eq!(seen.recheck, Some(Duration::from_secs(1)));
}

#[test]
fn a_run_that_was_to_stop_when_it_was_first_seen_has_its_time_once_it_is_wanted_again() {
    let stopping = Scene::of(testing::started()).limited(10).stopped().at(5);
    let stopping = stopping.assess();
    assert_eq!(stopping.status.phase, Some(Phase::Stopping));
    let since: Time = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(stopping.status.starting_since, Some(since));
    let long_after = Scene::of(testing::started()).limited(10).stopped().at(700);
    let long_after = long_after.following(stopping.status.clone()).status();
    assert_eq!(condition(&long_after, DEGRADED).0, "False", "nobody waits for it");
    let wanted = Scene::of(testing::started()).limited(10).at(600);
    wanted.following(stopping.status).told_late();
    let ready = Scene::of(testing::running()).limited(10).stopped().status();
    assert_eq!(ready.starting_since, None, "it has started");
}

#[test]
fn no_node_is_waited_for_as_long_as_a_start_may_take() {
    let unscheduled = |second| {
        let scene = Scene::of(testing::started()).limited(10).following(begun());
        let pod = json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient cpu.",
            "lastTransitionTime": "2026-01-01T00:00:05Z",
        }]});
        scene.pod(pod).at(second)
    };
    let waits = unscheduled(400);
    assert_eq!(cause(&waits), (reason::UNSCHEDULABLE.to_owned(), Phase::Starting));
    assert_eq!(waits.assess().recheck, Some(Duration::from_secs(200)));
    let told = unscheduled(600).told_late();
    assert!(
        told.contains("last: Unschedulable: No node can take the pod."),
        "{told}"
    );
}

#[test]
fn changes_that_wait_are_told_behind_the_last_cause_and_do_not_become_part_of_it() {
    let mut scene = pulling("ErrImagePull", "x:1: not found").at(600);
    let mut changed = scene.workspace.clone();
    changed.spec.port = Some(9999);
    scene.verdict = Ok(testing::admit(&changed));
    let told = scene.told_late();
    assert_eq!(told.matches(WAITING).count(), 1, "{told}");
    let again = Scene {
        workspace: scene.workspace.clone(),
        ..pulling("ErrImagePull", "x:1: not found")
    };
    let mut again = again.following(scene.status()).at(700);
    again.verdict = scene.verdict.clone();
    assert_eq!(again.told_late(), told);
}
