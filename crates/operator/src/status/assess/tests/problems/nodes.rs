//! Workspaces whose node is lost, or evicts their pod.

use super::*;

#[test]
fn an_eviction_is_told_while_the_next_pod_starts_and_cleared_when_it_is_ready() {
    let evicted = json!({
        "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory.",
        "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet",
                        "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    });
    let mut next = Scene::of(testing::started()).after_pod(evicted.clone());
    let (reason, told, phase) = next.told();
    assert_eq!((reason.as_str(), phase), (reason::EVICTED, Phase::Starting));
    assert!(
        told.contains("low on resource: memory") && told.contains("node n1"),
        "{told}"
    );
    // The dead pod is garbage-collected while the next one is still starting.
    next.workspace.status = Some(next.status());
    next.observed.pods.truncate(1);
    assert_eq!(next.told().0, reason::EVICTED);
    // The next pod's own problem is more important.
    let state = json!({"waiting": {"reason": "ErrImagePull", "message": "gone"}});
    let worse = Scene::of(testing::started())
        .container(&state, &json!({}), 0)
        .after_pod(evicted.clone());
    assert_eq!(worse.told().0, reason::IMAGE_PULL_FAILED);
    assert!(Scene::of(testing::running()).after_pod(evicted).is_fine());
}

#[test]
fn an_eviction_long_ago_is_not_why_the_workspace_is_unavailable_now() {
    let evicted = json!({
        "phase": "Failed", "reason": "Evicted",
        "conditions": [{"type": "DisruptionTarget", "status": "True", "lastTransitionTime": "2025-12-31T00:00:00Z"}],
    });
    let mut scene = Scene::of(testing::started()).after_pod(evicted);
    scene.workspace.status = Some(Scene::of(testing::started()).status());
    assert!(scene.is_fine());
}

#[test]
fn a_node_that_would_not_run_the_pod_is_told() {
    let scene = Scene::of(testing::started()).after_pod(json!({
        "phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "Allocate failed: no healthy devices",
    }));
    let (reason, told, _) = scene.told();
    assert_eq!(reason, reason::UNSCHEDULABLE);
    assert!(told.contains("no healthy devices"), "{told}");
}

#[test]
fn a_lost_node_names_the_ways_out_whether_the_workspace_runs_starts_or_stops() {
    let silent = || {
        Some(Node::Silent(
            "NodeStatusUnknown: Kubelet stopped posting node status".to_owned(),
        ))
    };
    let (reason, told, phase) = Scene::of(testing::running()).on(silent()).told();
    assert_eq!((reason.as_str(), phase), (reason::NODE_LOST, Phase::Running));
    for way_out in ["Bring the node back", "kubectl delete node n1", "out-of-service"] {
        assert!(told.contains(way_out), "{told}");
    }
    assert_eq!(waits_on_node().on(silent()).told().0, reason::NODE_LOST);
    let stopping = Scene::of(testing::scaled_to_zero()).stopped().on(silent());
    assert_eq!(
        (stopping.told().0.as_str(), stopping.told().2),
        (reason::NODE_LOST, Phase::Stopping)
    );
    assert_eq!(stopping.status().reason.as_deref(), Some(reason::NODE_LOST));
}

#[test]
fn a_node_that_is_gone_is_told_unless_the_pod_was_bound_this_moment() {
    let scene = |second| waits_on_node().on(Some(Node::Gone)).at(second);
    assert!(scene(0).is_fine());
    assert_eq!(scene(0).assess().recheck, Some(Duration::from_secs(1)));
    let (reason, told, _) = scene(1).told();
    assert_eq!(reason, reason::NODE_LOST);
    assert!(told.contains("no longer exists"), "{told}");
}

#[test]
fn nothing_is_concluded_from_a_node_that_nobody_knows_or_that_answers() {
    assert!(Scene::of(testing::running()).on(None).is_fine());
    assert!(Scene::of(testing::running()).on(Some(Node::Ready)).is_fine());
    let not_ready = || Some(Node::NotReady("KubeletNotReady: x".to_owned()));
    assert!(
        Scene::of(testing::running()).on(not_ready()).is_fine(),
        "a ready pod is as it should be"
    );
    assert_eq!(waits_on_node().on(not_ready()).told().0, reason::NODE_LOST);
}
