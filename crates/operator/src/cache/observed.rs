//! Children of one workspace in the API server -> what they say about its runs (pure).

use std::{collections::BTreeMap, sync::Arc};

use api::{Workspace, names};
use k8s_openapi::{
    api::{
        core::v1::{PersistentVolumeClaim, Service, ServiceAccount},
        storage::v1::StorageClass,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Resource as _, ResourceExt};

use crate::{
    cache::{
        field_managers,
        partial::{Container, ContainerStatus, Pod, PodCondition, PodSpec},
        warnings::{Node, Warning},
    },
    support::text::join_first,
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
    pub fn from_meta(meta: &ObjectMeta) -> Self {
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
            None => self.marks(meta),
        }
    }

    /// Whether an object has this workspace's UID in its annotation, whatever its direct controller is.
    pub fn marks(&self, meta: &ObjectMeta) -> bool {
        let annotations = meta.annotations.as_ref();
        annotations
            .and_then(|all| all.get(names::WORKSPACE_UID))
            .is_some_and(|uid| *uid == self.uid)
    }
}

/// The children. Objects may have another owner: see [`Identity::owns`].
#[derive(Clone, Debug)]
pub struct Observed {
    /// The workspace.
    pub identity: Identity,
    /// The disk.
    pub claim: Option<Arc<PersistentVolumeClaim>>,
    /// Claims under the names of the further disks that its template lists, whether or not they are chosen, or that it had before.
    pub further_claims: Vec<Arc<PersistentVolumeClaim>>,
    /// The Service.
    pub service: Option<Arc<Service>>,
    /// The workspace's own service account.
    pub account: Option<Arc<ServiceAccount>>,
    /// The pod of the workspace's name, if there is one.
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
            further_claims: Vec::new(),
            service: None,
            account: None,
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

    /// Claims under the names of its disks.
    pub fn claims(&self) -> impl Iterator<Item = &PersistentVolumeClaim> {
        self.claim.iter().chain(&self.further_claims).map(AsRef::as_ref)
    }

    /// Claims under the names of its home, and of the further disks that a pod mounts. No other disk is a problem of the pod.
    pub fn used_claims(&self) -> impl Iterator<Item = &PersistentVolumeClaim> {
        let pods = self.live_pods();
        let mounted: Vec<_> = pods.flat_map(|pod| claims_of(pod.spec.as_ref())).collect();
        let further = self.further_claims.iter().filter(move |claim| {
            let name = claim.metadata.name.as_deref().unwrap_or_default();
            mounted.contains(&name)
        });
        self.claim.iter().chain(further).map(AsRef::as_ref)
    }

    /// Its own disks among these.
    pub fn used_own_claims(&self) -> impl Iterator<Item = &PersistentVolumeClaim> {
        self.used_claims()
            .filter(|claim| self.identity.owns(&claim.metadata))
    }

    /// The first of its own disks in use that a user deleted. Its files exist only while the pod runs, and the status asks users to save
    /// them. A claim that the workspace only names does not count. Otherwise a user who makes and deletes such a claim could prevent the
    /// idle stop.
    pub fn used_deleted_claim(&self) -> Option<&PersistentVolumeClaim> {
        self.used_own_claims().find(|claim| is_deleted(claim))
    }

    /// Names of its disks, and of claims that its pod mounts, that a user deleted and that are not gone yet.
    pub fn terminating_claims(&self) -> Vec<String> {
        let own = self
            .claims()
            .filter(|claim| self.identity.owns(&claim.metadata) && is_deleted(claim));
        let mut names: Vec<_> = own.map(ResourceExt::name_any).collect();
        names.extend(self.terminating.iter().cloned());
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Its further disk of this claim, if there is one.
    pub fn further_claim(&self, name: &str) -> Option<&Arc<PersistentVolumeClaim>> {
        let mut claims = self.further_claims.iter();
        claims.find(|claim| claim.metadata.name.as_deref() == Some(name))
    }

    /// Pods of this workspace, whatever their state: while there is one, its name is taken.
    pub fn own_pods(&self) -> impl Iterator<Item = &Pod> {
        let pods = self.pods.iter().map(AsRef::as_ref);
        pods.filter(|pod| self.identity.owns(&pod.metadata))
    }

    /// The pod of the last run. It may be ending or have ended.
    pub fn pod(&self) -> Option<&Pod> {
        self.own_pods().next()
    }

    /// Whether no pod is left.
    pub fn is_free(&self) -> bool {
        self.pod().is_none()
    }

    /// The pod of the current run, which is neither ending nor has ended.
    pub fn current_pod(&self) -> Option<&Pod> {
        self.own_pods()
            .find(|pod| pod.metadata.deletion_timestamp.is_none() && !has_ended(pod))
    }

    /// Whether a run is in progress.
    pub fn runs(&self) -> bool {
        self.current_pod().is_some()
    }

    /// Pods that use the disk or are still ending: all except completed pods.
    pub fn live_pods(&self) -> impl Iterator<Item = &Pod> {
        self.own_pods().filter(|pod| !has_ended(pod))
    }

    /// The identifier of the last run.
    pub fn run_id(&self) -> Option<&str> {
        run_of(self.pod()?)
    }

    /// The record of what the pod was made from.
    pub fn started_from(&self) -> Option<&str> {
        let annotations = self.pod()?.annotations();
        annotations.get(names::STARTED_FROM).map(String::as_str)
    }

    /// Whether a pod runs as the workspace's own service account.
    pub fn runs_as_own_account(&self) -> bool {
        let name = self.identity.account_name();
        let account = |pod: &Pod| pod.spec.as_ref()?.service_account_name.clone();
        self.own_pods().any(|pod| account(pod).as_ref() == Some(&name))
    }

    /// The field manager that changed an image since the pod was made, if any. Then the pod differs from its record.
    pub fn image_changed_by(&self) -> Option<String> {
        field_managers::on_image(&self.current_pod()?.metadata)
    }
}

/// The identifier of the run of a pod: the one that its application got, as anyone may change a label.
fn run_of(pod: &Pod) -> Option<&str> {
    let variable = |container: &Container| {
        let env = container.env.iter().flatten();
        env.into_iter().any(|it| it.name == names::RUN_ID_VARIABLE)
    };
    let mut containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let container = containers.find(|it| it.name == names::APPLICATION_CONTAINER && variable(it));
    let given = container.and_then(|it| it.env.as_ref()?.iter().find_map(|it| it.value.as_deref()));
    given.or_else(|| pod.labels().get(names::RUN_ID_LABEL).map(String::as_str))
}

/// The condition of this type.
pub(crate) fn pod_condition<'a>(pod: &'a Pod, type_: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether a disk was deleted and is not gone yet. One without a volume has no files: the operator itself makes it anew with another class.
pub(crate) fn is_deleted(claim: &PersistentVolumeClaim) -> bool {
    claim.metadata.deletion_timestamp.is_some() && rules::claims::has_volume(claim)
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
    (!foreign.is_empty()).then(|| join_first(&foreign, MAX_FINALIZERS))
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

/// The same in brackets, after the name of the object.
pub(crate) fn held_in_brackets(meta: &ObjectMeta) -> String {
    holders(meta).map_or_else(String::new, |holders| {
        format!(" (held by the finalizer {holders})")
    })
}

/// Whether a pod is completed, and so uses no disk.
pub(crate) fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed")) && pod.metadata.deletion_timestamp.is_none()
}

/// The `resourceVersion` as a number, if it is one. Within a kind it grows with time on every known API server.
pub(crate) fn version_of(meta: &ObjectMeta) -> Option<u64> {
    meta.resource_version.as_deref()?.parse().ok()
}

/// UID of the object that controls this one.
pub(crate) fn controller_uid(meta: &ObjectMeta) -> Option<&str> {
    let mut owners = meta.owner_references.iter().flatten();
    owners
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
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
