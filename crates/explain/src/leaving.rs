//! A deletion or a slow stop -> the remaining objects, what blocks them, and the remedy (pure).

use api::condition::reason;
use api::condition::{PROGRESSING, find};
use api::names::CLEANUP_FINALIZER;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::SignedDuration;
use kube::ResourceExt as _;

use super::{Evidence, Finding, Remedy, ago, causes, of_workspace, written};

/// A deletion usually ends before that.
const LONG: SignedDuration = SignedDuration::from_secs(60);
/// The finalizer by which Kubernetes keeps a claim while a pod mounts it.
const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";

/// Why a deleted workspace is still there.
pub(super) fn deletion(evidence: &Evidence<'_>) -> Option<Finding> {
    let workspace = evidence.workspace;
    let since = workspace.metadata.deletion_timestamp.as_ref()?.0;
    let conditions = workspace
        .status
        .as_ref()
        .map_or(&[][..], |status| status.conditions.as_slice());
    let message = find(conditions, PROGRESSING)
        .filter(|it| it.reason == reason::DELETING && !it.message.is_empty())
        .map(|it| it.message.clone());
    let finalizers = workspace.finalizers().iter();
    let set = of_workspace(workspace, "metadata.deletionTimestamp", "set", Some(since));
    let mut because = vec![set];
    because
        .extend(finalizers.map(|finalizer| of_workspace(workspace, "metadata.finalizers", finalizer, None)));
    because.extend(causes::left(evidence));
    let time = ago(since, evidence.now);
    let left = causes::names_left(evidence);
    let lasts = evidence.now.duration_since(since) >= LONG;
    Some(Finding {
        what: match (message, left.as_slice()) {
            (Some(message), _) => format!("Deleting for {time}: {message}"),
            (None, []) => format!("Deleting for {time}."),
            (None, left) => format!("Deleting for {time}. Still there: {}.", left.join(", ")),
        },
        reason: Some(reason::DELETING.to_owned()),
        because,
        remedies: if lasts { of_deletion(evidence) } else { Vec::new() },
    })
}

/// Remedies for a slow deletion.
fn of_deletion(evidence: &Evidence<'_>) -> Vec<Remedy> {
    let finalizers = evidence.workspace.finalizers();
    let mut remedies = foreign("the workspace", finalizers, CLEANUP_FINALIZER);
    if !finalizers.iter().any(|finalizer| finalizer == CLEANUP_FINALIZER) {
        return remedies;
    }
    let of_pods = pods(evidence);
    let of_claim = if of_pods.is_empty() {
        claim(evidence)
    } else {
        Vec::new()
    };
    remedies.extend(of_pods.into_iter().chain(of_claim));
    if !remedies.is_empty() {
        return remedies;
    }
    let mut all = evidence.pods.known().into_iter().flatten();
    let is_all_read = evidence.pods.known().is_some() && evidence.claim.known().is_some();
    let is_nothing_left = is_all_read && causes::names_left(evidence).is_empty();
    let is_untouched = all.any(|pod| pod.metadata.deletion_timestamp.is_none());
    remedies.push(if is_nothing_left || is_untouched {
        Remedy::operator()
    } else {
        Remedy::of_owner(format!(
            "Wait: the operator removes {CLEANUP_FINALIZER} when nothing of the workspace is left."
        ))
    });
    remedies
}

/// Remedies for pods that are being deleted.
pub(super) fn pods(evidence: &Evidence<'_>) -> Vec<Remedy> {
    let pods = evidence.pods.known().into_iter().flatten();
    pods.flat_map(|pod| of_pod(evidence, pod)).collect()
}

fn of_pod(evidence: &Evidence<'_>, pod: &Pod) -> Vec<Remedy> {
    // The time at which the pod's grace period ends.
    let Some(end) = pod.metadata.deletion_timestamp.as_ref().map(|time| time.0) else {
        return Vec::new();
    };
    let name = pod.name_any();
    let foreign = foreign(&format!("pod {name}"), pod.finalizers(), "");
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    if !foreign.is_empty() {
        foreign
    } else if evidence.now < end {
        vec![Remedy::of_owner(format!(
            "Wait: pod {name} has until {} to end.",
            written(end)
        ))]
    } else if evidence.now.duration_since(end) >= LONG {
        let remedy = reason::find(reason::NODE_LOST).map_or("", |known| known.remedy);
        let node = node.map_or_else(|| "its node".to_owned(), |node| format!("node {node}"));
        vec![Remedy::of_administrator(format!(
            "See whether {node} answers: it has not confirmed that pod {name} ended. If it does not answer: {remedy}"
        ))]
    } else {
        Vec::new()
    }
}

/// Remedies for a disk that is being deleted.
fn claim(evidence: &Evidence<'_>) -> Vec<Remedy> {
    let claim = evidence.claim.known().and_then(Option::as_ref);
    let Some(claim) = claim.filter(|claim| claim.metadata.deletion_timestamp.is_some()) else {
        return Vec::new();
    };
    let name = claim.name_any();
    let mut remedies = foreign(
        &format!("PersistentVolumeClaim {name}"),
        claim.finalizers(),
        CLAIM_PROTECTION,
    );
    if claim.finalizers().iter().any(|it| it == CLAIM_PROTECTION) {
        remedies.push(Remedy::of_owner(format!(
            "Stop what still mounts the disk: `kubectl describe pvc {name}` names the pod (Used By)."
        )));
    }
    remedies
}

/// One remedy for the finalizers of others.
fn foreign(of: &str, finalizers: &[String], own: &str) -> Vec<Remedy> {
    let foreign: Vec<_> = finalizers
        .iter()
        .filter(|finalizer| *finalizer != own)
        .cloned()
        .collect();
    if foreign.is_empty() {
        return Vec::new();
    }
    vec![Remedy::of_administrator(format!(
        "{} on {of} belongs to another product: see why its controller does not remove it.",
        foreign.join(", ")
    ))]
}
