//! pod of a workspace from its watch -> the addresses that it has (pure).
//!
//! The operator writes a pod's address into the workspace's status. After the pod is gone, another pod soon receives the address,
//! even while no operator runs. So a route exists only while the pod does.

use std::net::IpAddr;

use api::names::WORKSPACE_LABEL;
use k8s_openapi::api::core::v1 as core;
use kube::Resource;
use kube::api::ObjectMeta;
use serde::Deserialize;

/// The parsed part of a pod.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = "core::Pod")]
pub(super) struct Pod {
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStatus {
    #[serde(default)]
    phase: String,
    #[serde(default, rename = "podIPs")]
    pod_ips: Vec<PodIp>,
}

#[derive(Debug, Clone, Deserialize)]
struct PodIp {
    ip: String,
}

/// The facts of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodFacts {
    workspace: String,
    addresses: Vec<IpAddr>,
}

impl PodFacts {
    /// `None` for a pod without addresses of its own. A pod that ended or was evicted still lists its former addresses.
    pub(super) fn from_pod(pod: &Pod) -> Option<Self> {
        let has_ended = matches!(pod.status.phase.as_str(), "Succeeded" | "Failed");
        let workspace = pod.metadata.labels.as_ref()?.get(WORKSPACE_LABEL)?.clone();
        let addresses = pod.status.pod_ips.iter().filter_map(|it| it.ip.parse().ok());
        (!has_ended).then(|| Self {
            workspace,
            addresses: addresses.collect(),
        })
    }

    /// Whether the pod belongs to this workspace of its namespace, and has this address.
    pub(super) fn has(&self, workspace: &str, address: IpAddr) -> bool {
        self.workspace == workspace && self.addresses.contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn facts(labels: &Value, status: &Value) -> Option<PodFacts> {
        let pod = json!({"metadata": {"name": "p", "labels": labels}, "spec": {"containers": []}, "status": status});
        PodFacts::from_pod(&serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn a_pod_has_its_addresses_until_it_ends() {
        let lab = json!({WORKSPACE_LABEL: "lab"});
        let ips = json!([{"ip": "10.244.0.7"}, {"ip": "fd00::7"}, {"ip": "?"}]);
        for phase in ["Pending", "Running", "Unknown"] {
            let facts = facts(&lab, &json!({"phase": phase, "podIPs": ips})).unwrap();
            assert!(facts.has("lab", "10.244.0.7".parse().unwrap()), "{phase}");
            assert!(facts.has("lab", "fd00::7".parse().unwrap()));
            assert!(!facts.has("lab", "10.244.0.8".parse().unwrap()));
            assert!(!facts.has("other", "10.244.0.7".parse().unwrap()));
        }
        for phase in ["Succeeded", "Failed"] {
            assert_eq!(
                facts(&lab, &json!({"phase": phase, "podIPs": ips})),
                None,
                "{phase}"
            );
        }
        assert_eq!(
            facts(&json!({}), &json!({"phase": "Running", "podIPs": ips})),
            None
        );
        let pending = facts(&lab, &json!({"phase": "Pending"})).unwrap();
        assert!(!pending.has("lab", "10.244.0.7".parse().unwrap()));
    }
}
