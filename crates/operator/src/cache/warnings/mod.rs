//! Warning Events, Nodes -> facts about pods and disks that a status needs (in memory, bounded).
//!
//! Events report problems that no status shows: volumes that cannot be attached, mounted or made, and failed hooks. Only the newest
//! Event of each reason is kept per object, and only a limited number in total (`newest.rs`). Of a Node only its readiness is kept.

mod newest;

use std::collections::{HashMap, HashSet};

use k8s_openapi::{
    api::core::v1::{Event, Node as NodeObject},
    apimachinery::pkg::apis::meta::v1::Time,
};
use parking_lot::RwLock;

use self::newest::Warnings;

/// Reasons of warning Events for problems that no status shows.
const REASONS: [&str; 8] = [
    "FailedAttachVolume",
    "FailedMapVolume",
    "FailedMount",
    "FailedCreatePodSandBox",
    "FailedPostStartHook",
    "FileSystemResizeFailed",
    "ProvisioningFailed",
    "VolumeResizeFailed",
];
/// Kinds whose warnings are kept.
pub(crate) const POD: &str = "Pod";
const CLAIM: &str = "PersistentVolumeClaim";
/// Parts of kubelet messages that are transient. The kubelet's caches are not filled yet, or the API server does not know yet that a new
/// pod's claim concerns this node. It retries at once.
const TRANSIENT: [&str; 3] = [
    "not registered",
    "failed to sync",
    "no relationship found between node",
];
/// Longest message that is kept, in bytes.
const MAX_MESSAGE: usize = 1024;
/// Longest UID of an object whose warnings are kept, in bytes. Real UIDs are shorter, but an Event may contain any text as a UID.
const MAX_UID: usize = 128;

/// A warning Event about a pod or a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// UID of the pod or claim.
    pub about: String,
    /// Reason, one of a few.
    pub reason: &'static str,
    /// The message of its source.
    pub message: String,
    /// When it was last seen.
    pub last: Option<Time>,
}

/// Whether a node responds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Its kubelet reports that it is ready.
    Ready,
    /// Its kubelet reports that it is not ready; the reason.
    NotReady(String),
    /// Its kubelet reports nothing; the cluster's message about that.
    Silent(String),
    /// There is no such node.
    Gone,
}

/// Whether the kubelet's message is about a state that passes at once.
pub(crate) fn is_transient(message: &str) -> bool {
    TRANSIENT.iter().any(|part| message.contains(part))
}

/// The known warnings and nodes. The watches write it, and the reconciles read it.
#[derive(Debug, Default)]
pub struct ClusterWarnings {
    warnings: RwLock<Warnings>,
    /// `None` until all nodes have been listed once: before that, no node counts as gone.
    nodes: RwLock<Option<HashMap<String, Node>>>,
    /// Claims that are no workspace's disk and are being deleted: namespace and name.
    terminating: RwLock<HashSet<(String, String)>>,
}

impl ClusterWarnings {
    /// Warnings about the object with this UID in this namespace.
    pub fn about(&self, namespace: &str, uid: &str) -> Vec<Warning> {
        self.warnings.read().about(namespace, uid).cloned().collect()
    }

    /// The known state of a node; `None` before all nodes are listed.
    pub fn node(&self, name: &str) -> Option<Node> {
        let nodes = self.nodes.read();
        Some(nodes.as_ref()?.get(name).cloned().unwrap_or(Node::Gone))
    }

    /// Whether a claim that is no workspace's disk is being deleted.
    pub fn is_terminating(&self, namespace: &str, claim: &str) -> bool {
        let terminating = self.terminating.read();
        // Usually there is none.
        !terminating.is_empty() && terminating.contains(&(namespace.to_owned(), claim.to_owned()))
    }

    /// Records a claim. Returns whether its state changed.
    pub(crate) fn note_claim(&self, namespace: &str, claim: &str, terminating: bool) -> bool {
        let key = (namespace.to_owned(), claim.to_owned());
        let mut all = self.terminating.write();
        if terminating {
            all.insert(key)
        } else {
            all.remove(&key)
        }
    }

    /// Replaces all claims that are being deleted, after a new list.
    pub(crate) fn replace_terminating(&self, all: HashSet<(String, String)>) {
        *self.terminating.write() = all;
    }

    /// Records an Event. Returns whether it is new. A transient one, for example about another volume, does not replace a lasting one.
    pub(crate) fn note(&self, event: &Event) -> bool {
        warning_of(event)
            .filter(|warning| !is_transient(&warning.message))
            .is_some_and(|warning| self.warnings.write().note(namespace_of(event), warning))
    }

    /// Removes an Event that is gone: the API server keeps Events for about an hour.
    pub(crate) fn drop_event(&self, event: &Event) {
        if let Some(warning) = warning_of(event) {
            self.warnings.write().expire(namespace_of(event), &warning);
        }
    }

    /// Records a node. Returns whether its state changed.
    pub(crate) fn note_node(&self, name: &str, node: Option<Node>) -> bool {
        let mut nodes = self.nodes.write();
        let Some(nodes) = nodes.as_mut() else { return false };
        let is_new = nodes.get(name) != node.as_ref();
        match node {
            Some(node) => nodes.insert(name.to_owned(), node),
            None => nodes.remove(name),
        };
        is_new
    }

    /// Replaces all nodes, after a new list.
    pub(crate) fn replace_nodes(&self, all: HashMap<String, Node>) {
        *self.nodes.write() = Some(all);
    }
}

/// The namespace of an Event, and so of its object.
fn namespace_of(event: &Event) -> &str {
    event.metadata.namespace.as_deref().unwrap_or_default()
}

/// The warning in an Event about an object that may be ours.
fn warning_of(event: &Event) -> Option<Warning> {
    let about = &event.involved_object;
    let is_kind_of_ours = [POD, CLAIM].contains(&about.kind.as_deref()?);
    let ours = is_kind_of_ours && about.name.as_deref()?.starts_with(&rules::names::child(""));
    let uid = about.uid.as_deref().filter(|uid| uid.len() <= MAX_UID)?;
    let reason = event.reason.as_deref()?;
    let reason = REASONS.into_iter().find(|known| *known == reason)?;
    let message = event.message.as_deref().unwrap_or_default();
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.clone());
    let times = [
        event.last_timestamp.clone(),
        series.map(|time| Time(time.0)),
        event.metadata.creation_timestamp.clone(),
    ];
    ours.then(|| Warning {
        about: uid.to_owned(),
        reason,
        message: message[..message.floor_char_boundary(MAX_MESSAGE)].to_owned(),
        last: times.into_iter().flatten().next(),
    })
}

/// The state of a Node object.
pub(crate) fn node_state(node: &NodeObject) -> Node {
    let mut conditions = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let Some(ready) = conditions.find(|condition| condition.type_ == "Ready") else {
        return Node::NotReady("its kubelet has not reported yet".to_owned());
    };
    let message = || {
        let reason = ready.reason.clone().unwrap_or_default();
        match ready
            .message
            .as_deref()
            .map(|message| message.trim_end_matches('.'))
        {
            None | Some("") => reason,
            Some(message) => format!("{reason}: {message}"),
        }
    };
    match ready.status.as_str() {
        "True" => Node::Ready,
        "False" => Node::NotReady(message()),
        _ => Node::Silent(message()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(uid: &str, reason: &str, message: &str, second: u32) -> Event {
        serde_json::from_value(json!({
            "metadata": {"name": "e", "namespace": "team"},
            "involvedObject": {"kind": "Pod", "name": "workspace-demo-5d8f-abcde", "uid": uid},
            "reason": reason, "message": message, "type": "Warning",
            "lastTimestamp": format!("2026-01-01T00:00:{second:02}Z"),
        }))
        .unwrap()
    }

    #[test]
    fn the_newest_warning_of_each_kind_is_kept_until_it_expires() {
        let cluster_warnings = ClusterWarnings::default();
        assert!(cluster_warnings.note(&event("a", "FailedMount", "one", 1)));
        assert!(
            !cluster_warnings.note(&event("a", "FailedMount", "one", 2)),
            "a repeated one is not new"
        );
        assert!(cluster_warnings.note(&event("a", "FailedMount", "two", 3)));
        assert!(
            !cluster_warnings.note(&event("a", "FailedMount", "one", 2)),
            "an old one is not new"
        );
        assert!(
            !cluster_warnings.note(&event(
                "a",
                "FailedMount",
                "object \"team\"/\"ca\" not registered",
                4
            )),
            "a transient one hides no lasting one"
        );
        assert!(cluster_warnings.note(&event("a", "FailedAttachVolume", "three", 3)));
        let messages: Vec<_> = cluster_warnings
            .about("team", "a")
            .into_iter()
            .map(|warning| warning.message)
            .collect();
        assert_eq!(messages, ["three", "two"]);
        cluster_warnings.drop_event(&event("a", "FailedMount", "one", 2));
        assert_eq!(
            cluster_warnings.about("team", "a").len(),
            2,
            "the expired Event is older"
        );
        cluster_warnings.drop_event(&event("a", "FailedMount", "two", 3));
        cluster_warnings.drop_event(&event("a", "FailedAttachVolume", "three", 3));
        assert!(cluster_warnings.about("team", "a").is_empty());
    }

    #[test]
    fn a_node_is_gone_only_when_all_are_known() {
        let cluster_warnings = ClusterWarnings::default();
        assert!(!cluster_warnings.note_node("a", Some(Node::Ready)));
        assert_eq!(cluster_warnings.node("a"), None);
        cluster_warnings.replace_nodes([("a".to_owned(), Node::Ready)].into());
        assert_eq!(cluster_warnings.node("a"), Some(Node::Ready));
        assert_eq!(cluster_warnings.node("b"), Some(Node::Gone));
        assert!(!cluster_warnings.note_node("a", Some(Node::Ready)));
        assert!(cluster_warnings.note_node("a", Some(Node::Silent("x".to_owned()))));
        assert!(cluster_warnings.note_node("a", None));
        assert_eq!(cluster_warnings.node("a"), Some(Node::Gone));
    }

    #[test]
    fn the_ready_condition_says_the_state_of_a_node() {
        let node = |status: &str| -> NodeObject {
            serde_json::from_value(json!({"metadata": {"name": "a"}, "status": {"conditions": [
                {"type": "Ready", "status": status, "reason": "R", "message": "Kubelet stopped posting node status."},
            ]}}))
            .unwrap()
        };
        let message = "R: Kubelet stopped posting node status".to_owned();
        assert_eq!(node_state(&node("True")), Node::Ready);
        assert_eq!(node_state(&node("False")), Node::NotReady(message.clone()));
        assert_eq!(node_state(&node("Unknown")), Node::Silent(message));
    }
}
