//! Addresses -> servers on the node's network; network namespaces of pods -> what they reach (IO).
//!
//! The servers are the control of tests that such addresses cannot be reached: they can be reached where no policy forbids it. One of a
//! link-local address is like a cloud's metadata service.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use serde::Deserialize;
use serde_json::json;

use crate::{Environment, cluster, test_run::process, wait};

/// What the pod runs.
const PROGRAM: &str = include_str!("node_network.py");
/// Name of the pod.
const POD: &str = "node-network";
/// Port of a server whose port does not matter.
pub const PORT: i32 = 18_080;

/// A pod on the network of the node.
pub struct NodeNetwork {
    namespace: String,
    client: Client,
}

/// What is known of a network namespace.
#[derive(Debug, Deserialize)]
pub struct View {
    /// The ports that its processes listen on, but for those of the loopback interface.
    pub listening: BTreeSet<u16>,
    /// The targets that answered.
    pub reached: BTreeSet<String>,
}

/// A link-local address that no cloud uses for a service. Each test process has its own.
#[must_use]
pub fn link_local_address() -> String {
    let [.., high, low] = std::process::id().to_be_bytes();
    // This avoids the network's own address, and the range of cloud services (169.254.169.x).
    format!("169.254.{}.{}", high % 64 + 1, low.clamp(1, 254))
}

impl NodeNetwork {
    /// Starts the pod, with a server at each of these `address:port`. The addresses exist on the node until [`Self::finish`].
    ///
    /// # Errors
    /// The node does not allow it.
    pub async fn start(servers: &[String]) -> anyhow::Result<Self> {
        let client = cluster::admin().await?;
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {
            "generateName": "node-network-",
            "labels": {
                "pod-security.kubernetes.io/enforce": "privileged",
                "e2e.test/scratch": "true",
                process::LABEL: process::own()?,
            },
        }}))?;
        let namespaces = Api::<Namespace>::all(client.clone());
        let namespace = namespaces
            .create(&PostParams::default(), &namespace)
            .await?
            .name_any();
        let last = servers.last().and_then(|server| server.rsplit_once(':'));
        let (address, port) = last.context("no server")?;
        let command = ["python3", "-c", PROGRAM, "serve"];
        let command = command.into_iter().chain(servers.iter().map(String::as_str));
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": POD},
            "spec": {
                "hostNetwork": true,
                "hostPID": true,
                "automountServiceAccountToken": false,
                "containers": [{
                    "name": "main",
                    "image": Environment::get()?.images.echo,
                    "imagePullPolicy": "Never",
                    "command": command.collect::<Vec<_>>(),
                    // To read processes of others and enter their network namespaces.
                    "securityContext": {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE"]}},
                    "readinessProbe": {"tcpSocket": {"host": address, "port": port.parse::<i32>()?}, "periodSeconds": 1},
                }],
            },
        }))?;
        let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
        pods.create(&PostParams::default(), &pod).await?;
        cluster::wait_until_ready(&pods, POD).await?;
        Ok(Self { namespace, client })
    }

    /// What each source listens on, and which targets answer it within four seconds. A source is the address of a pod, or empty for the
    /// node itself. A target is `protocol:address:port`; by `udp` it is asked for a name, three times at most.
    ///
    /// # Errors
    /// A source is on another node.
    pub async fn connect(
        &self,
        sources: &BTreeSet<String>,
        targets: &BTreeSet<String>,
    ) -> anyhow::Result<BTreeMap<String, View>> {
        let (sources, targets) = (json!(sources).to_string(), json!(targets).to_string());
        let command = ["python3", "-c", PROGRAM, "connect", &sources, &targets];
        let pods = Api::<Pod>::namespaced(self.client.clone(), &self.namespace);
        let seen = cluster::exec(&pods, POD, &command).await?;
        serde_json::from_str(&seen).with_context(|| format!("no views: {seen}"))
    }

    /// Removes the addresses.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn finish(self) -> anyhow::Result<()> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), &self.namespace);
        pods.delete(POD, &DeleteParams::default()).await?;
        wait::until("the servers to be gone", wait::USUAL, || async {
            match pods.get_opt(POD).await {
                Ok(None) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
        let namespaces = Api::<Namespace>::all(self.client);
        let deleted = namespaces.delete(&self.namespace, &DeleteParams::default()).await;
        deleted.map(drop).context("the namespace of the servers")
    }
}
