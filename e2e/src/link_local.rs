//! Link-local address of the node -> server there, like a cloud's metadata service (IO).
//!
//! It is the control of tests that such addresses cannot be reached: it can be reached where no policy forbids it.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use crate::{Environment, cluster, process, wait};

/// Port of the server.
pub const PORT: i32 = 18_080;

/// Adds a /32 address to the loopback interface by netlink, listens there, and removes the address at the end.
const LISTEN: &str = "
import http.server, signal, socket, struct, sys
address = socket.inet_aton(sys.argv[1])
def change(kind, flags):
    body = struct.pack('=BBBBI', socket.AF_INET, 32, 0, 0, socket.if_nametoindex('lo'))
    for attribute in (1, 2):
        body += struct.pack('=HH4s', 8, attribute, address)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.send(struct.pack('=IHHII', 16 + len(body), kind, flags, 1, 0) + body)
        error = struct.unpack_from('=i', kernel.recv(4096), 16)[0]
    if error:
        sys.exit(f'netlink: {error}')
def end(*_):
    change(21, 0x5)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
change(20, 0x405)
http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), http.server.SimpleHTTPRequestHandler).serve_forever()
";

/// A server on a link-local address of the node.
pub struct Listener {
    /// Address of the server.
    pub address: String,
    namespace: String,
    client: Client,
}

impl Listener {
    /// Starts the server. Each test process has its own address.
    ///
    /// # Errors
    /// The node does not allow it.
    pub async fn start() -> anyhow::Result<Self> {
        let client = cluster::admin().await?;
        let [.., high, low] = std::process::id().to_be_bytes();
        // This avoids the network's own address, and the range of cloud services (169.254.169.x).
        let address = format!("169.254.{}.{}", high % 64 + 1, low.clamp(1, 254));
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {
            "generateName": "link-local-",
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
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "listener"},
            "spec": {
                "hostNetwork": true,
                "automountServiceAccountToken": false,
                "containers": [{
                    "name": "main",
                    "image": Environment::get()?.images.echo,
                    "imagePullPolicy": "Never",
                    "command": ["python3", "-c", LISTEN, address, PORT.to_string()],
                    "securityContext": {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}},
                    "readinessProbe": {"tcpSocket": {"host": address, "port": PORT}, "periodSeconds": 1},
                }],
            },
        }))?;
        let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
        pods.create(&PostParams::default(), &pod).await?;
        wait::until(
            "the link-local address to be listened on",
            wait::USUAL,
            || async {
                let pod = pods.get("listener").await.map_err(|error| error.to_string())?;
                if cluster::is_ready(&pod) {
                    Ok(())
                } else {
                    Err(format!("{:?}", pod.status))
                }
            },
        )
        .await?;
        Ok(Self {
            address,
            namespace,
            client,
        })
    }

    /// Removes the address.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn finish(self) -> anyhow::Result<()> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), &self.namespace);
        pods.delete("listener", &DeleteParams::default()).await?;
        wait::until("the listener to be gone", wait::USUAL, || async {
            match pods.get_opt("listener").await {
                Ok(None) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
        let namespaces = Api::<Namespace>::all(self.client);
        let deleted = namespaces.delete(&self.namespace, &DeleteParams::default()).await;
        deleted.map(drop).context("the listener's namespace")
    }
}
