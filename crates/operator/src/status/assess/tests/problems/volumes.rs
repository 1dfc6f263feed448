//! Problems of disks and other volumes.

use super::*;

#[test]
fn a_claim_that_does_not_exist_is_named() {
    for message in [
        "0/1 nodes are available: persistentvolumeclaim \"shared\" not found.",
        "running PreFilter plugin \"VolumeBinding\": error getting PVC \"team/shared\": could not find \
         v1.PersistentVolumeClaim \"team/shared\"",
    ] {
        let scene = Scene::of(testing::started()).pod(json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]}));
        let (reason, told, _) = scene.told();
        assert_eq!(reason, reason::VOLUME_UNBOUND);
        assert!(told.contains("The claim shared that"), "{told}");
    }
}

#[test]
fn a_claim_of_its_own_without_a_volume_speaks_for_itself() {
    let unbound = json!({"phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]});
    let scene = |phase: &str| {
        let phase = json!({"phase": phase});
        let scene = Scene::of(testing::started()).at(61).pod(unbound.clone());
        let mut scene = scene.claim(|claim| {
            claim["spec"]["storageClassName"] = json!("fast");
            claim["status"] = phase;
        });
        let class = json!({"metadata": {"name": "fast"}, "provisioner": "p"});
        let class: k8s_openapi::api::storage::v1::StorageClass = serde_json::from_value(class).unwrap();
        scene.observed.storage_classes = vec![class.into()];
        scene
    };
    assert!(
        scene("Pending")
            .told()
            .1
            .contains("The disk has waited for a volume")
    );
    assert!(
        scene("Bound")
            .told()
            .1
            .contains("A claim that the workspace mounts has no volume")
    );
}

#[test]
fn a_missing_class_is_not_told_twice() {
    let scene = Scene::of(testing::started()).at(0).claim(|claim| {
        claim["spec"]["storageClassName"] = json!("slow");
        claim["status"] = json!({"phase": "Pending"});
    });
    let message = "storageclass.storage.k8s.io \"slow\" not found";
    let scene = scene.said(Some("uid-of-claim".to_owned()), "ProvisioningFailed", message);
    assert!(scene.is_fine());
    assert_eq!(scene.at(2).told().0, reason::STORAGE_CLASS_NOT_FOUND);
}

#[test]
fn a_disk_that_another_node_holds_is_told_at_once_and_fails_after_a_minute() {
    let multi = "Multi-Attach error for volume \"pv\" Volume is already exclusively attached to one node";
    let scene = |second| {
        let scene = waits_on_node();
        let uid = scene.pod_uid();
        scene.said(uid, "FailedAttachVolume", multi).at(second)
    };
    let (reason, told, phase) = scene(1).told();
    assert_eq!(
        (reason.as_str(), phase),
        (reason::VOLUME_ATTACH_FAILED, Phase::Starting)
    );
    assert!(told.contains("Another node still holds the disk"), "{told}");
    assert_eq!(scene(1).assess().recheck, Some(Duration::from_secs(59)));
    assert_eq!(scene(61).told().2, Phase::Failed);
}

#[test]
fn what_was_said_of_volumes_is_past_once_the_sandbox_stands_and_what_passes_is_not_told() {
    let mut status = bound();
    let sandbox = json!({"type": "PodReadyToStartContainers", "status": "True"});
    status["conditions"].as_array_mut().unwrap().push(sandbox);
    let scene = Scene::of(testing::started()).pod(status).on(Some(Node::Ready));
    let uid = scene.pod_uid();
    assert!(scene.said(uid, "FailedMount", "timed out").is_fine());
    for message in [
        "object \"team\"/\"ca\" not registered",
        "failed to fetch PVC from API server: persistentvolumeclaims \"data\" is forbidden: User \"system:node:n1\" cannot get \
         resource: no relationship found between node 'n1' and this object",
    ] {
        let scene = waits_on_node();
        let uid = scene.pod_uid();
        assert!(scene.said(uid, "FailedMount", message).is_fine(), "{message}");
    }
    assert!(
        waits_on_node()
            .said(Some("another".to_owned()), "FailedMount", "timed out")
            .is_fine()
    );
}

#[test]
fn a_mount_that_fails_keeps_its_first_words() {
    let scene = |message: &str| {
        let scene = waits_on_node();
        let uid = scene.pod_uid();
        scene.said(uid, "FailedMount", message)
    };
    let first = scene("MountVolume.SetUp failed: no such device").status();
    let mut second = scene("Unable to attach or mount volumes: timed out waiting for the condition");
    second.workspace.status = Some(first.clone());
    assert_eq!(second.status(), first);
}

#[test]
fn a_volume_that_cannot_be_made_is_told_by_the_event_at_once() {
    let class = json!([{"metadata": {"name": "fast"}, "provisioner": "p"}]);
    let scene = |second| {
        let mut scene = Scene::of(testing::started()).at(second).claim(|claim| {
            claim["spec"]["storageClassName"] = json!("fast");
            claim["status"] = json!({"phase": "Pending"});
        });
        let classes: Vec<k8s_openapi::api::storage::v1::StorageClass> =
            serde_json::from_value(class.clone()).unwrap();
        scene.observed.storage_classes = classes.into_iter().map(Into::into).collect();
        scene.said(
            Some("uid-of-claim".to_owned()),
            "ProvisioningFailed",
            "no space left in the pool",
        )
    };
    let (reason, told, phase) = scene(2).told();
    assert_eq!(
        (reason.as_str(), phase),
        (reason::VOLUME_UNBOUND, Phase::Starting)
    );
    assert!(told.contains("no space left in the pool"), "{told}");
    assert_eq!(scene(61).told().2, Phase::Failed);
}

#[test]
fn a_disk_that_does_not_grow_is_told_while_it_is_too_small_and_what_runs_goes_on() {
    let grown = |capacity: &str, rest: Value| {
        Scene::of(testing::running()).claim(|claim| {
            claim["spec"]["resources"]["requests"]["storage"] = json!("2Gi");
            claim["status"] = json!({"phase": "Bound", "capacity": {"storage": capacity}});
            for (key, value) in rest.as_object().unwrap() {
                claim["status"][key] = value.clone();
            }
        })
    };
    let error = json!({"conditions": [{"type": "ControllerResizeError", "status": "True", "message": "not supported"}]});
    let (reason, told, phase) = grown("1Gi", error.clone()).told();
    assert_eq!(
        (reason.as_str(), phase),
        (reason::VOLUME_RESIZE_FAILED, Phase::Running)
    );
    assert!(told.contains("not supported"), "{told}");
    assert!(grown("2048Mi", error).is_fine(), "it has grown");
    let infeasible = json!({"allocatedResourceStatuses": {"storage": "NodeResizeInfeasible"}});
    assert_eq!(grown("1Gi", infeasible).told().0, reason::VOLUME_RESIZE_FAILED);
    assert!(grown("1Gi", json!({})).is_fine(), "it is on its way");
    let event = grown("1Gi", json!({})).said(
        Some("uid-of-claim".to_owned()),
        "VolumeResizeFailed",
        "quota of the array",
    );
    assert!(event.told().1.contains("quota of the array"));
}
