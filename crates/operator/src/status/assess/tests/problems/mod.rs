//! Each problem beyond the plain failures: reason, advice, when it is reported and cleared.

mod nodes;
mod user_namespaces;
mod volumes;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::*;
use crate::cache::warnings::{Node, Warning};

impl Case {
    /// Its pod is on a node in this state.
    fn on(mut self, node: Option<Node>) -> Self {
        let mut pod = self.observed.pods[0].as_ref().clone();
        pod.spec.as_mut().unwrap().node_name = Some("n1".to_owned());
        self.observed.pods = vec![pod.into()];
        self.observed.nodes = node.map(|node| ("n1".to_owned(), node)).into_iter().collect();
        self
    }

    /// A warning Event about its pod or disk.
    fn warned(mut self, about: Option<String>, reason: &'static str, message: &str) -> Self {
        self.observed.warnings.push(Warning {
            about: about.unwrap_or_default(),
            reason,
            message: message.to_owned(),
            last: None,
        });
        self
    }

    fn pod_uid(&self) -> Option<String> {
        self.observed.pods[0].metadata.uid.clone()
    }

    /// Another pod of the same run, older, with this status.
    fn after_pod(mut self, status: Value) -> Self {
        let mut pod = self.observed.pods[0].as_ref().clone();
        pod.metadata.name = Some("workspace-demo-5d8f-older".to_owned());
        pod.metadata.uid = Some("uid-of-older".to_owned());
        pod.metadata.creation_timestamp = serde_json::from_value(json!("2025-12-31T00:00:00Z")).unwrap();
        pod.spec.as_mut().unwrap().node_name = Some("n1".to_owned());
        pod.status = serde_json::from_value(status).unwrap();
        self.observed.pods.push(pod.into());
        self
    }

    fn claim(mut self, change: impl FnOnce(&mut Value)) -> Self {
        let mut claim = serde_json::to_value(self.observed.claim.as_deref().unwrap()).unwrap();
        claim["metadata"]["uid"] = json!("uid-of-claim");
        claim["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        change(&mut claim);
        self.observed.claim = Some(
            serde_json::from_value::<PersistentVolumeClaim>(claim)
                .unwrap()
                .into(),
        );
        self
    }

    /// Reason, message and phase of `Degraded`.
    fn reported(&self) -> (String, String, Phase) {
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

fn waits_on_node() -> Case {
    Case::new(testing::started()).pod(bound()).on(Some(Node::Ready))
}

#[test]
fn each_scheduler_message_has_its_advice() {
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
            "their maximum number of pods",
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
        ("something new", "tell the administrator"),
    ] {
        let case = Case::new(testing::started()).pod(json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]}));
        let (reason, reported, phase) = case.reported();
        assert_eq!((reason.as_str(), phase), (reason::UNSCHEDULABLE, Phase::Starting));
        assert!(
            reported.contains(advice) && !reported.contains("preemption") && !reported.contains(",."),
            "{reported}"
        );
    }
}

/// The words of kube-scheduler, from plugins `volumebinding`, `volumezone` and `nodevolumelimits` of Kubernetes 1.31 to 1.36.
#[test]
fn each_scheduler_s_words_about_volumes_have_their_advice() {
    let zone = "have one added there";
    for (words, advice) in [
        ("node(s) had volume node affinity conflict", zone),
        ("node(s) didn't match PersistentVolume's node affinity", zone),
        ("node(s) didn't find available persistent volumes to bind", zone),
        ("node(s) had no available volume zone", zone),
        (
            "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
            "volume was deleted",
        ),
        (
            "node(s) have no path to the Volume, in words of a later release",
            zone,
        ),
        ("node(s) did not have enough free storage", "spec.storage.size"),
        ("node(s) exceed max volume count", "maximum number of volumes"),
    ] {
        for message in [
            format!("0/2 nodes are available: 2 {words}. preemption: 0/2 nodes are available."),
            format!("0/3 nodes are available: 1 Insufficient cpu, 2 {words}."),
            format!("0/3 nodes are available: 1 node(s) were unschedulable, 2 {words}."),
        ] {
            let case = Case::new(testing::started()).pod(json!({"phase": "Pending", "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]}));
            let reported = case.reported().1;
            assert!(
                reported.contains(advice) && !reported.contains("Change what the message names"),
                "{message}: {reported}"
            );
            assert!(!reported.contains("spec.nodeSelector"), "{reported}");
        }
    }
}

#[test]
fn anti_affinity_of_other_pods_is_not_reported_as_the_pod_s_own() {
    let reported = |message: &str| {
        let case = Case::new(testing::started()).pod(json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]}));
        case.reported().1
    };
    let others =
        reported("0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules.");
    assert!(
        others.contains("keeps this one away") && !others.contains("spec.affinity"),
        "{others}"
    );
    let mut case = Case::new(testing::started()).pod(json!({"phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]}));
    let asked = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}},
    ]}});
    case.validation.as_mut().unwrap().pod.affinity = serde_json::from_value(asked).unwrap();
    let own = case.reported().1;
    assert!(
        own.contains("spec.affinity") && !own.contains("keeps this one away"),
        "{own}"
    );
}

#[test]
fn a_missing_secret_or_config_map_is_named_wherever_the_kubelet_meets_it() {
    let waiting = |message: &str| {
        let state = json!({"waiting": {"reason": "CreateContainerConfigError", "message": message}});
        Case::new(testing::started()).container(&state, &json!({}), 0)
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
        let (reason, reported, _) = waiting(message).reported();
        assert_eq!(reason, expected);
        assert!(reported.contains(named), "{reported}");
    }
    assert!(waiting("failed to sync secret cache: timed out waiting for the condition").is_fine());
    let mounting = waits_on_node();
    let uid = mounting.pod_uid();
    let mounting = mounting.warned(
        uid,
        "FailedMount",
        "MountVolume.SetUp failed for volume \"s\" : secret \"token\" not found",
    );
    assert_eq!(mounting.reported().0, reason::SECRET_NOT_FOUND);
}

#[test]
fn a_failing_init_container_is_named() {
    let case = Case::new(testing::started()).pod(json!({"phase": "Pending", "initContainerStatuses": [
        {"name": "clone", "ready": true, "restartCount": 0, "image": "", "imageID": "",
         "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
        {"name": "seed", "ready": false, "restartCount": 1, "image": "", "imageID": "",
         "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
         "lastState": {"terminated": {"exitCode": 7, "reason": "Error", "message": "x\nfatal: no such\u{202e} branch\n"}}},
    ], "containerStatuses": [{
        "name": "workspace", "ready": false, "restartCount": 0, "image": "", "imageID": "",
        "state": {"waiting": {"reason": "PodInitializing"}},
    }]}));
    let (reason, reported, _) = case.reported();
    assert_eq!(reason, reason::CONTAINER_EXITED);
    assert!(
        reported.contains("The init container \"seed\" ended with exit code 7")
            && reported.ends_with("Its last line: \"fatal: no such branch\"."),
        "{reported}"
    );
    let counts = case.status().containers.unwrap();
    assert_eq!(
        (counts.ready, counts.total),
        (1, 1),
        "of the pod's spec, which has one container in this fixture"
    );
}

#[test]
fn private_images_and_the_pull_policy_never_have_their_own_advice() {
    for (text, advice) in [
        (
            "pull access denied, repository does not exist or may require authorization",
            "imagePullSecrets",
        ),
        (
            "Container image \"x\" is not present with pull policy of Never",
            "loaded onto the nodes",
        ),
        ("manifest unknown", "name and tag"),
    ] {
        let state = json!({"waiting": {"reason": "ErrImagePull", "message": text}});
        let (reason, reported, _) = Case::new(testing::started())
            .container(&state, &json!({}), 0)
            .reported();
        assert_eq!(reason, reason::IMAGE_PULL_FAILED);
        assert!(reported.contains(advice), "{reported}");
    }
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
    let case = |since| Case::new(testing::started()).pod(status(since));
    assert!(case("2026-01-01T00:01:00Z").at(70).is_fine());
    let (reason, reported, _) = case("2026-01-01T00:00:00Z").at(70).reported();
    assert_eq!(reason, reason::READINESS_FAILED);
    assert!(reported.contains("nothing answers on its port"), "{reported}");
    let mut custom = case("2026-01-01T00:00:00Z").at(70);
    let mut pod = custom.observed.pods[0].as_ref().clone();
    let probe = json!({"httpGet": {"path": "/ready", "port": 8888}});
    pod.spec.as_mut().unwrap().containers[0].readiness_probe = serde_json::from_value(probe).unwrap();
    custom.observed.pods = vec![pod.into()];
    assert!(custom.reported().1.contains("spec.readinessProbe"));
}
