//! Node -> image registry there that requires a password for all but public images (IO).
//!
//! It is a pod on the network of a node. The node's containerd uses plain HTTP for `127.0.0.1`,
//! with any other configuration.

use anyhow::Context as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    Environment,
    cluster::{self, Scratch},
};

/// Program of the registry. The echo server's image contains Python.
const PROGRAM: &str = include_str!("registry.py");
/// The only account.
const USER: &str = "robot";
/// The label with a node's own name.
const HOST_NAME: &str = "kubernetes.io/hostname";
/// Ports that no Service and no outgoing connection uses.
const PORTS: std::ops::Range<u16> = 20_000..28_000;

/// A registry.
pub struct Registry {
    scratch: Scratch,
    place: Place,
}

/// Address and credentials of a registry.
#[derive(Clone)]
pub struct Place {
    host: String,
    password: String,
    node: String,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place")
            .field("host", &self.host)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// Starts a registry and waits until it answers.
    ///
    /// # Errors
    /// Its pod does not become ready.
    pub async fn start() -> anyhow::Result<Self> {
        let scratch = Scratch::new("registry", &[]).await?;
        let admin = cluster::admin().await?;
        // Namespaces of users do not allow pods on a node's network.
        let label = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}});
        Api::<Namespace>::all(admin.clone())
            .patch(&scratch.namespace, &PatchParams::default(), &Patch::Merge(label))
            .await?;
        let now = Timestamp::now().as_nanosecond();
        let count = i128::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(now.rem_euclid(count))?;
        let password = format!("{}-{now:x}", scratch.namespace);
        let own = json!({"metadata": {"name": "own"}, "stringData": {"password": password}});
        let secrets = scratch.api::<Secret>();
        secrets
            .create(&PostParams::default(), &serde_json::from_value(own)?)
            .await?;
        let pods = scratch.api::<Pod>();
        pods.create(&PostParams::default(), &pod(port)?).await?;
        let ready = cluster::wait_until_ready(&pods, "registry").await?;
        let node = ready.spec.and_then(|spec| spec.node_name).context("no node")?;
        let node = Api::<Node>::all(admin).get(&node).await?;
        let node = node.labels().get(HOST_NAME);
        let place = Place {
            host: format!("127.0.0.1:{port}"),
            password,
            node: node
                .with_context(|| format!("the node has no label {HOST_NAME}"))?
                .clone(),
        };
        Ok(Self { scratch, place })
    }

    /// Address and credentials of this registry.
    pub fn place(&self) -> Place {
        self.place.clone()
    }

    /// Stops the registry.
    ///
    /// # Errors
    /// Its namespace is not deleted.
    pub async fn finish(self) -> anyhow::Result<()> {
        self.scratch.finish().await
    }
}

impl Place {
    /// An image in this registry that no other test has pulled: the echo server.
    pub fn image(&self, fixture: &str) -> String {
        format!("{}/private/{fixture}:1", self.host)
    }

    /// The same without a password, if its tag is 1: the registry has no other one.
    pub fn public_image(&self, fixture: &str, tag: u8) -> String {
        format!("{}/public/{fixture}:{tag}", self.host)
    }

    /// Part of a workspace's spec that selects the node of the registry.
    pub fn selected(&self) -> Value {
        json!({HOST_NAME: self.node})
    }

    /// A Secret called `name` with the account and the right or a wrong password.
    pub fn secret(&self, name: &str, is_right: bool) -> Value {
        let password = if is_right {
            self.password.as_str()
        } else {
            "guessed"
        };
        let accounts = json!({"auths": {self.host.as_str(): {"username": USER, "password": password}}});
        json!({
            "metadata": {"name": name},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": accounts.to_string()},
        })
    }
}

fn pod(port: u16) -> anyhow::Result<Pod> {
    let password = json!({"secretKeyRef": {"name": "own", "key": "password"}});
    let pod = json!({
        "metadata": {"name": "registry"},
        "spec": {
            "hostNetwork": true,
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "main",
                "image": Environment::get()?.images.echo,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python3", "-c", PROGRAM],
                "env": [
                    {"name": "PORT", "value": port.to_string()},
                    {"name": "USER_NAME", "value": USER},
                    {"name": "PASSWORD", "valueFrom": password},
                ],
                "readinessProbe": {"httpGet": {"host": "127.0.0.1", "port": port, "path": "/healthz"}, "periodSeconds": 1},
                "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            }],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    });
    Ok(serde_json::from_value(pod)?)
}
