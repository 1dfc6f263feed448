//! Pod -> why no node accepts it, or why its node ended it (pure).

use std::time::Duration;

use api::{condition::reason, names::QUEUE_LABEL};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use rules::files::Moment;

use super::{
    CONFIRM_AFTER, Evidence, Inputs, NONE, SLOW, containers, holds, node_of, remaining, trim_end, volumes,
    volumes::UNBOUND,
};
use crate::{
    cache::{
        observed::{Observed, pod_condition},
        partial::Pod,
    },
    support::text::join_first,
};

/// The scheduler's message if anti-affinity rules of other pods exclude the pod.
const OTHERS_ANTI_AFFINITY: &str = "existing pods anti-affinity rules";
/// The kubelet's reason for an eviction.
const EVICTED: &str = "Evicted";
/// An eviction earlier than this before the workspace became unavailable is not the reason for it.
const EVICTION_WINDOW: Duration = Duration::from_mins(1);
/// Most scheduling gates in a message.
const MAX_GATES: usize = 8;

/// What keeps this pod from being ready, from its own status.
pub(super) fn problem(observed: &Observed, pod: &Pod, inputs: Inputs<'_>) -> Evidence {
    match pod_condition(pod, "PodScheduled") {
        _ if is_gated(pod) => gating(pod),
        Some(scheduled) if scheduled.status == "False" => scheduling_problem(
            observed,
            scheduled.message.as_deref().unwrap_or_default(),
            // Kubernetes records no time for a pod that had scheduling gates.
            scheduled.last_transition_time.as_ref().or(inputs.starting_since),
            inputs,
        ),
        _ => containers::problem(observed, pod, inputs),
    }
}

/// The names of the pod's scheduling gates.
fn gates(pod: &Pod) -> impl Iterator<Item = &str> {
    let gates = pod
        .spec
        .iter()
        .flat_map(|spec| spec.scheduling_gates.iter().flatten());
    gates.map(|gate| gate.name.as_str())
}

/// Whether the scheduler ignores the pod until its scheduling gates are removed.
pub(in crate::status::assess) fn is_gated(pod: &Pod) -> bool {
    gates(pod).next().is_some()
}

/// A pod with scheduling gates. A queue may hold it for any time. Only its creation can set them.
fn gating(pod: &Pod) -> Evidence {
    let gates: Vec<_> = gates(pod).collect();
    let since = pod.metadata.creation_timestamp.as_ref();
    let since = since.map_or_else(String::new, |since| format!(" since {}", since.0));
    let queue = pod.labels().get(QUEUE_LABEL).map_or_else(String::new, |queue| {
        format!(" Its queue is {queue:?} (label {QUEUE_LABEL}).")
    });
    let message = format!(
        "The pod has waited{since} for its scheduling gates to be removed: {}. It gets no node before that. The controllers that set \
         the gates remove them, such as a queue that admits the pod.{queue}",
        join_first(&gates, MAX_GATES)
    );
    Evidence::waiting(reason::SCHEDULING_GATED, message)
}

fn scheduling_problem(
    observed: &Observed,
    message: &str,
    since: Option<&Time>,
    inputs: Inputs<'_>,
) -> Evidence {
    // The part about preemption changes every minute.
    let message = trim_end(message.split(" preemption:").next().unwrap_or(message));
    // The disk is being made, and its claim reports why it is not ready. The claim of another owner tells nothing.
    if message.contains(UNBOUND) && volumes::pending_claim(observed).is_some() {
        return NONE;
    }
    if message.contains(UNBOUND) {
        let message = format!(
            "A claim that the workspace mounts has no volume yet. See why: `kubectl describe pvc -n {}`.",
            observed.identity.namespace
        );
        return match remaining(since, SLOW, inputs.now) {
            Some(rest) => Evidence::recheck_after(rest),
            None => Evidence::failure(reason::VOLUME_UNBOUND, message),
        };
    }
    if let Some(rest) = remaining(since, CONFIRM_AFTER, inputs.now) {
        return Evidence::recheck_after(rest);
    }
    if let Some(claim) = missing_claim(message) {
        // The scheduler may see the pod before its disk's claim. It tries the pod again then.
        if observed.claims().any(|own| own.name_any() == claim) {
            return NONE;
        }
        let message = format!(
            "The claim {claim} that the workspace mounts does not exist. Make it, and the pod starts by itself; or \
             correct its name."
        );
        return Evidence::failure(reason::VOLUME_UNBOUND, message);
    }
    let message = format!(
        "No node can take the pod. {}. The scheduler's message: {message}.",
        advice(message)
    );
    let grace = remaining(since, inputs.unschedulable_grace, inputs.now);
    Evidence::failure_after(reason::UNSCHEDULABLE, message, grace)
}

/// `persistentvolumeclaim "x" not found`, or `could not find v1.PersistentVolumeClaim "team/x"`
fn missing_claim(message: &str) -> Option<&str> {
    if let Some((_, rest)) = message.split_once("could not find v1.PersistentVolumeClaim \"") {
        return rest.split('"').next()?.rsplit('/').next();
    }
    let (_, rest) = message.split_once("persistentvolumeclaim \"")?;
    let (name, rest) = rest.split_once('"')?;
    rest.starts_with(" not found").then_some(name)
}

/// Advice for each resource or rule in the scheduler's message.
fn advice(message: &str) -> String {
    let missing = message.split("Insufficient ").skip(1).map(resource);
    let mut found = Vec::new();
    if let Some(name) = missing.clone().find(|name| name.contains('/')) {
        found.push(format!(
            "Ask for fewer {name}, stop another workspace that uses some, or have nodes added that have more of them"
        ));
    }
    let short: Vec<_> = ["cpu", "memory", "ephemeral-storage"]
        .into_iter()
        .filter(|name| missing.clone().any(|found| found == *name))
        .collect();
    if !short.is_empty() {
        found.push(format!(
            "Ask for less {}, stop another workspace, or have nodes added",
            short.join(" and ")
        ));
    }
    if message.contains("Too many pods") {
        found.push(
            "Stop another workspace, or have nodes added: the nodes already run their maximum number of pods"
                .to_owned(),
        );
    }
    let own = message.replace(OTHERS_ANTI_AFFINITY, "");
    if own.contains("node affinity/selector") || own.contains("affinity rules") {
        found.push(
            "No node fits spec.nodeSelector or spec.affinity: correct them, or have such a node added"
                .to_owned(),
        );
    }
    if message.contains(OTHERS_ANTI_AFFINITY) {
        found.push(
            "A pod that runs there keeps this one away by its own podAntiAffinity: stop it if it is yours, or tell the administrator"
                .to_owned(),
        );
    }
    if message.contains("untolerated taint") {
        found.push(
            "Add spec.tolerations for the taint if you may use these nodes, or have others added".to_owned(),
        );
    }
    found.extend(about_volumes(message));
    if found.is_empty() {
        found.push("Change what the message names, or tell the administrator".to_owned());
    }
    found.join(". ")
}

/// Advice about the parts of the message that name volumes. Each scheduler has words of its own for a volume that no node can reach, so any
/// such part counts.
fn about_volumes(message: &str) -> Option<String> {
    let mut parts: Vec<_> = message.split(", ").map(str::to_lowercase).collect();
    parts.retain(|part| {
        ["volume", "pvc(s)", "free storage"]
            .iter()
            .any(|word| part.contains(word))
    });
    let is_only = |words: &str| parts.iter().all(|part| part.contains(words));
    let advice = if parts.is_empty() {
        return None;
    } else if is_only("max volume count") {
        "Stop another workspace, or have nodes added: the nodes already hold their maximum number of volumes"
    } else if is_only("non-existent pv") {
        "The disk's volume was deleted: have an administrator restore it, or create another workspace and restore a backup"
    } else if is_only("free storage") {
        "Set spec.storage.size to less, or have storage added"
    } else {
        "The disk can be used only from some nodes, such as those of its zone, and none of these can take the pod: have one added there. \
         If its zone is gone, create another workspace and restore a backup"
    };
    Some(advice.to_owned())
}

/// `nvidia.com/gpu` of `nvidia.com/gpu. preemption …` or `nvidia.com/gpu, 2 node(s) …`
fn resource(rest: &str) -> &str {
    trim_end(rest.split([',', ' ']).next().unwrap_or(rest))
}

/// A node ended the last pod, is ending it or would not run it, and the next pod is not ready yet.
pub(super) fn eviction(observed: &Observed, inputs: Inputs<'_>) -> Evidence {
    let Some(pod) = last_ended(observed) else {
        return NONE;
    };
    let status = pod.status.clone().unwrap_or_default();
    let disruption = pod_condition(pod, "DisruptionTarget").filter(|it| it.status == "True");
    let since_then = disruption
        .and_then(|it| it.last_transition_time.as_ref())
        .zip(inputs.unavailable_since)
        .and_then(|(when, since)| Duration::try_from(since.duration_since(when.0)).ok());
    if since_then.is_some_and(|time| time > EVICTION_WINDOW) {
        return NONE;
    }
    let why = status.message.or_else(|| disruption?.message.clone());
    let why = trim_end(why.as_deref().unwrap_or("no reason is given"));
    let node = node_of(pod).unwrap_or_default();
    match status.reason {
        Some(reason) if disruption.is_none() && reason != EVICTED => Evidence::failure(
            reason::UNSCHEDULABLE,
            format!(
                "The node {node} would not run the pod ({reason}): {why}. Ask for less, or tell the administrator."
            ),
        ),
        _ => Evidence::waiting(
            reason::EVICTED,
            format!(
                "The pod was evicted from the node {node}: {why}. A new pod is starting; {}. If it happens again, \
                 raise spec.resources.requests, or write less outside the disk.",
                inputs.disks.fate(Moment::Stop).text
            ),
        ),
    }
}

/// The pod that the cluster ended. Containers that exit by themselves are restarted in place.
fn last_ended(observed: &Observed) -> Option<&Pod> {
    let mut ended = observed.own_pods().filter(|pod| {
        let status = pod.status.as_ref();
        let failed = status.and_then(|status| status.phase.as_deref()) == Some("Failed");
        let has_reason = status.is_some_and(|status| status.reason.is_some());
        (failed && has_reason) || holds(pod, "DisruptionTarget")
    });
    ended.next()
}
