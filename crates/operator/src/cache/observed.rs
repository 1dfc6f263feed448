//! Children of one workspace in the API server -> what they say about its runs (pure).

use std::{collections::BTreeMap, sync::Arc};

use api::{Workspace, names};
use k8s_openapi::{
    api::{
        apps::v1::DeploymentCondition,
        core::v1::{PersistentVolumeClaim, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        storage::v1::StorageClass,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Resource as _, ResourceExt as _};

use crate::{
    cache::{
        field_managers,
        partial::{ContainerStatus, Deployment, Pod, PodCondition, PodSpec, ReplicaSet},
        warnings::{Node, Warning},
    },
    support::text::listed,
};

/// Name of the application's port on container and Service.
pub(crate) const PORT_NAME: &str = names::APPLICATION_PORT;

/// Identity of a workspace: all that is needed to find its children. It is readable even if the spec does not parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
}

impl Identity {
    /// The identity of a stored object.
    pub fn of(meta: &ObjectMeta) -> Self {
        Self {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
        }
    }

    /// Namespace and name, separated by a slash.
    pub fn key(&self) -> String {
        [&self.namespace, "/", &self.name].concat()
    }

    /// Name of every child.
    pub fn child_name(&self) -> String {
        rules::names::child(&self.name)
    }

    /// Name of the workspace's own service account, if it has one.
    pub fn account_name(&self) -> String {
        rules::names::service_account(&self.name, &self.uid)
    }

    /// The reference that makes an object a child of this workspace.
    pub fn owner_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: Workspace::api_version(&()).into_owned(),
            kind: Workspace::kind(&()).into_owned(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    /// Whether an object belongs to this workspace: the workspace is its controller, or it has no controller and its annotation names the
    /// workspace's UID.
    pub fn owns(&self, meta: &ObjectMeta) -> bool {
        let mut owners = meta.owner_references.iter().flatten();
        match owners.find(|owner| owner.controller == Some(true)) {
            Some(controller) => controller.uid == self.uid,
            None => self.marked(meta),
        }
    }

    /// Whether an object has this workspace's UID in its annotation, whatever its direct controller is.
    pub fn marked(&self, meta: &ObjectMeta) -> bool {
        let annotations = meta.annotations.as_ref();
        annotations
            .and_then(|all| all.get(names::WORKSPACE_UID))
            .is_some_and(|uid| *uid == self.uid)
    }
}

/// The children and what the cluster made of them. Objects may have another owner: see [`Identity::owns`].
#[derive(Clone, Debug)]
pub struct Observed {
    /// The workspace.
    pub identity: Identity,
    /// The disk.
    pub claim: Option<Arc<PersistentVolumeClaim>>,
    /// The Deployment.
    pub deployment: Option<Arc<Deployment>>,
    /// The Service.
    pub service: Option<Arc<Service>>,
    /// The network policy.
    pub policy: Option<Arc<NetworkPolicy>>,
    /// The workspace's own service account.
    pub account: Option<Arc<ServiceAccount>>,
    /// Every ReplicaSet with the workspace's label.
    pub replica_sets: Vec<Arc<ReplicaSet>>,
    /// Every pod with the workspace's label. If the API server was asked, also other pods that concern the workspace.
    pub pods: Vec<Arc<Pod>>,
    /// Every storage class of the cluster.
    pub storage_classes: Vec<Arc<StorageClass>>,
    /// Warning Events about these pods and the disk.
    pub warnings: Vec<Warning>,
    /// Claims that these pods mount, that are no workspace's disk, and that are being deleted.
    pub terminating: Vec<String>,
    /// The known state of the nodes of these pods, by name.
    pub nodes: BTreeMap<String, Node>,
}

impl Observed {
    /// An observed state without any child.
    pub fn empty(identity: Identity) -> Self {
        Self {
            identity,
            claim: None,
            deployment: None,
            service: None,
            policy: None,
            account: None,
            replica_sets: Vec::new(),
            pods: Vec::new(),
            storage_classes: Vec::new(),
            warnings: Vec::new(),
            terminating: Vec::new(),
            nodes: BTreeMap::new(),
        }
    }

    /// The disk, if it is this workspace's.
    pub fn own_claim(&self) -> Option<&PersistentVolumeClaim> {
        self.claim
            .as_deref()
            .filter(|claim| self.identity.owns(&claim.metadata))
    }

    /// The Deployment, if it is this workspace's.
    pub fn own_deployment(&self) -> Option<&Deployment> {
        self.deployment
            .as_deref()
            .filter(|deployment| self.identity.owns(&deployment.metadata))
    }

    /// The wanted replicas of the Deployment; 0 without one.
    pub fn wanted_pods(&self) -> i32 {
        self.own_deployment().map_or(0, wanted_replicas)
    }

    /// Whether the Deployment has processed its last change: it makes no further ReplicaSet.
    pub fn is_done(&self) -> bool {
        self.own_deployment().is_some_and(deployment_is_settled)
    }

    /// Whether no pod runs and none can be made: every ReplicaSet has observed that it is scaled to 0. Caches may miss a pod, so a start
    /// asks `apply/start_safety.rs`.
    pub fn is_scaled_down(&self) -> bool {
        self.wanted_pods() == 0
            && self.own_deployment().is_none_or(deployment_is_settled)
            && self.own_replica_sets().all(|set| set.is_empty)
            && self.live_pods().next().is_none()
    }

    /// Pods that use the disk or are still ending: all except completed pods.
    pub fn live_pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods
            .iter()
            .map(AsRef::as_ref)
            .filter(|pod| self.concerns(pod) && !has_ended(pod))
    }

    /// Whether a pod concerns the workspace: it has its UID annotation, one of its ReplicaSets made it, or it uses a claim with the disk's
    /// name. Any user may add or remove a label, so labels do not decide.
    pub(crate) fn concerns(&self, pod: &Pod) -> bool {
        let disk = self.identity.child_name();
        self.identity.marked(&pod.metadata)
            || self.is_of_own_set(pod)
            || claims_of(pod.spec.as_ref()).any(|claim| claim == disk)
    }

    /// Whether the JSON of an unparsable pod contains the name of the disk, the UID of the workspace, or the UID of one of its ReplicaSets.
    pub(crate) fn may_concern(&self, pod: &str) -> bool {
        let disk = self.identity.child_name();
        let sets = self.own_replica_sets();
        let mut names = sets
            .filter_map(|set| set.metadata.uid.as_deref())
            .chain([disk.as_str(), &self.identity.uid]);
        names.any(|name| pod.contains(&format!("\"{name}\"")))
    }

    fn is_of_own_set(&self, pod: &Pod) -> bool {
        controller_uid(&pod.metadata).is_some_and(|uid| {
            self.own_replica_sets()
                .any(|set| set.metadata.uid.as_deref() == Some(uid))
        })
    }

    /// Pods on the disk that no change of the workspace ends: a user changed their labels, or made them.
    pub fn unmanaged_pods(&self) -> impl Iterator<Item = &Pod> {
        self.live_pods().filter(|pod| {
            let has_maker = controller_uid(&pod.metadata).is_some();
            let is_ours = has_maker && (self.identity.marked(&pod.metadata) || self.is_of_own_set(pod));
            pod.metadata.deletion_timestamp.is_none() && !is_ours
        })
    }

    /// Pods that keep this pod away from the disk.
    pub fn previous_pods<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = &'a Pod> {
        self.live_pods()
            .filter(|other| other.metadata.uid != pod.metadata.uid)
    }

    /// ReplicaSets with the workspace's UID annotation, or made by its Deployment.
    fn own_replica_sets(&self) -> impl Iterator<Item = &ReplicaSet> {
        let deployment = self
            .own_deployment()
            .and_then(|deployment| deployment.metadata.uid.as_deref());
        self.replica_sets.iter().map(AsRef::as_ref).filter(move |set| {
            self.identity.marked(&set.metadata)
                || (deployment.is_some() && controller_uid(&set.metadata) == deployment)
        })
    }

    /// ReplicaSets that a deleted Deployment left, as with `kubectl delete --cascade=orphan`. No controller scales them any more.
    pub fn orphans(&self) -> impl Iterator<Item = &ReplicaSet> {
        let alone = self.own_deployment().is_none();
        self.own_replica_sets().filter(move |set| {
            alone && controller_uid(&set.metadata).is_none() && set.metadata.deletion_timestamp.is_none()
        })
    }

    /// The identifier of the Deployment's run.
    pub fn run_id(&self) -> Option<&str> {
        let template = &self.own_deployment()?.spec.as_ref()?.template;
        template.metadata.as_ref()?.labels.as_ref()?.run_id.as_deref()
    }

    /// Every pod of the current run, including completed ones.
    pub fn pods_of_run(&self) -> impl Iterator<Item = &Pod> {
        let run_id = self.run_id();
        let pods = self.pods.iter().map(AsRef::as_ref);
        pods.filter(move |pod| {
            run_id.is_some() && pod.labels().get(names::RUN_ID_LABEL).map(String::as_str) == run_id
        })
    }

    /// The Deployment condition that says that the pod of the run cannot be made.
    pub fn refusal(&self) -> Option<&DeploymentCondition> {
        let mut conditions = self
            .own_deployment()?
            .status
            .as_ref()?
            .conditions
            .as_ref()?
            .iter();
        let refused = conditions.find(|it| it.type_ == "ReplicaFailure" && it.status == "True");
        refused.filter(|_| self.current_pod().is_none())
    }

    /// The record of what the Deployment's pod template was made from.
    pub fn started_from(&self) -> Option<&str> {
        let annotations = self.own_deployment()?.annotations();
        annotations.get(names::STARTED_FROM).map(String::as_str)
    }

    /// Whether pods run, or may still start, as the workspace's own service account.
    pub fn runs_as_own_account(&self) -> bool {
        let template = self
            .own_deployment()
            .and_then(|own| own.spec.as_ref()?.template.spec.as_ref());
        let name = template.and_then(|pod| pod.service_account_name.as_ref());
        !self.is_scaled_down() && name == Some(&self.identity.account_name())
    }

    /// The field manager that changed the pod template since it was applied, if any. Then the template differs from its record.
    pub fn template_changed_by(&self) -> Option<String> {
        field_managers::on_template(&self.own_deployment()?.metadata)
    }

    /// The other field manager that scaled the Deployment.
    pub fn scaled_by(&self) -> Option<String> {
        field_managers::on_count(&self.own_deployment()?.metadata)
    }

    /// The pod of the current run: controlled by a ReplicaSet of the Deployment and not being deleted. Of several, a ready one, then the
    /// newest.
    pub fn current_pod(&self) -> Option<&Pod> {
        let deployment_uid = self.own_deployment()?.metadata.uid.as_deref()?;
        self.pods_of_run()
            .filter(|pod| self.concerns(pod) && !has_ended(pod))
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .filter(|pod| {
                self.own_replica_sets().any(|set| {
                    controller_uid(&set.metadata) == Some(deployment_uid)
                        && set.metadata.uid.is_some()
                        && controller_uid(&pod.metadata) == set.metadata.uid.as_deref()
                })
            })
            .max_by_key(|pod| (is_ready(pod), pod.metadata.creation_timestamp.clone()))
    }
}

/// The condition of this type.
pub(crate) fn pod_condition<'a>(pod: &'a Pod, type_: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether a pod is ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    pod_condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}

/// Statuses of the containers of a pod, init containers first.
pub(crate) fn container_statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    })
}

/// Names of the claims that a pod mounts.
pub(crate) fn claims_of(pod: Option<&PodSpec>) -> impl Iterator<Item = &str> {
    let volumes = pod.into_iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str()))
}

/// Finalizers that Kubernetes itself removes.
const OF_KUBERNETES: [&str; 3] = ["kubernetes.io/pvc-protection", "foregroundDeletion", "orphan"];
/// Most finalizers in a text.
const MAX_FINALIZERS: usize = 8;

/// The finalizers of other software that hold an object after its deletion, as text; `None`: it is not deleted, or has none.
pub(crate) fn holders(meta: &ObjectMeta) -> Option<String> {
    meta.deletion_timestamp.as_ref()?;
    let finalizers = meta.finalizers.iter().flatten();
    let foreign: Vec<_> = finalizers
        .filter(|it| !OF_KUBERNETES.contains(&it.as_str()))
        .collect();
    (!foreign.is_empty()).then(|| listed(&foreign, MAX_FINALIZERS))
}

/// A sentence about these finalizers, after another one; empty if there are none.
pub(crate) fn held_by(holders: Option<&str>) -> String {
    let sentence = |holders: &str| {
        format!(
            " It is held by the finalizer {holders}: the software that set the finalizer has to remove it."
        )
    };
    holders.map_or_else(String::new, sentence)
}

/// Whether a pod is completed, and so uses no disk.
pub(crate) fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed")) && pod.metadata.deletion_timestamp.is_none()
}

/// UID of the object that controls this one.
pub(crate) fn controller_uid(meta: &ObjectMeta) -> Option<&str> {
    let mut owners = meta.owner_references.iter().flatten();
    owners
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
}

/// The wanted replicas of a Deployment.
pub(crate) fn wanted_replicas(deployment: &Deployment) -> i32 {
    // An absent number means 1.
    let spec = deployment.spec.as_ref();
    spec.and_then(|spec| spec.replicas).unwrap_or(1)
}

fn deployment_is_settled(deployment: &Deployment) -> bool {
    let status = deployment.status.as_ref();
    let observed = status.and_then(|status| status.observed_generation);
    observed.unwrap_or(0) >= deployment.metadata.generation.unwrap_or(0)
}

/// Whether `live` has every label, annotation and owner that `planned` has.
pub(crate) fn meta_covers(live: &ObjectMeta, planned: &ObjectMeta) -> bool {
    let covers = |live: &Option<BTreeMap<String, String>>, planned: &Option<_>| {
        let mut planned = planned.iter().flatten();
        planned.all(|(key, value)| live.as_ref().and_then(|live| live.get(key)) == Some(value))
    };
    let mut owners = planned.owner_references.iter().flatten();
    covers(&live.labels, &planned.labels)
        && covers(&live.annotations, &planned.annotations)
        && owners.all(|owner| live.owner_references.iter().flatten().any(|live| live == owner))
}
