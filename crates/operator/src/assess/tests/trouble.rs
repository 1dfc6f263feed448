//! Each kind of trouble beyond the plain failures: its reason, what it advises, when it is told and when it clears.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::*;
use crate::signs::{Node, Warning};

impl Scene {
    /// Its pod is on a node that stands so.
    fn on(mut self, node: Option<Node>) -> Self {
        let mut pod = self.world.pods[0].as_ref().clone();
        pod.spec.as_mut().unwrap().node_name = Some("n1".to_owned());
        self.world.pods = vec![pod.into()];
        self.world.nodes = node.map(|node| ("n1".to_owned(), node)).into_iter().collect();
        self
    }

    /// A Warning Event about its pod or disk.
    fn said(mut self, about: Option<String>, reason: &'static str, message: &str) -> Self {
        self.world.warnings.push(Warning {
            about: about.unwrap_or_default(),
            reason,
            message: message.to_owned(),
            last: None,
        });
        self
    }

    fn pod_uid(&self) -> Option<String> {
        self.world.pods[0].metadata.uid.clone()
    }

    /// Another pod of the same run, older, with this status.
    fn after_pod(mut self, status: Value) -> Self {
        let mut pod = self.world.pods[0].as_ref().clone();
        pod.metadata.name = Some("workspace-demo-5d8f-older".to_owned());
        pod.metadata.uid = Some("uid-of-older".to_owned());
        pod.metadata.creation_timestamp = serde_json::from_value(json!("2025-12-31T00:00:00Z")).unwrap();
        pod.spec.as_mut().unwrap().node_name = Some("n1".to_owned());
        pod.status = serde_json::from_value(status).unwrap();
        self.world.pods.push(pod.into());
        self
    }

    fn claim(mut self, change: impl FnOnce(&mut Value)) -> Self {
        let mut claim = serde_json::to_value(self.world.claim.as_deref().unwrap()).unwrap();
        claim["metadata"]["uid"] = json!("uid-of-claim");
        claim["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        change(&mut claim);
        self.world.claim = Some(
            serde_json::from_value::<PersistentVolumeClaim>(claim)
                .unwrap()
                .into(),
        );
        self
    }

    /// What `Degraded` says: reason, message, phase.
    fn told(&self) -> (String, String, Phase) {
        let status = self.status();
        let degraded = condition::find(&status.conditions, DEGRADED).unwrap();
        assert_eq!(degraded.status, "True", "{status:?}");
        (
            degraded.reason.clone(),
            degraded.message.clone(),
            status.phase.unwrap(),
        )
    }

    fn is_fine(&self) -> bool {
        condition(&self.status(), DEGRADED) == ("False", reason::AS_EXPECTED)
    }
}

fn bound() -> Value {
    json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
    ], "containerStatuses": [{
        "name": "workspace", "ready": false, "restartCount": 0, "image": "", "imageID": "",
        "state": {"waiting": {"reason": "ContainerCreating"}},
    }]})
}

fn waits_on_node() -> Scene {
    Scene::of(fixtures::started()).pod(bound()).on(Some(Node::Ready))
}

#[test]
fn each_thing_that_the_scheduler_misses_has_its_advice() {
    for (message, advice) in [
        (
            "0/3 nodes are available: 3 Insufficient cpu.",
            "Ask for less cpu,",
        ),
        (
            "0/3 nodes are available: 1 Insufficient memory, 2 Insufficient cpu.",
            "Ask for less cpu and memory,",
        ),
        (
            "0/1 nodes are available: 1 Too many pods.",
            "as many pods as they may",
        ),
        (
            "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. no new claims to deallocate, preemption: x",
            "Ask for fewer nvidia.com/gpu",
        ),
        (
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
            "spec.nodeSelector",
        ),
        (
            "0/1 nodes are available: 1 node(s) had untolerated taint(s).",
            "spec.tolerations",
        ),
        (
            "0/1 nodes are available: 1 node(s) had volume node affinity conflict.",
            "a node added there",
        ),
        ("something new", "tell the administrator"),
    ] {
        let scene = Scene::of(fixtures::started()).pod(json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]}));
        let (reason, told, phase) = scene.told();
        assert_eq!((reason.as_str(), phase), (reason::UNSCHEDULABLE, Phase::Starting));
        assert!(
            told.contains(advice) && !told.contains("preemption") && !told.contains(",."),
            "{told}"
        );
    }
}

#[test]
fn a_pod_that_others_keep_away_is_not_told_that_its_own_affinity_is_wrong() {
    let told = |message: &str| {
        let scene = Scene::of(fixtures::started()).pod(json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]}));
        scene.told().1
    };
    let others = told("0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules.");
    assert!(
        others.contains("keeps this one away") && !others.contains("spec.affinity"),
        "{others}"
    );
    let own = told("0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.");
    assert!(
        own.contains("spec.affinity") && !own.contains("keeps this one away"),
        "{own}"
    );
}

#[test]
fn a_claim_that_does_not_exist_is_named() {
    for message in [
        "0/1 nodes are available: persistentvolumeclaim \"shared\" not found.",
        "running PreFilter plugin \"VolumeBinding\": error getting PVC \"team/shared\": could not find \
         v1.PersistentVolumeClaim \"team/shared\"",
    ] {
        let scene = Scene::of(fixtures::started()).pod(json!({"phase": "Pending", "conditions": [{
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
        let scene = Scene::of(fixtures::started()).at(61).pod(unbound.clone());
        let mut scene = scene.claim(|claim| {
            claim["spec"]["storageClassName"] = json!("fast");
            claim["status"] = phase;
        });
        let class = json!({"metadata": {"name": "fast"}, "provisioner": "p"});
        let class: k8s_openapi::api::storage::v1::StorageClass = serde_json::from_value(class).unwrap();
        scene.world.storage_classes = vec![class.into()];
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
    let scene = Scene::of(fixtures::started()).at(0).claim(|claim| {
        claim["spec"]["storageClassName"] = json!("slow");
        claim["status"] = json!({"phase": "Pending"});
    });
    let message = "storageclass.storage.k8s.io \"slow\" not found";
    let scene = scene.said(Some("uid-of-claim".to_owned()), "ProvisioningFailed", message);
    assert!(scene.is_fine());
    assert_eq!(scene.at(2).told().0, reason::STORAGE_CLASS_NOT_FOUND);
}

#[test]
fn a_missing_secret_or_config_map_is_named_wherever_the_kubelet_meets_it() {
    let waiting = |message: &str| {
        let state = json!({"waiting": {"reason": "CreateContainerConfigError", "message": message}});
        Scene::of(fixtures::started()).container(&state, &json!({}), 0)
    };
    for (message, expected, named) in [
        (
            "secret \"token\" not found",
            reason::SECRET_NOT_FOUND,
            "The Secret token does not exist",
        ),
        (
            "configmap \"flags\" not found",
            reason::CONFIG_MAP_NOT_FOUND,
            "The ConfigMap flags does not exist",
        ),
        (
            "couldn't find key k in Secret team/token",
            reason::SECRET_NOT_FOUND,
            "The Secret token has no key k",
        ),
        (
            "container has runAsNonRoot and image will run as root",
            reason::CONTAINER_START_FAILED,
            "runAsNonRoot",
        ),
    ] {
        let (reason, told, _) = waiting(message).told();
        assert_eq!(reason, expected);
        assert!(told.contains(named), "{told}");
    }
    assert!(waiting("failed to sync secret cache: timed out waiting for the condition").is_fine());
    let mounting = waits_on_node();
    let uid = mounting.pod_uid();
    let mounting = mounting.said(
        uid,
        "FailedMount",
        "MountVolume.SetUp failed for volume \"s\" : secret \"token\" not found",
    );
    assert_eq!(mounting.told().0, reason::SECRET_NOT_FOUND);
}

#[test]
fn a_failing_init_container_is_named() {
    let scene = Scene::of(fixtures::started()).pod(json!({"phase": "Pending", "initContainerStatuses": [
        {"name": "clone", "ready": true, "restartCount": 0, "image": "", "imageID": "",
         "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
        {"name": "seed", "ready": false, "restartCount": 1, "image": "", "imageID": "",
         "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
         "lastState": {"terminated": {"exitCode": 7, "reason": "Error"}}},
    ], "containerStatuses": [{
        "name": "workspace", "ready": false, "restartCount": 0, "image": "", "imageID": "",
        "state": {"waiting": {"reason": "PodInitializing"}},
    }]}));
    let (reason, told, _) = scene.told();
    assert_eq!(reason, reason::CONTAINER_EXITED);
    assert!(
        told.contains("The init container \"seed\" ended with exit code 7") && told.contains("-c seed"),
        "{told}"
    );
    let counts = scene.status().containers.unwrap();
    assert_eq!(
        (counts.ready, counts.total),
        (1, 1),
        "of the pod's spec, which has one container in this fixture"
    );
}

#[test]
fn private_images_and_images_that_nobody_pulls_have_their_own_advice() {
    for (text, advice) in [
        (
            "pull access denied, repository does not exist or may require authorization",
            "imagePullSecrets",
        ),
        (
            "Container image \"x\" is not present with pull policy of Never",
            "put on the nodes",
        ),
        ("manifest unknown", "name and tag"),
    ] {
        let state = json!({"waiting": {"reason": "ErrImagePull", "message": text}});
        let (reason, told, _) = Scene::of(fixtures::started())
            .container(&state, &json!({}), 0)
            .told();
        assert_eq!(reason, reason::IMAGE_PULL_FAILED);
        assert!(told.contains(advice), "{told}");
    }
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
    let scene = Scene::of(fixtures::started()).pod(status).on(Some(Node::Ready));
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
        let mut scene = Scene::of(fixtures::started()).at(second).claim(|claim| {
            claim["spec"]["storageClassName"] = json!("fast");
            claim["status"] = json!({"phase": "Pending"});
        });
        let classes: Vec<k8s_openapi::api::storage::v1::StorageClass> =
            serde_json::from_value(class.clone()).unwrap();
        scene.world.storage_classes = classes.into_iter().map(Into::into).collect();
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
        Scene::of(fixtures::running()).claim(|claim| {
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

#[test]
fn an_eviction_is_told_while_the_next_pod_starts_and_cleared_when_it_is_ready() {
    let evicted = json!({
        "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory.",
        "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet",
                        "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    });
    let mut next = Scene::of(fixtures::started()).after_pod(evicted.clone());
    let (reason, told, phase) = next.told();
    assert_eq!((reason.as_str(), phase), (reason::EVICTED, Phase::Starting));
    assert!(
        told.contains("low on resource: memory") && told.contains("node n1"),
        "{told}"
    );
    // The dead pod is collected while the next one is still on its way.
    next.workspace.status = Some(next.status());
    next.world.pods.truncate(1);
    assert_eq!(next.told().0, reason::EVICTED);
    // The next pod's own trouble is worth more.
    let state = json!({"waiting": {"reason": "ErrImagePull", "message": "gone"}});
    let worse = Scene::of(fixtures::started())
        .container(&state, &json!({}), 0)
        .after_pod(evicted.clone());
    assert_eq!(worse.told().0, reason::IMAGE_PULL_FAILED);
    assert!(Scene::of(fixtures::running()).after_pod(evicted).is_fine());
}

#[test]
fn an_eviction_long_ago_is_not_why_the_workspace_is_unavailable_now() {
    let evicted = json!({
        "phase": "Failed", "reason": "Evicted",
        "conditions": [{"type": "DisruptionTarget", "status": "True", "lastTransitionTime": "2025-12-31T00:00:00Z"}],
    });
    let mut scene = Scene::of(fixtures::started()).after_pod(evicted);
    scene.workspace.status = Some(Scene::of(fixtures::started()).status());
    assert!(scene.is_fine());
}

#[test]
fn a_node_that_would_not_run_the_pod_is_told() {
    let scene = Scene::of(fixtures::started()).after_pod(json!({
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
    let (reason, told, phase) = Scene::of(fixtures::running()).on(silent()).told();
    assert_eq!((reason.as_str(), phase), (reason::NODE_LOST, Phase::Running));
    for way_out in ["Bring the node back", "kubectl delete node n1", "out-of-service"] {
        assert!(told.contains(way_out), "{told}");
    }
    assert_eq!(waits_on_node().on(silent()).told().0, reason::NODE_LOST);
    let stopping = Scene::of(fixtures::scaled_to_zero()).stopped().on(silent());
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
    assert!(Scene::of(fixtures::running()).on(None).is_fine());
    assert!(Scene::of(fixtures::running()).on(Some(Node::Ready)).is_fine());
    let not_ready = || Some(Node::NotReady("KubeletNotReady: x".to_owned()));
    assert!(
        Scene::of(fixtures::running()).on(not_ready()).is_fine(),
        "a ready pod is as it should be"
    );
    assert_eq!(waits_on_node().on(not_ready()).told().0, reason::NODE_LOST);
}

#[test]
fn containers_are_counted_from_the_plan_until_there_is_a_pod() {
    let counts = |world: World| {
        Scene::of(world)
            .status()
            .containers
            .map(|counts| (counts.ready, counts.total))
    };
    let mut planned = fixtures::started();
    planned.pods.clear();
    assert_eq!(counts(planned), Some((0, 1)));
    assert_eq!(counts(fixtures::started()), Some((0, 1)));
    assert_eq!(counts(fixtures::running()), Some((1, 1)));
    assert_eq!(counts(fixtures::scaled_to_zero()), None);
}

#[test]
fn a_custom_probe_that_fails_is_not_called_a_port_and_one_that_was_ready_counts_from_then() {
    let status = |since: &str| {
        json!({"phase": "Running", "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "False", "lastTransitionTime": since},
        ], "containerStatuses": [{
            "name": "workspace", "ready": false, "restartCount": 0, "image": "", "imageID": "",
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        }]})
    };
    let scene = |since| Scene::of(fixtures::started()).pod(status(since));
    assert!(scene("2026-01-01T00:01:00Z").at(70).is_fine());
    let (reason, told, _) = scene("2026-01-01T00:00:00Z").at(70).told();
    assert_eq!(reason, reason::READINESS_FAILED);
    assert!(told.contains("nothing answers on its port"), "{told}");
    let mut custom = scene("2026-01-01T00:00:00Z").at(70);
    let mut pod = custom.world.pods[0].as_ref().clone();
    let probe = json!({"httpGet": {"path": "/ready", "port": 8888}});
    pod.spec.as_mut().unwrap().containers[0].readiness_probe = serde_json::from_value(probe).unwrap();
    custom.world.pods = vec![pod.into()];
    assert!(custom.told().1.contains("spec.readinessProbe"));
}
