//! Usage of a workspace by metrics-server: the portal shows it to the owner, like `kubectl top`.
//!
//! metrics-server runs on this machine. It asks the kubelet of the node, and the API server asks it.

use std::net::{IpAddr, TcpListener, UdpSocket};

use anyhow::{Context as _, ensure};
use e2e::{
    cluster::{self, Scratch, program::Program, service_account},
    command::{administered, apply, kubectl},
    objects::workspace,
    portal::Portal,
    test_run::{finally::always, process},
    wait,
};
use serde_json::{Value, json};

const API: &str = "v1beta1.metrics.k8s.io";
const SERVICE: &str = "metrics-server";

#[tokio::test]
async fn the_portal_shows_what_metrics_server_measures() -> anyhow::Result<()> {
    let scratch = Scratch::new("usage", &["alice"]).await?;
    workspace::running(&scratch, "ws").await?;
    service_account::make(&scratch).await?;
    service_account::grant(&scratch, &rules()).await?;
    let (address, port) = here().await?;
    let server = Program::start("JUPYTER_K8S_METRICS_SERVER", &scratch, |kubeconfig| {
        let kubeconfigs = ["", "authentication-", "authorization-"];
        let mut arguments: Vec<_> = kubeconfigs
            .iter()
            .map(|of| format!("--{of}kubeconfig={kubeconfig}"))
            .collect();
        arguments.extend([
            format!("--bind-address={address}"),
            format!("--secure-port={port}"),
            "--cert-dir=.".to_owned(),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            // The kubelet signs its own certificate.
            "--kubelet-insecure-tls".to_owned(),
        ]);
        arguments
    })
    .await?;

    let shown = async {
        apply(&registration(&scratch.namespace, address, port)?).await?;
        let portal = Portal::enter("alice").await?;
        let page = format!("/w/{}/ws", scratch.namespace);
        let usage = wait::until("the page to show figures", wait::USUAL, || async {
            let page = portal.json(&page).await.map_err(|error| format!("{error:#}"))?;
            let usage = page["usage"].clone();
            let has_both = usage["meters"].as_array().is_some_and(|meters| meters.len() == 2);
            has_both.then_some(usage).ok_or_else(|| page["usage"].to_string())
        })
        .await?;
        let pods = ["get", "podmetrics", "-n", &scratch.namespace, "-o", "json"];
        let measured = kubectl("alice", &pods).await?;
        ensure!(measured.code == 0, "{}", measured.stderr);
        agree(&usage, &serde_json::from_str(&measured.stdout)?)?;
        let top = kubectl("alice", &["top", "pod", "-n", &scratch.namespace]).await?;
        ensure!(top.code == 0 && top.stdout.contains("workspace-ws"), "{top:?}");
        let foreign = kubectl("bob", &["top", "pod", "-n", &scratch.namespace]).await?;
        ensure!(foreign.code != 0, "a stranger reads it: {foreign:?}");
        Ok(())
    };
    let removed = async {
        // An API group without a server blocks the deletion of every namespace.
        administered(&["delete", "apiservice", API, "--ignore-not-found"], "").await?;
        service_account::revoke(&scratch.namespace).await
    };
    always(Box::pin(shown), removed)
        .await
        .with_context(|| server.log())?;
    server.stop()?;
    scratch.finish().await
}

/// The server needs a MiB at least, and what the page shows was measured at about the same time.
fn agree(usage: &Value, measured: &Value) -> anyhow::Result<()> {
    let text = measured["items"][0]["containers"]
        .as_array()
        .and_then(|containers| containers.iter().find_map(|one| one["usage"]["memory"].as_str()))
        .context("no figure of memory")?;
    let kib: f64 = text
        .strip_suffix("Ki")
        .with_context(|| text.to_owned())?
        .parse()?;
    let shown = usage["meters"][1]["used"].as_str().context("no text")?;
    let mib: f64 = shown
        .strip_suffix(" MiB")
        .with_context(|| shown.to_owned())?
        .parse()?;
    ensure!(kib > 1024.0, "a server in {text}");
    ensure!(
        (mib * 1024.0 / kib - 1.0).abs() < 0.5,
        "the page shows {shown}, metrics-server {text}"
    );
    Ok(())
}

/// The address of this machine by which the cluster reaches it, and a free port there.
async fn here() -> anyhow::Result<(IpAddr, u16)> {
    let server = cluster::address().await?;
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // Nothing is sent: the kernel chooses the address of this side.
    socket.connect((
        server.host().context("an API server without host")?,
        server.port_u16().unwrap_or(443),
    ))?;
    let address = socket.local_addr()?.ip();
    let port = TcpListener::bind((address, 0))?.local_addr()?.port();
    Ok((address, port))
}

/// What metrics-server's own manifest grants.
fn rules() -> Value {
    json!([
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    ])
}

/// Leads the API server to it.
fn registration(namespace: &str, address: IpAddr, port: u16) -> anyhow::Result<[Value; 3]> {
    let ports = json!([{"name": "https", "port": port, "protocol": "TCP"}]);
    Ok([
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE, "namespace": namespace},
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": port, "protocol": "TCP"}]},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": SERVICE, "namespace": namespace, "labels": {"kubernetes.io/service-name": SERVICE}},
            "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" }, "ports": ports,
            "endpoints": [{"addresses": [address.to_string()]}],
        }),
        json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": API, "labels": {process::LABEL: process::own()?}},
            "spec": {
                "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
                "insecureSkipTLSVerify": true, "service": {"name": SERVICE, "namespace": namespace},
            },
        }),
    ])
}
