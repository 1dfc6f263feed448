//! Namespace -> a server with a certificate that is not the proxy's (IO).

use e2e::{
    Environment,
    cluster::{self, Scratch},
    wait,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kit::pki::{self, Purpose};
use kube::api::PostParams;
use serde_json::{Value, json};

/// Name of its objects.
const NAME: &str = "stand-in";
const PROGRAM: &str = include_str!("stand_in.py");

/// The server. It listens on the port of the installation.
#[derive(Debug)]
pub(crate) struct StandIn {
    /// Address of its pod.
    pub(crate) address: String,
}

impl StandIn {
    /// Starts it with a certificate of the identity provider's host alone, and waits until it answers.
    pub(crate) async fn start(scratch: &Scratch) -> anyhow::Result<Self> {
        let host = &Environment::get()?.identity_host;
        let now = Timestamp::now();
        let authority = pki::authority("stand-in of a test", now)?;
        let server = pki::leaf(&authority, NAME, std::slice::from_ref(host), Purpose::Server, now)?;
        let secret = json!({
            "metadata": {"name": NAME},
            "stringData": {"tls.crt": server.certificate, "tls.key": server.key},
        });
        let secrets = scratch.api::<Secret>();
        secrets
            .create(&PostParams::default(), &serde_json::from_value(secret)?)
            .await?;
        let pods = scratch.api::<Pod>();
        pods.create(&PostParams::default(), &serde_json::from_value(pod()?)?)
            .await?;
        let address = wait::until("the stand-in to answer", wait::USUAL, || async {
            let pod = pods.get(NAME).await.map_err(|error| error.to_string())?;
            let ready = cluster::is_ready(&pod);
            let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
            address
                .filter(|_| ready)
                .ok_or_else(|| format!("{:?}", pod.status))
        });
        Ok(Self {
            address: address.await?,
        })
    }
}

fn pod() -> anyhow::Result<Value> {
    let environment = Environment::get()?;
    let port = environment.port;
    let command = ["python3", "-c", PROGRAM, &port.to_string()];
    let server = json!({
        "image": environment.images.echo,
        "imagePullPolicy": "Never",
        "command": command,
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
        "volumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": true}],
    });
    let volumes = json!([{"name": "tls", "secret": {"secretName": NAME}}]);
    Ok(cluster::restricted_pod(NAME, server, &volumes))
}
