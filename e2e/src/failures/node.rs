//! Node object without a machine -> pods bound to it, with statuses from a test (IO).
//!
//! Its lease is renewed like a kubelet's, so that the cluster treats it as a node that responds.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::ensure;
use jiff::Timestamp;
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Node, Pod},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::interval};

use crate::wait;

/// Label of such nodes. Its value is the node's name, and workspaces select it.
pub(super) const LABEL: &str = "e2e.test/silent";
/// Interval at which a kubelet renews its lease.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Interval of the search for pods that no kubelet ends.
const POLL: Duration = Duration::from_millis(500);
const LEASES: &str = "kube-node-lease";

/// A Node that only a test writes.
#[derive(Debug)]
pub struct SilentNode {
    /// Its name.
    pub name: String,
    nodes: Api<Node>,
    heartbeat: JoinHandle<()>,
}

impl Drop for SilentNode {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

impl SilentNode {
    /// Creates a Node. Only pods that tolerate its taint are bound to it. Its name must contain the namespace's name.
    pub async fn new(client: &Client, name: &str) -> anyhow::Result<Self> {
        let nodes = Api::<Node>::all(client.clone());
        let node: Node = serde_json::from_value(json!({
            "metadata": {
                "name": name,
                "labels": {LABEL: name, "kubernetes.io/hostname": name, "e2e.test/scratch": "true"},
            },
            "spec": taints(None),
        }))?;
        nodes.create(&PostParams::default(), &node).await?;
        let silent = Self {
            heartbeat: tokio::spawn(renew(client.clone(), name.to_owned())),
            name: name.to_owned(),
            nodes,
        };
        silent.give(json!({})).await?;
        silent.get_ready().await?;
        // A new node has a taint until the cluster has seen that it is ready. The first report of a pod would name that one.
        wait::until(
            &format!("node {name} to have its own taint alone"),
            wait::USUAL,
            || async {
                let spec = silent.nodes.get(name).await?.spec.unwrap_or_default();
                let taints = spec.taints.unwrap_or_default();
                ensure!(taints.iter().all(|taint| taint.key == LABEL), "{taints:?}");
                anyhow::Ok(())
            },
        )
        .await?;
        Ok(silent)
    }

    /// Fields of a workspace's spec that select this node.
    pub fn selected(&self) -> Value {
        json!({
            "nodeSelector": {LABEL: self.name},
            "tolerations": Self::tolerations(),
        })
    }

    /// Adds resources to the usual ones, or replaces them.
    pub async fn give(&self, extra: Value) -> anyhow::Result<()> {
        let usual = json!({"cpu": "8", "memory": "16Gi", "pods": "20", "ephemeral-storage": "100Gi"});
        let mut room: BTreeMap<String, Value> = serde_json::from_value(usual)?;
        room.extend(serde_json::from_value::<BTreeMap<_, _>>(extra)?);
        self.status(&json!({"capacity": room, "allocatable": room}))
            .await?;
        Ok(())
    }

    /// Reports that it is ready, like its kubelet.
    pub async fn get_ready(&self) -> anyhow::Result<Node> {
        self.ready("True", "KubeletReady", "kubelet is posting ready status")
            .await
    }

    /// Reports that it is silent, like the cluster does 50 s after the last word of a kubelet.
    pub async fn fall_silent(&self) -> anyhow::Result<Node> {
        let message = "Kubelet stopped posting node status.";
        self.ready("Unknown", "NodeStatusUnknown", message).await
    }

    /// Sets the condition `Ready`.
    async fn ready(&self, status: &str, reason: &str, message: &str) -> anyhow::Result<Node> {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let condition = json!({
            "type": "Ready", "status": status, "reason": reason, "message": message,
            "lastTransitionTime": now, "lastHeartbeatTime": now,
        });
        self.status(&json!({"conditions": [condition]})).await
    }

    async fn status(&self, status: &Value) -> anyhow::Result<Node> {
        let patch = Patch::Strategic(json!({"status": status}));
        Ok(self
            .nodes
            .patch_status(&self.name, &PatchParams::default(), &patch)
            .await?)
    }

    /// Adds labels.
    pub async fn label(&self, labels: Value) -> anyhow::Result<()> {
        self.change(json!({"metadata": {"labels": labels}})).await
    }

    /// Sets the node's own taint and optionally another one.
    pub async fn taint(&self, also: Option<&str>) -> anyhow::Result<()> {
        self.change(json!({"spec": taints(also)})).await
    }

    /// Changes labels or spec by a merge patch.
    async fn change(&self, change: Value) -> anyhow::Result<()> {
        self.nodes
            .patch(&self.name, &PatchParams::default(), &Patch::Merge(change))
            .await?;
        Ok(())
    }

    /// The tolerations that its own taint needs.
    pub fn tolerations() -> Value {
        json!([{"key": LABEL, "operator": "Exists"}])
    }

    /// Deletes the Node.
    pub async fn delete(&self) -> anyhow::Result<()> {
        match self.nodes.delete(&self.name, &DeleteParams::default()).await {
            Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
            other => other.map(drop).map_err(Into::into),
        }
    }
}

/// Deletes pods on these nodes by force. Never returns.
pub async fn end_pods(pods: &Api<Pod>, nodes: &[Arc<SilentNode>]) {
    loop {
        let all = pods.list(&ListParams::default()).await;
        for pod in all.iter().flat_map(|all| &all.items) {
            let on = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
            if nodes.iter().any(|node| Some(node.name.as_str()) == on) {
                let now = DeleteParams::default().grace_period(0);
                // The pod may already be gone. Otherwise, the next loop tries again.
                let _ = pods.delete(&pod.name_any(), &now).await;
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The node's own taint keeps other pods away.
fn taints(also: Option<&str>) -> Value {
    let keys = [Some(LABEL), also].into_iter().flatten();
    let taints: Vec<_> = keys
        .map(|key| json!({"key": key, "effect": "NoSchedule"}))
        .collect();
    json!({"taints": taints})
}

/// Renews the node's lease until it is aborted.
async fn renew(client: Client, name: String) {
    let leases = Api::<Lease>::namespaced(client, LEASES);
    let mut beat = interval(HEARTBEAT);
    loop {
        beat.tick().await;
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()},
        });
        // The next renewal compensates for a missed one.
        let _ = leases
            .patch(&name, &PatchParams::apply("e2e").force(), &Patch::Apply(lease))
            .await;
    }
}
