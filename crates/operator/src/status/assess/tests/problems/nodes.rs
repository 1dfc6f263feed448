//! Workspaces whose node is lost, or evicts their pod.

use super::*;

#[test]
fn an_eviction_is_reported_until_the_next_pod_is_ready() {
    let evicted = json!({
        "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory.",
        "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet",
                        "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    });
    let mut next = Case::new(testing::started()).after_pod(evicted.clone());
    let (reason, reported, phase) = next.reported();
    assert_eq!((reason.as_str(), phase), (reason::EVICTED, Phase::Starting));
    assert!(
        reported.contains("low on resource: memory") && reported.contains("node n1"),
        "{reported}"
    );
    // The dead pod is garbage-collected while the next one is still starting.
    next.workspace.status = Some(next.status());
    next.observed.pods.truncate(1);
    assert_eq!(next.reported().0, reason::EVICTED);
    // The next pod's own problem is more important.
    let state = json!({"waiting": {"reason": "ErrImagePull", "message": "gone"}});
    let worse = Case::new(testing::started())
        .container(&state, &json!({}), 0)
        .after_pod(evicted.clone());
    assert_eq!(worse.reported().0, reason::IMAGE_PULL_FAILED);
    assert!(Case::new(testing::running()).after_pod(evicted).is_fine());
}

#[test]
fn a_node_that_rejects_the_pod_is_reported() {
    let case = Case::new(testing::started()).after_pod(json!({
        "phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "Allocate failed: no healthy devices",
    }));
    let (reason, reported, _) = case.reported();
    assert_eq!(reason, reason::UNSCHEDULABLE);
    assert!(reported.contains("no healthy devices"), "{reported}");
}

#[test]
fn a_lost_node_is_reported_with_remedies_in_every_state() {
    let silent = || {
        Some(Node::Silent(
            "NodeStatusUnknown: Kubelet stopped posting node status".to_owned(),
        ))
    };
    let (reason, reported, phase) = Case::new(testing::running()).on(silent()).reported();
    assert_eq!((reason.as_str(), phase), (reason::NODE_LOST, Phase::Running));
    for way_out in ["Bring the node back", "kubectl delete node n1", "out-of-service"] {
        assert!(reported.contains(way_out), "{reported}");
    }
    assert_eq!(waits_on_node().on(silent()).reported().0, reason::NODE_LOST);
    let stopping = Case::new(testing::ending()).stopped().on(silent());
    assert_eq!(
        (stopping.reported().0.as_str(), stopping.reported().2),
        (reason::NODE_LOST, Phase::Stopping)
    );
    assert_eq!(stopping.status().reason.as_deref(), Some(reason::NODE_LOST));
}

#[test]
fn a_removed_node_is_reported_unless_the_pod_was_just_bound() {
    let case = |second| waits_on_node().on(Some(Node::Gone)).at(second);
    assert!(case(0).is_fine());
    assert_eq!(case(0).assess().recheck, Some(Duration::from_secs(1)));
    let (reason, reported, _) = case(1).reported();
    assert_eq!(reason, reason::NODE_LOST);
    assert!(reported.contains("no longer exists"), "{reported}");
}
