//! Namespace -> an identity provider, and a load balancer in front of it and of the proxy (IO).
//!
//! The load balancer ends the provider's TLS, and passes that of workspaces on: this machine has one port for all hosts.

use anyhow::Context as _;
use e2e::{
    Environment,
    cluster::{self, Scratch},
    command::administered,
    installation::release,
    wait,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

/// Name of the load balancer's objects.
pub(crate) const NAME: &str = "front";
/// Port of its pod.
const PORT: u16 = 8443;

/// Starts the provider, from the chart's own objects of one, and waits until it is ready. Its Secrets are in the namespace.
pub(crate) async fn provide(scratch: &Scratch) -> anyhow::Result<()> {
    // No release makes a PriorityClass meanwhile.
    let set = [
        "networkPolicy.enabled=false",
        "userNamespaces=[]",
        "identity.priorityClassName=\"none\"",
    ];
    let objects = release::render(&scratch.namespace, &set).await?;
    let component = "app.kubernetes.io/component=identity";
    let namespace = scratch.namespace.as_str();
    let apply = ["apply", "-n", namespace, "-l", component, "-f", "-"];
    administered(&apply, &objects).await?;
    let deployments = scratch.api::<Deployment>();
    let name = format!("{}-identity", Environment::get()?.release);
    wait::until("the provider to be ready", wait::USUAL, || async {
        let found = deployments.get(&name).await.map_err(|error| error.to_string())?;
        let status = found.status.unwrap_or_default();
        if status.ready_replicas == Some(1) {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await
}

/// Starts the load balancer. `image`: Traefik. `system`: namespace of the release. It has no address yet.
pub(crate) async fn start(scratch: &Scratch, image: &str, system: &str) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME},
            "data": {"routes.yaml": routes(environment, &scratch.namespace, system).to_string()},
        },
        pod(&environment.release, image),
    ]});
    let apply = ["apply", "-n", &scratch.namespace, "-f", "-"];
    administered(&apply, &list.to_string()).await?;
    cluster::wait_until_ready(&scratch.api(), NAME).await?;
    Ok(())
}

/// Gives it the node's address, which no other Service may have.
pub(crate) async fn open(scratch: &Scratch, node: &str) -> anyhow::Result<()> {
    let service = json!({
        "metadata": {"name": NAME},
        "spec": {
            "selector": {"app": NAME},
            "externalIPs": [node],
            "ports": [{"port": Environment::get()?.port, "targetPort": PORT}],
        },
    });
    let services = scratch.api::<Service>();
    services
        .create(&PostParams::default(), &serde_json::from_value(service)?)
        .await?;
    Ok(())
}

/// Gives the address back.
pub(crate) async fn close(scratch: &Scratch) -> anyhow::Result<()> {
    match scratch
        .api::<Service>()
        .delete(NAME, &DeleteParams::default())
        .await
    {
        Err(kube::Error::Api(error)) if error.code == 404 => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

/// The address of the node that the installed release's proxy has.
pub(crate) async fn node_address() -> anyhow::Result<String> {
    let environment = Environment::get()?;
    let services = Api::<Service>::namespaced(cluster::admin().await?, &environment.system_namespace);
    let proxy = services.get(&format!("{}-proxy", environment.release)).await?;
    let addresses = proxy.spec.and_then(|spec| spec.external_ips).unwrap_or_default();
    addresses.into_iter().next().context("the proxy has no address")
}

fn routes(environment: &Environment, provider: &str, system: &str) -> Value {
    let release = &environment.release;
    let domain = environment.base_domain.replace('.', "\\.");
    json!({
        "tls": {"certificates": [{"certFile": "/tls/tls.crt", "keyFile": "/tls/tls.key"}]},
        "http": {
            "routers": {"provider": {
                "rule": format!("Host(`{}`)", environment.identity_host), "service": "provider", "tls": {},
            }},
            "services": {"provider": {"loadBalancer": {
                "servers": [{"url": format!("http://{release}-identity.{provider}.svc:8080")}],
            }}},
        },
        "tcp": {
            "routers": {"workspaces": {
                "rule": format!("HostSNIRegexp(`^(.+\\.)?{domain}$`)"), "service": "workspaces", "tls": {"passthrough": true},
            }},
            "services": {"workspaces": {"loadBalancer": {
                "servers": [{"address": format!("{release}-proxy.{system}.svc:{}", environment.port)}],
            }}},
        },
    })
}

fn pod(release: &str, image: &str) -> Value {
    let traefik = json!({
        "image": image,
        "imagePullPolicy": "Never",
        "args": [
            format!("--entrypoints.websecure.address=:{PORT}"),
            "--entrypoints.ping.address=:8080",
            "--ping.entrypoint=ping",
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
            "--providers.file.filename=/routes/routes.yaml",
        ],
        "readinessProbe": {"httpGet": {"path": "/ping", "port": 8080}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "routes", "mountPath": "/routes", "readOnly": true},
            {"name": "tls", "mountPath": "/tls", "readOnly": true},
        ],
    });
    let volumes = json!([
        {"name": "routes", "configMap": {"name": NAME}},
        {"name": "tls", "secret": {"secretName": format!("{release}-proxy-tls")}},
    ]);
    cluster::restricted_pod(NAME, traefik, &volumes)
}
