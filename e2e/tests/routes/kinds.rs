//! Kinds of routes: allowed, installed, and as the API server serves them.

use api::{
    Workspace, WorkspaceManager,
    condition::{self, READY},
    workspace::Phase,
};
use e2e::{
    cluster::{
        self, Scratch,
        audit::{self, Call, Log},
    },
    installation::definitions,
    objects::workspace,
    wait,
};
use kube::{Api, api::PostParams};
use serde_json::json;
use tokio::sync::Mutex;

use crate::edge::{self, Edge, kubectl, labelled};

/// The Gateway API's routes, which one test alone installs and removes.
const HTTP_ROUTES: &str = "httproutes.gateway.networking.k8s.io";

/// Waits until the manager's condition Ready has this value.
async fn ready(manager: &str, wanted: &str) -> anyhow::Result<()> {
    let managers = Api::<WorkspaceManager>::all(cluster::admin().await?);
    wait::until("the manager to say so", wait::USUAL, || async {
        let found = managers.get(manager).await.map_err(|error| error.to_string())?;
        let conditions = found.status.unwrap_or_default().conditions;
        let ready = condition::find(&conditions, READY);
        match ready.map(|ready| format!("{} {}", ready.status, ready.reason)) {
            Some(actual) if actual == wanted => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// The operator's writes in the namespace since the last call.
fn writes(log: &mut Log, namespace: &str) -> anyhow::Result<Vec<String>> {
    let operator = audit::user_of("operator")?;
    let calls = log.calls(|line| line.contains(namespace))?;
    let own = calls
        .iter()
        .filter(|call| call.user == operator && call.namespace == namespace && call.is_write());
    Ok(own.map(Call::what).collect())
}

/// Waits until the operator has written so many statuses in the namespace: the log then has all its earlier writes, too.
async fn wait_for_statuses(log: Log, namespace: &str, statuses: usize) -> anyhow::Result<()> {
    let received = Mutex::new((log, 0));
    wait::until("the log to show the statuses", wait::USUAL, || async {
        let (log, seen) = &mut *received.lock().await;
        let writes = writes(log, namespace).map_err(|error| format!("{error:#}"))?;
        let of_status = writes.iter().filter(|it| it.ends_with("workspaces/status"));
        *seen += of_status.count();
        if *seen >= statuses {
            Ok(())
        } else {
            Err(format!("{seen} of {statuses}"))
        }
    })
    .await
}

#[tokio::test]
async fn a_missing_kind_is_reported_and_the_route_is_created_once_it_is_installed_and_served_by_a_gateway()
-> anyhow::Result<()> {
    definitions::remove(HTTP_ROUTES).await?;
    let scratch = Scratch::new("httproute", &["alice"]).await?;
    edge::install_definitions().await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let manager = edge::manager("httproute", &scratch.namespace).await?;
    edge::allow(&scratch.namespace, &[&manager]).await?;
    let mut wanted = workspace::echo("ws")?;
    wanted.spec.manager_ref = Some(manager.clone());
    alice.create(&PostParams::default(), &wanted).await?;
    let degraded = |status: &'static str, expected: &'static str| {
        let alice = alice.clone();
        async move {
            wait::until("the workspace to say so", wait::USUAL, || async {
                let ws = alice.get("ws").await.map_err(|error| error.to_string())?;
                let condition = workspace::condition(&ws, "Degraded").ok_or("nothing yet")?;
                if condition.0 == status && condition.2.contains(expected) {
                    Ok(condition)
                } else {
                    Err(format!("{condition:?}"))
                }
            })
            .await
        }
    };
    let failed = degraded("True", "HTTPRoute is not installed").await?;
    assert_eq!(failed.1, "RouteFailed");
    ready(&manager, "False RouteKindUnavailable").await?;
    let mut log = Log::open()?;
    definitions::install_gateway_api().await?;
    degraded("False", "").await?;
    ready(&manager, "True AllRulesHold").await?;
    workspace::reached(&alice, "ws", Phase::Running).await?;
    let routes = labelled(&scratch.namespace, &[edge::HTTP_ROUTE], "ws").await?;
    assert_eq!(routes, ["httproute.gateway.networking.k8s.io/workspace-ws"]);
    // The API server stores the port as a number, and our record of the route matches it.
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
    let (before, later) = (version().await?, Log::open()?);
    // Reconciles with a visible end: the second starts after the first has ended.
    for title in ["Looked at", "Looked at again"] {
        workspace::set(&alice, "ws", json!({"displayName": title})).await?;
        workspace::reached(&alice, "ws", Phase::Running).await?;
    }
    wait_for_statuses(later, &scratch.namespace, 2).await?;
    let writes = writes(&mut log, &scratch.namespace)?;
    let of_route = writes.iter().filter(|write| write.contains("httproutes"));
    assert_eq!(of_route.count(), 1, "it is made, and that is all: {writes:?}");
    assert_eq!(version().await?, before);

    let edge = Edge::new(&scratch.namespace, true).await?;
    let host = edge.serves(&alice.get("ws").await?).await?;
    workspace::set(&alice, "ws", json!({"desiredStatus": "Stopped"})).await?;
    edge.answers(&host, 404).await?;
    workspace::reached(&alice, "ws", Phase::Stopped).await?;
    workspace::start(&alice, "ws").await?;
    edge.answers(&host, 200).await?;
    workspace::delete(&alice, "ws").await?;
    assert!(
        labelled(&scratch.namespace, &[edge::HTTP_ROUTE], "ws")
            .await?
            .is_empty()
    );
    edge.finish().await?;
    definitions::remove_gateway_api().await?;
    edge::forget(&[&manager]).await?;
    scratch.finish().await
}
