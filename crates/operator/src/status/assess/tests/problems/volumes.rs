//! Problems of disks and other volumes.

use super::*;

#[test]
fn a_pending_disk_is_reported_by_its_claim() {
    let unbound = json!({"phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]});
    let case = |phase: &str| {
        let phase = json!({"phase": phase});
        let case = Case::new(testing::started()).at(61).pod(unbound.clone());
        let mut case = case.claim(|claim| {
            claim["spec"]["storageClassName"] = json!("fast");
            claim["status"] = phase;
        });
        let class = json!({"metadata": {"name": "fast"}, "provisioner": "p"});
        let class: k8s_openapi::api::storage::v1::StorageClass = serde_json::from_value(class).unwrap();
        case.observed.storage_classes = vec![class.into()];
        case
    };
    assert!(
        case("Pending")
            .reported()
            .1
            .contains("The disk workspace-demo has waited for a volume")
    );
    assert!(
        case("Bound")
            .reported()
            .1
            .contains("A claim that the workspace mounts has no volume")
    );
}

#[test]
fn a_disk_attached_to_another_node_is_reported_at_once_and_fails_after_a_minute() {
    let multi = "Multi-Attach error for volume \"pv\" Volume is already exclusively attached to one node";
    let case = |second| {
        let case = waits_on_node();
        let uid = case.pod_uid();
        case.warned(uid, "FailedAttachVolume", multi).at(second)
    };
    let (reason, reported, phase) = case(1).reported();
    assert_eq!(
        (reason.as_str(), phase),
        (reason::VOLUME_ATTACH_FAILED, Phase::Starting)
    );
    assert!(
        reported.contains("Another node still holds the disk"),
        "{reported}"
    );
    assert_eq!(case(1).assess().recheck, Some(Duration::from_secs(59)));
    assert_eq!(case(61).reported().2, Phase::Failed);
}

#[test]
fn volume_warnings_are_outdated_once_the_sandbox_is_ready_and_transient_ones_are_not_reported() {
    let mut status = bound();
    let sandbox = json!({"type": "PodReadyToStartContainers", "status": "True"});
    status["conditions"].as_array_mut().unwrap().push(sandbox);
    let case = Case::new(testing::started()).pod(status).on(Some(Node::Ready));
    let uid = case.pod_uid();
    assert!(case.warned(uid, "FailedMount", "timed out").is_fine());
    for message in [
        "object \"team\"/\"ca\" not registered",
        "failed to fetch PVC from API server: persistentvolumeclaims \"data\" is forbidden: User \"system:node:n1\" cannot get \
         resource: no relationship found between node 'n1' and this object",
    ] {
        let case = waits_on_node();
        let uid = case.pod_uid();
        assert!(case.warned(uid, "FailedMount", message).is_fine(), "{message}");
    }
    assert!(
        waits_on_node()
            .warned(Some("another".to_owned()), "FailedMount", "timed out")
            .is_fine()
    );
}

#[test]
fn a_mount_that_fails_keeps_its_first_message() {
    let case = |message: &str| {
        let case = waits_on_node();
        let uid = case.pod_uid();
        case.warned(uid, "FailedMount", message)
    };
    let first = case("MountVolume.SetUp failed: no such device").status();
    let mut second = case("Unable to attach or mount volumes: timed out waiting for the condition");
    second.workspace.status = Some(first.clone());
    assert_eq!(second.status(), first);
}

#[test]
fn a_claim_that_the_scheduler_does_not_find_is_reported_unless_it_is_the_disk_and_exists() {
    let case = |claim: &str| {
        let message = format!("0/1 nodes are available: persistentvolumeclaim {claim:?} not found.");
        let pod = json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]});
        Case::new(testing::started()).pod(pod).at(2)
    };
    assert!(case("workspace-demo").is_fine());
    let (reason, reported, _) = case("shared").reported();
    assert_eq!(reason, reason::VOLUME_UNBOUND);
    assert!(reported.contains("The claim shared"), "{reported}");
    let mut gone = case("workspace-demo");
    gone.observed.claim = None;
    assert_eq!(gone.reported().0, reason::VOLUME_UNBOUND);
}

#[test]
fn a_failed_provisioning_is_reported_by_its_event_at_once() {
    let class = json!([{"metadata": {"name": "fast"}, "provisioner": "p"}]);
    let case = |second| {
        let mut case = Case::new(testing::started()).at(second).claim(|claim| {
            claim["spec"]["storageClassName"] = json!("fast");
            claim["status"] = json!({"phase": "Pending"});
        });
        let classes: Vec<k8s_openapi::api::storage::v1::StorageClass> =
            serde_json::from_value(class.clone()).unwrap();
        case.observed.storage_classes = classes.into_iter().map(Into::into).collect();
        case.warned(
            Some("uid-of-claim".to_owned()),
            "ProvisioningFailed",
            "no space left in the pool",
        )
    };
    let (reason, reported, phase) = case(2).reported();
    assert_eq!(
        (reason.as_str(), phase),
        (reason::VOLUME_UNBOUND, Phase::Starting)
    );
    assert!(reported.contains("no space left in the pool"), "{reported}");
    assert_eq!(case(61).reported().2, Phase::Failed);
}

#[test]
fn a_failed_resize_is_reported_while_the_disk_is_too_small_and_the_pod_goes_on() {
    let grown = |capacity: &str, rest: Value| {
        Case::new(testing::running()).claim(|claim| {
            claim["spec"]["resources"]["requests"]["storage"] = json!("2Gi");
            claim["status"] = json!({"phase": "Bound", "capacity": {"storage": capacity}});
            for (key, value) in rest.as_object().unwrap() {
                claim["status"][key] = value.clone();
            }
        })
    };
    let error = json!({"conditions": [{"type": "ControllerResizeError", "status": "True", "message": "not supported"}]});
    let (reason, reported, phase) = grown("1Gi", error.clone()).reported();
    assert_eq!(
        (reason.as_str(), phase),
        (reason::VOLUME_RESIZE_FAILED, Phase::Running)
    );
    assert!(reported.contains("not supported"), "{reported}");
    assert!(grown("2048Mi", error).is_fine(), "it has grown");
    let infeasible = json!({"allocatedResourceStatuses": {"storage": "NodeResizeInfeasible"}});
    assert_eq!(
        grown("1Gi", infeasible).reported().0,
        reason::VOLUME_RESIZE_FAILED
    );
    assert!(grown("1Gi", json!({})).is_fine(), "it is on its way");
    let event = grown("1Gi", json!({})).warned(
        Some("uid-of-claim".to_owned()),
        "VolumeResizeFailed",
        "quota of the array",
    );
    assert!(event.reported().1.contains("quota of the array"));
}
