//! Kinds of routes: allowed, installed, and as the API server knows them.

use std::time::Duration;

use api::{Workspace, workspace::Phase};
use e2e::{cluster, cluster::Scratch, wait, workspace};
use kube::{Api, api::PostParams};

use crate::{
    definitions::{self, HTTP_ROUTES},
    edge::{self, Edge, kubectl, labelled},
};

/// Waits until the manager's condition Ready reads so.
async fn ready(manager: &str, wanted: &str) -> anyhow::Result<()> {
    let path = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].reason}"#;
    wait::until("the manager to say so", wait::USUAL, || async {
        let read = kubectl(&["get", "workspacemanager", manager, "-o", path], "").await;
        match read {
            Ok(said) if said == wanted => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn a_kind_that_is_not_installed_is_told_and_the_route_of_the_example_follows_when_it_is()
-> anyhow::Result<()> {
    definitions::remove(HTTP_ROUTES).await?;
    let scratch = Scratch::new("httproute", &["alice"]).await?;
    let edge = Edge::new(&scratch.namespace).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let manager = edge::manager("httproute", &edge).await?;
    edge::allow(&scratch.namespace, &[&manager]).await?;
    let mut wanted = workspace::echo("ws")?;
    wanted.spec.manager_ref = Some(manager.clone());
    alice.create(&PostParams::default(), &wanted).await?;
    let degraded = |status: &'static str, words: &'static str| {
        let alice = alice.clone();
        async move {
            wait::until("the workspace to say so", wait::USUAL, || async {
                let ws = alice.get("ws").await.map_err(|error| error.to_string())?;
                let told = workspace::condition(&ws, "Degraded").ok_or("nothing yet")?;
                if told.0 == status && told.2.contains(words) {
                    Ok(told)
                } else {
                    Err(format!("{told:?}"))
                }
            })
            .await
        }
    };
    let told = degraded("True", "HTTPRoute is not installed").await?;
    assert_eq!(told.1, "RouteFailed");
    ready(&manager, "False RouteKindUnavailable").await?;
    definitions::install("httproutes.yaml", &[HTTP_ROUTES]).await?;
    degraded("False", "").await?;
    ready(&manager, "True AllRulesHold").await?;
    workspace::reached(&alice, "ws", Phase::Running).await?;
    let routes = labelled(&scratch.namespace, HTTP_ROUTES, "ws").await?;
    assert_eq!(routes, ["httproute.gateway.networking.k8s.io/workspace-ws"]);
    // The API server has the port as a number, and our record of the route agrees with what it made of it.
    let read = ["get", HTTP_ROUTES, "workspace-ws", "-n", &scratch.namespace, "-o"];
    let port = kubectl(
        &[&read[..], &["jsonpath={.spec.rules[0].backendRefs[0].port}"]].concat(),
        "",
    )
    .await?;
    assert_eq!(port, "8888");
    let version = || async {
        let read = [&read[..], &["jsonpath={.metadata.resourceVersion}"]].concat();
        kubectl(&read, "").await
    };
    let before = version().await?;
    kubectl(
        &[
            "annotate",
            "workspace",
            "ws",
            "-n",
            &scratch.namespace,
            "example.com/look=again",
        ],
        "",
    )
    .await?;
    wait::until("the annotation to be seen", Duration::from_secs(20), || async {
        let now = version().await.map_err(|error| format!("{error:#}"))?;
        if now == before { Ok(()) } else { Err(now) }
    })
    .await?;
    workspace::delete(&alice, "ws").await?;
    assert!(labelled(&scratch.namespace, HTTP_ROUTES, "ws").await?.is_empty());
    definitions::remove(HTTP_ROUTES).await?;
    edge::forget(&[&manager]).await?;
    edge.finish().await?;
    scratch.finish().await
}

#[tokio::test]
async fn a_manager_that_would_make_anything_but_routes_is_refused_and_never_obeyed() -> anyhow::Result<()> {
    let name = "e2e-not-a-route";
    let manager = serde_json::json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceManager", "metadata": {"name": name},
        "spec": {
            "routing": {"baseDomain": "refused.example.org", "custom": {"resources": [{
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": "{workspace.name}-admin"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"kind": "User", "name": "{owner.name}"}],
            }]}},
            "authentication": {"none": {}},
        },
    });
    let refused = kubectl(&["apply", "--server-side", "-f", "-"], &manager.to_string()).await;
    let reason = format!("{:#}", refused.unwrap_err());
    assert!(
        reason.contains("can never be a route") && reason.contains("RoleBinding"),
        "{reason}"
    );
    Ok(())
}
