//! Claim, its storage class, warning Events about volumes -> why the disk is not ready (pure).

use api::condition::reason;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use rules::Quantity;

use super::{
    CONFIRM_AFTER, Evidence, NONE, SLOW, holds, missing_source, node_of, remaining, trim_end, user_namespace,
};
use crate::{
    cache::{
        observed::{Observed, claims_of, held_by, holders, pod_condition},
        partial::Pod,
        warnings::{Warning, is_transient},
    },
    plan::disks::desired_claim::{class_of, size},
    status::started::has_run,
};

const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
/// The cluster's message for a claim whose class does not exist.
const MISSING_CLASS: &str = "storageclass.storage.k8s.io ";
/// The scheduler's message for a claim that waits for its volume.
pub(super) const UNBOUND: &str = "unbound immediate PersistentVolumeClaims";

/// The newest warning with this reason about the object with this UID.
fn warning<'a>(observed: &'a Observed, uid: Option<&str>, reason: &str) -> Option<&'a Warning> {
    let about = |warning: &&Warning| Some(warning.about.as_str()) == uid && warning.reason == reason;
    observed.warnings.iter().find(about)
}

/// The claim of a disk that waits for a volume, if there is one.
pub(super) fn pending_claim(observed: &Observed) -> Option<&PersistentVolumeClaim> {
    in_phase(observed, "Pending")
}

/// The first claim of a disk in this phase. Of further disks, those that a pod mounts, or none is there.
fn in_phase<'a>(observed: &'a Observed, phase: &str) -> Option<&'a PersistentVolumeClaim> {
    observed.used_claims().find(|claim| {
        let status = claim.status.as_ref();
        status.and_then(|status| status.phase.as_deref()) == Some(phase)
    })
}

/// Whether a claim is the home of the workspace, whose class its spec names.
fn is_home(observed: &Observed, claim: &PersistentVolumeClaim) -> bool {
    claim.metadata.name.as_deref() == Some(&*observed.identity.child_name())
}

pub(super) fn missing_class(observed: &Observed, now: Timestamp) -> Evidence {
    let Some(claim) = pending_claim(observed) else {
        return NONE;
    };
    let class = class_of(claim);
    let classes = &observed.storage_classes;
    let is_default = |class: &k8s_openapi::api::storage::v1::StorageClass| {
        class
            .annotations()
            .get(DEFAULT_CLASS)
            .is_some_and(|it| it == "true")
    };
    let is_home = is_home(observed, claim);
    let (fault, wanted, other) = match class {
        Some(name) if classes.iter().all(|class| class.name_any() != name) => (
            format!("'s storage class {name:?} does not exist"),
            "it",
            "another class",
        ),
        None if !classes.iter().any(|class| is_default(class)) => {
            let fault = " has no storage class, and the cluster has no default one".to_owned();
            (fault, "a default", "a class")
        }
        _ => return NONE,
    };
    let message = if is_home {
        let other = class.map_or("", |_| " to another");
        format!("The disk{fault}. Set spec.storage.storageClassName{other}, or have {wanted} made.")
    } else {
        // Neither spec.templateRef nor the disks of a template change.
        format!(
            "The disk {}{fault}. Have {wanted} made, or create another workspace from a template that names {other}.",
            claim.name_any()
        )
    };
    let message = format!("{message} The disk was never made, so no files are lost.");
    // A pre-provisioned volume may name a class that has no object.
    match remaining(claim.metadata.creation_timestamp.as_ref(), CONFIRM_AFTER, now) {
        Some(rest) => Evidence::recheck_after(rest),
        None => Evidence::failure(reason::STORAGE_CLASS_NOT_FOUND, message),
    }
}

/// The claim that the pod has its files on was deleted. It exists only while a pod uses it.
pub(super) fn terminating(observed: &Observed) -> Evidence {
    Evidence::first([own_terminating(observed), named_terminating(observed)])
}

/// A claim that the workspace names was deleted.
fn named_terminating(observed: &Observed) -> Evidence {
    let Some(claim) = observed.terminating.first() else {
        return NONE;
    };
    let message = format!(
        "A user deleted the claim {claim}, which the workspace mounts. It is removed with its files once no pod uses it, unless \
         its volume is kept; a deletion cannot be undone: copy the files elsewhere before the workspace stops, for idleness or \
         otherwise. It starts again when a claim of that name is created, or when spec.volumes names another one."
    );
    Evidence::waiting(reason::VOLUME_TERMINATING, message)
}

fn own_terminating(observed: &Observed) -> Evidence {
    let deleted = observed.used_deleted_claim();
    let Some(claim) = deleted.filter(|_| observed.live_pods().next().is_some()) else {
        return NONE;
    };
    let message = format!(
        "A user deleted the disk {}. It is removed with its files when the workspace stops or restarts; the next start creates \
         an empty disk. A deletion cannot be undone: copy the files elsewhere before it stops. Until then no \
         rule stops it.{}{}",
        claim.name_any(),
        held_by(holders(&claim.metadata).as_deref()),
        rescue(claim)
    );
    Evidence::waiting(reason::VOLUME_TERMINATING, message)
}

/// The disk of a stopped workspace was deleted, and is not gone yet.
pub(super) fn deletion(observed: &Observed) -> Evidence {
    let Some(claim) = observed.used_deleted_claim() else {
        return NONE;
    };
    let message = format!(
        "A user deleted the disk {}. It is removed with its files; a deletion cannot be undone. Once it is gone, the workspace gets \
         an empty disk, and the next start waits for that.{}{}",
        claim.name_any(),
        held_by(holders(&claim.metadata).as_deref()),
        rescue(claim)
    );
    Evidence::waiting(reason::VOLUME_TERMINATING, message)
}

/// How to keep the volume of a deleted claim, after another sentence; empty if it has none.
fn rescue(claim: &PersistentVolumeClaim) -> String {
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
    volume.map_or_else(String::new, |volume| {
        format!(
            " An administrator can keep the volume with its files: `kubectl patch pv {volume} -p \
             '{{\"spec\":{{\"persistentVolumeReclaimPolicy\":\"Retain\"}}}}'`."
        )
    })
}

/// The claim has no volume, or lost it.
pub(super) fn unbound(observed: &Observed, now: Timestamp) -> Evidence {
    if let Some(claim) = in_phase(observed, "Lost") {
        let name = claim.name_any();
        let message = format!(
            "The volume of the disk {name} is gone, and its files with it, unless there is a backup. Have an administrator restore \
             the volume. Or delete the workspace with its disk, and create it anew with an empty one."
        );
        return Evidence::failure(reason::VOLUME_UNBOUND, message);
    }
    let (Some(claim), Some(pod)) = (pending_claim(observed), observed.current_pod()) else {
        return NONE;
    };
    let name = claim.name_any();
    let rest = remaining(pod.metadata.creation_timestamp.as_ref(), SLOW, now);
    // A class that does not exist is reported above, with its own message, once that is certain.
    let message = warning(observed, claim.metadata.uid.as_deref(), "ProvisioningFailed");
    if let Some(message) = message.filter(|message| !message.message.contains(MISSING_CLASS)) {
        let message = format!(
            "The volume of the disk {name} cannot be made: {}. It is tried again; if it lasts, tell the administrator.",
            trim_end(&message.message)
        );
        return Evidence::failure_after(reason::VOLUME_UNBOUND, message, rest);
    }
    if let Some(rest) = rest {
        return Evidence::recheck_after(rest);
    }
    let message = if waits_for_node(observed, claim, pod) {
        format!(
            "The disk {name} is made once the pod has a node. The scheduler rejected the pod while the disk had no storage class, \
             and tries it again within 5 min. Stop and start the workspace to have it tried at once."
        )
    } else {
        format!(
            "The disk {name} has waited for a volume for over {} s. See why: `kubectl describe -n {} pvc/{name}`.",
            SLOW.as_secs(),
            observed.identity.namespace
        )
    };
    Evidence::failure(reason::VOLUME_UNBOUND, message)
}

/// Whether the claim waits for the pod, because of its class, and the pod for the claim, according to the last scheduler message. The
/// scheduler reports that for claims of such a class only until they are bound.
fn waits_for_node(observed: &Observed, claim: &PersistentVolumeClaim, pod: &Pod) -> bool {
    let name = class_of(claim);
    let mut classes = observed.storage_classes.iter();
    let class = classes.find(|class| class.metadata.name.as_deref() == name);
    let mode = class.and_then(|class| class.volume_binding_mode.as_deref());
    let scheduled = pod_condition(pod, "PodScheduled").and_then(|it| it.message.as_deref());
    mode == Some("WaitForFirstConsumer")
        && scheduled.is_some_and(|message| message.contains(UNBOUND))
        // With several claims, the message does not say which one.
        && claims_of(pod.spec.as_ref()).count() == 1
}

/// The pod has a node, but a volume is not attached or mounted there.
pub(super) fn of_pod(observed: &Observed, pod: &Pod, now: Timestamp) -> Evidence {
    // Once its sandbox is ready, everything is mounted, and earlier messages are outdated.
    let Some(node) =
        node_of(pod).filter(|_| !holds(pod, "PodReadyToStartContainers") && !has_run(observed, pod))
    else {
        return NONE;
    };
    let reported = |reason| {
        warning(observed, pod.metadata.uid.as_deref(), reason)
            .map(|warning| trim_end(&warning.message))
            .filter(|message| !is_transient(message))
    };
    let rest = remaining(pod.metadata.creation_timestamp.as_ref(), SLOW, now);
    let mount = reported("FailedMount").or_else(|| reported("FailedMapVolume"));
    if let Some((reason, message)) = mount.and_then(missing_source) {
        return Evidence::failure(reason, message);
    }
    if let Some(message) = reported("FailedAttachVolume") {
        let advice = if message.contains("Multi-Attach") {
            "Another node still holds the disk. It is attached here once that node has released it. If another pod uses the \
             disk (`kubectl get pods -o wide`), stop it. If the node is off, tell the administrator"
        } else {
            "It is tried again; if it lasts, tell the administrator"
        };
        let message = format!("The disk cannot be attached to the node {node}: {message}. {advice}.");
        return Evidence::failure_after(reason::VOLUME_ATTACH_FAILED, message, rest);
    }
    if let Some(message) = mount {
        let message = format!(
            "A volume cannot be mounted on the node {node}: {message}. It is tried again; if it lasts, tell the \
             administrator."
        );
        return Evidence::failure_after(reason::VOLUME_ATTACH_FAILED, message, rest);
    }
    if let Some(message) = reported("FailedCreatePodSandBox") {
        if let Some(message) = user_namespace::refusal(pod, node, message) {
            return Evidence::failure_after(reason::USER_NAMESPACE_UNAVAILABLE, message, rest);
        }
        let message = format!(
            "The node {node} cannot set up the pod: {message}. It is tried again; if it lasts, tell the administrator."
        );
        return Evidence::failure_after(reason::CONTAINER_START_FAILED, message, rest);
    }
    NONE
}

/// The disk is smaller than planned, and growing it failed. A running pod goes on.
pub(super) fn resize(observed: &Observed) -> Evidence {
    let Some(claim) = observed.claim.as_deref().filter(|claim| is_to_grow(claim)) else {
        return NONE;
    };
    let Some(why) = resize_failure(observed, claim) else {
        return NONE;
    };
    let message = format!(
        "The disk {} could not be grown to spec.storage.size: {}. The running workspace keeps the old size; growing is tried \
         again. If it lasts, tell the administrator.",
        observed.identity.child_name(),
        trim_end(&why)
    );
    Evidence::waiting(reason::VOLUME_RESIZE_FAILED, message)
}

fn is_to_grow(claim: &PersistentVolumeClaim) -> bool {
    let quantity = |text: &str| text.parse::<Quantity>().ok();
    let status = claim.status.as_ref();
    let capacity = status.and_then(|status| status.capacity.as_ref()?.get("storage"));
    let capacity = capacity.and_then(|capacity| quantity(&capacity.0));
    let wanted = size(claim).and_then(quantity);
    wanted.zip(capacity).is_some_and(|(wanted, is)| wanted > is)
}

/// Checks the claim's condition first, then the state of the resize, then Events of resizers that write neither.
fn resize_failure(observed: &Observed, claim: &PersistentVolumeClaim) -> Option<String> {
    let status = claim.status.as_ref()?;
    let failed = ["ControllerResizeError", "NodeResizeError"];
    let condition = status
        .conditions
        .iter()
        .flatten()
        .find(|it| failed.contains(&it.type_.as_str()) && it.status == "True");
    let state = status
        .allocated_resource_statuses
        .as_ref()
        .and_then(|all| all.get("storage"));
    let state = state.filter(|state| state.ends_with("Infeasible") || state.ends_with("Failed"));
    let pod = observed.current_pod().and_then(|pod| pod.metadata.uid.as_deref());
    let events = [
        (claim.metadata.uid.as_deref(), "VolumeResizeFailed"),
        (pod, "FileSystemResizeFailed"),
    ];
    let event = events
        .into_iter()
        .find_map(|(uid, reason)| warning(observed, uid, reason));
    let reported = condition
        .and_then(|it| it.message.clone())
        .filter(|message| !message.is_empty());
    reported
        .or_else(|| event.map(|event| event.message.clone()))
        .or_else(|| condition.map(|it| it.type_.clone()))
        .or_else(|| state.cloned())
}
