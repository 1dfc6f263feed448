//! An image, or requests -> the pod that pulls it, or keeps them (pure).
//!
//! The chart's policy `images` admits these pods and no others. Each runs our own program `pause`, which waits for its end. A foreign
//! image runs only `true`, before that. Neither has a token, a volume, a variable or a route to anything.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Affinity, Container, LocalObjectReference, NodeAffinity, NodeSelector, PodSecurityContext, PodSpec,
        PodTemplateSpec, ResourceRequirements, SeccompProfile, Toleration,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use rules::PodFields;
use serde::Serialize;

use crate::plan::{ImagesNamespace, PAUSE, security};

/// User of every process.
const USER: i64 = 65532;
/// Request and limit of the memory of a pod that only waits, which has nothing but itself.
const MEMORY: [&str; 2] = ["8Mi", "32Mi"];
const CPU: &str = "1m";

/// Nodes on which the workspaces of a template run. What it says about other pods does not count.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Placement {
    node_selector: BTreeMap<String, String>,
    nodes: Option<NodeSelector>,
    tolerations: Vec<Toleration>,
}

impl Placement {
    pub(super) fn new(pod: &PodFields) -> Self {
        let nodes = pod.affinity.as_ref().and_then(|it| it.node_affinity.as_ref());
        Self {
            node_selector: pod.node_selector.clone(),
            nodes: nodes.and_then(|nodes| nodes.required_during_scheduling_ignored_during_execution.clone()),
            tolerations: pod.tolerations.clone(),
        }
    }
}

/// The pod that has a node pull an image and keep it.
pub(super) fn puller(
    image: &str,
    pull_policy: String,
    placement: &Placement,
    images: &ImagesNamespace,
    labels: BTreeMap<String, String>,
) -> PodTemplateSpec {
    let resources = resources(&[("cpu", CPU), ("memory", MEMORY[0])], &[("memory", MEMORY[1])]);
    let pull = Container {
        name: "image".to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some(pull_policy),
        command: Some(vec!["true".to_owned()]),
        resources: Some(resources.clone()),
        security_context: Some(security::container(None, true)),
        ..Container::default()
    };
    let mut pod = pod(placement, images, labels, resources);
    if let Some(spec) = &mut pod.spec {
        spec.init_containers = Some(vec![pull]);
        spec.priority_class_name = Some(images.puller_priority_class.clone());
    }
    pod
}

/// A pod that keeps these requests for a workspace, which takes its place.
pub(super) fn placeholder(
    requests: BTreeMap<String, Quantity>,
    placement: &Placement,
    images: &ImagesNamespace,
    labels: BTreeMap<String, String>,
) -> PodTemplateSpec {
    let resources = ResourceRequirements {
        limits: Some(requests.clone()),
        requests: Some(requests),
        claims: None,
    };
    let mut pod = pod(placement, images, labels, resources);
    if let Some(spec) = &mut pod.spec {
        spec.priority_class_name = Some(images.placeholder_priority_class.clone());
    }
    pod
}

fn pod(
    placement: &Placement,
    images: &ImagesNamespace,
    labels: BTreeMap<String, String>,
    resources: ResourceRequirements,
) -> PodTemplateSpec {
    let Placement {
        node_selector,
        nodes,
        tolerations,
    } = placement.clone();
    let pause = Container {
        name: PAUSE.to_owned(),
        image: Some(images.pause_image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        args: Some(vec![PAUSE.to_owned()]),
        resources: Some(resources),
        security_context: Some(security::container(None, true)),
        ..Container::default()
    };
    let secrets = images.pull_secrets.iter();
    let secrets = secrets.map(|name| LocalObjectReference { name: name.clone() });
    let spec = PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        containers: vec![pause],
        image_pull_secrets: Some(secrets.collect::<Vec<_>>()).filter(|list| !list.is_empty()),
        node_selector: Some(node_selector).filter(|labels| !labels.is_empty()),
        affinity: nodes.map(|nodes| Affinity {
            node_affinity: Some(NodeAffinity {
                required_during_scheduling_ignored_during_execution: Some(nodes),
                ..NodeAffinity::default()
            }),
            ..Affinity::default()
        }),
        tolerations: Some(tolerations).filter(|list| !list.is_empty()),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        // A workspace takes the room at once.
        termination_grace_period_seconds: Some(0),
        ..PodSpec::default()
    };
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            ..ObjectMeta::default()
        }),
        spec: Some(spec),
    }
}

fn resources(requests: &[(&str, &str)], limits: &[(&str, &str)]) -> ResourceRequirements {
    let map = |amounts: &[(&str, &str)]| {
        let amounts = amounts.iter();
        let amounts = amounts.map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned())));
        Some(amounts.collect())
    };
    ResourceRequirements {
        requests: map(requests),
        limits: map(limits),
        claims: None,
    }
}
