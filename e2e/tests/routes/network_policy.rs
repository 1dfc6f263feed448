//! The network policies of a pod, as its manager configures them.

use std::time::Duration;

use api::{Workspace, names, workspace::Phase};
use e2e::{
    Environment,
    cluster::{
        self, Scratch, connects,
        node_network::{self, NodeNetwork},
    },
    objects::workspace,
    wait,
};
use k8s_openapi::api::{core::v1::Pod, networking::v1::NetworkPolicy};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};

use crate::edge::{self, kubectl};

async fn resolves(pods: &Api<Pod>, from: &str) -> anyhow::Result<bool> {
    let look = "import socket; print(socket.gethostbyname('kubernetes.default.svc'))";
    let found = cluster::exec(pods, from, &["python3", "-c", look]).await;
    Ok(found.is_ok_and(|address| address.contains('.')))
}

async fn becomes(pods: &Api<Pod>, from: &str, address: &str, port: i32, wanted: bool) -> anyhow::Result<()> {
    let what = format!("{from} -> {address}:{port} to be {wanted}");
    wait::until(&what, Duration::from_secs(30), || async {
        match connects(pods, from, address, port).await {
            Ok(now) if now == wanted => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// The policy that denies.
const ISOLATED: &str = "workspace--isolated";

/// The hook before the end of the pod, which waits for a file.
const STOPS: [&str; 3] = ["sh", "-c", "until [ -e /home/jovyan/end ]; do sleep 0.1; done"];

/// A pod that is being deleted is as closed as before, for as long as its containers run.
async fn it_outlives_a_terminating_pod(
    scratch: &Scratch,
    alice: &Api<Workspace>,
    pod: &str,
    address: &str,
) -> anyhow::Result<()> {
    let (pods, policies) = (scratch.api::<Pod>(), scratch.api::<NetworkPolicy>());
    alice.delete("ws", &DeleteParams::default()).await?;
    wait::until("the pod to be deleted", wait::USUAL, || async {
        let now = pods.get(pod).await.map_err(|error| error.to_string())?;
        let is_deleted = now.metadata.deletion_timestamp.is_some();
        is_deleted
            .then_some(())
            .ok_or_else(|| format!("{:?}", now.status))
    })
    .await?;
    assert!(policies.get_opt(ISOLATED).await?.is_some());
    // All within the pod's grace of 30 s. The last is the control: its container runs.
    let (from_other, to_others, runs) = tokio::join!(
        connects(&pods, "other", address, 8888),
        connects(&pods, pod, "kubernetes.default.svc", 443),
        resolves(&pods, pod),
    );
    assert!(!from_other? && !to_others? && runs?);
    cluster::exec(&pods, pod, &["touch", "/home/jovyan/end"]).await?;
    wait::until("the workspace to be gone", wait::USUAL, || async {
        match alice.get_opt("ws").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    wait::until("the policies to be gone", wait::USUAL, || async {
        let left = policies.list(&ListParams::default()).await;
        let left = left.map_err(|error| error.to_string())?.items;
        left.is_empty().then_some(()).ok_or_else(|| format!("{left:?}"))
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn the_network_policy_follows_its_manager_without_a_restart() -> anyhow::Result<()> {
    let scratch = Scratch::new("netpol", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let (pods, policies) = (scratch.api::<Pod>(), scratch.api::<NetworkPolicy>());
    let other_workspace = cluster::run_pod(&pods, "other", &Environment::get()?.images.echo).await?;
    let other_workspace = other_workspace
        .status
        .and_then(|status| status.pod_ip)
        .unwrap_or_default();
    let name = format!("netpol-{}", scratch.namespace);
    let base_domain = format!("{}.test", scratch.namespace);
    let manager = async |network_policy: Value| {
        let manager = json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceManager", "metadata": {"name": name},
            "spec": {
                "routing": {"baseDomain": base_domain, "traefik": {}},
                "authentication": {"gateway": {}},
                "networkPolicy": network_policy,
            },
        });
        kubectl(&["apply", "--server-side", "-f", "-"], &manager.to_string()).await
    };
    manager(json!({})).await?;
    edge::allow(&scratch.namespace, &[&name]).await?;
    let mut wanted = workspace::echo("ws")?;
    wanted.spec.manager_ref = Some(name.clone());
    wanted.spec.lifecycle = Some(serde_json::from_value(
        json!({"preStop": {"exec": {"command": STOPS}}}),
    )?);
    alice.create(&PostParams::default(), &wanted).await?;
    let ws = workspace::reached(&alice, "ws", Phase::Running).await?;
    let endpoint = ws.status.and_then(|status| status.endpoint).unwrap_or_default();
    let (pod, address) = (endpoint.pod_name.as_str(), endpoint.pod_ip.as_str());
    let uid = edge::pod_uid(&pods, "ws").await?;

    let link_local = node_network::link_local_address();
    let servers = NodeNetwork::start(&[format!("{link_local}:{}", node_network::PORT)]).await?;
    let blocked = [
        (other_workspace.as_str(), 8888),
        ("kubernetes.default.svc", 443),
        (link_local.as_str(), node_network::PORT),
    ];

    // By default DNS, but neither other workspaces nor the API server nor link-local addresses, which metadata services have.
    assert!(resolves(&pods, pod).await?);
    assert!(!connects(&pods, "other", address, 8888).await?);
    for (to, port) in blocked {
        assert!(!connects(&pods, pod, to, port).await?, "{to}");
        // The control: a pod without a policy reaches it.
        assert!(connects(&pods, "other", to, port).await?, "{to}");
    }
    assert!(!connects(&pods, pod, "169.254.169.254", 80).await?);

    let this_namespace =
        json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": scratch.namespace}}});
    manager(json!({"ingressFrom": [this_namespace], "egress": "Any"})).await?;
    becomes(&pods, "other", address, 8888, true).await?;
    for (to, port) in blocked {
        becomes(&pods, pod, to, port, true).await?;
    }
    manager(json!({"ingressFrom": [this_namespace], "egress": "None"})).await?;
    for (to, port) in blocked {
        becomes(&pods, pod, to, port, false).await?;
    }
    assert!(connects(&pods, "other", address, 8888).await?);
    assert!(resolves(&pods, pod).await?, "DNS is what is left");

    manager(json!({"enabled": false})).await?;
    becomes(&pods, pod, &other_workspace, 8888, true).await?;
    let labels = pods.get(pod).await?.metadata.labels.unwrap_or_default();
    assert!(
        !labels.contains_key(names::ISOLATED_LABEL) && !labels.contains_key(names::MANAGER),
        "{labels:?}"
    );
    manager(json!({"enabled": true})).await?;
    becomes(&pods, "other", address, 8888, false).await?;

    // Policies add up: a user's own policy, for the label of all workspace pods.
    let own = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "own", "namespace": scratch.namespace},
        "spec": {
            "podSelector": {"matchLabels": {names::WORKSPACE_LABEL: "ws"}},
            "ingress": [{"from": [{"podSelector": {}}]}],
        },
    });
    kubectl(&["apply", "--server-side", "-f", "-"], &own.to_string()).await?;
    becomes(&pods, "other", address, 8888, true).await?;
    assert_eq!(edge::pod_uid(&pods, "ws").await?, uid);
    policies.delete("own", &DeleteParams::default()).await?;
    becomes(&pods, "other", address, 8888, false).await?;

    it_outlives_a_terminating_pod(&scratch, &alice, pod, address).await?;
    servers.finish().await?;
    edge::forget(&[&name]).await?;
    scratch.finish().await
}
