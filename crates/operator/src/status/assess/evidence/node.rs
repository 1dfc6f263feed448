//! Pods and their nodes -> the node that does not respond (pure).
//!
//! Two pods must never write to one disk, so nothing is force-deleted here. The message tells users what they can do.

use std::time::Duration;

use api::condition::reason;
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{Evidence, NONE, holds, node_of, remaining};
use crate::cache::{
    observed::{Observed, pod_condition},
    partial::Pod,
    warnings::Node,
};

/// A joining node may appear in its watch later than its first pod appears in another watch.
const JUST_BOUND: Duration = Duration::from_secs(1);

/// The first of these pods whose node does not respond.
pub(super) fn loss<'a>(
    observed: &'a Observed,
    pods: impl IntoIterator<Item = &'a Pod>,
    now: Timestamp,
) -> Evidence {
    Evidence::first(pods.into_iter().map(|pod| of_pod(observed, pod, now)))
}

fn of_pod(observed: &Observed, pod: &Pod, now: Timestamp) -> Evidence {
    let Some(name) = node_of(pod) else { return NONE };
    let how = match observed.nodes.get(name) {
        None | Some(Node::Ready) => return NONE,
        // Its kubelet still reports: a pod that is ready has no problem.
        Some(Node::NotReady(_)) if holds(pod, "Ready") => return NONE,
        Some(Node::NotReady(why)) => format!("is not ready ({why})"),
        Some(Node::Silent(why)) => format!("does not answer ({why})"),
        Some(Node::Gone) => {
            let bound = pod_condition(pod, "PodScheduled").and_then(|it| it.last_transition_time.as_ref());
            if let Some(rest) = remaining(bound, JUST_BOUND, now) {
                return Evidence::recheck_after(rest);
            }
            let message = format!(
                "The node {name} of the pod {} no longer exists. The cluster removes the pod by itself in a minute or \
                 so; if it does not, an administrator does: `kubectl delete pod -n {} {0} --force`, once the machine is certainly off.",
                pod.name_any(),
                observed.identity.namespace,
            );
            return Evidence::failure(reason::NODE_LOST, message);
        }
    };
    let message = format!(
        "The node {name} {how}, and the pod {} may still run there, so no other pod gets its disk: two pods must \
         not write to one disk. Bring the node back. If the machine is certainly off, an administrator frees the disk: `kubectl delete node {name}`, or `kubectl taint \
         node {name} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute`.",
        pod.name_any()
    );
    Evidence::failure(reason::NODE_LOST, message)
}
