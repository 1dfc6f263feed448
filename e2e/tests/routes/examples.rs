//! The samples of managers with routes of their own, through a proxy of their own.

use std::time::Duration;

use api::{Workspace, workspace::Phase};
use e2e::{cluster, cluster::Scratch, wait, workspace};
use k8s_openapi::api::{core::v1::Pod, networking::v1::Ingress};
use kube::{Api, api::PostParams};
use serde_json::json;

use crate::edge::{self, Edge, kubectl, labelled};

const ROUTES: &str = "ingresses,ingressroutes.traefik.io,middlewares.traefik.io";

/// Waits until the workspace has exactly these routes.
async fn routes(scratch: &Scratch, name: &str, wanted: &[&str]) -> anyhow::Result<()> {
    wait::until(
        &format!("the routes of {name} to be {wanted:?}"),
        Duration::from_mins(1),
        || async {
            let now = labelled(&scratch.namespace, ROUTES, name)
                .await
                .map_err(|error| format!("{error:#}"))?;
            if now == wanted {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        },
    )
    .await
}

async fn create(alice: &Api<Workspace>, name: &str, manager: &str) -> anyhow::Result<Workspace> {
    let mut wanted = workspace::echo(name)?;
    wanted.spec.manager_ref = Some(manager.to_owned());
    alice.create(&PostParams::default(), &wanted).await?;
    workspace::reached(alice, name, Phase::Running).await
}

#[tokio::test]
async fn both_examples_serve_workspaces_through_another_proxy() -> anyhow::Result<()> {
    let scratch = Scratch::new("examples", &["alice"]).await?;
    let edge = Edge::new(&scratch.namespace).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let managers = [
        edge::manager("ingress", &edge).await?,
        edge::manager("ingressroute", &edge).await?,
    ];
    let [ingress, ingressroute] = [managers[0].as_str(), managers[1].as_str()];
    edge::allow(&scratch.namespace, &[ingress, ingressroute]).await?;
    for (name, manager, wanted) in [
        (
            "one",
            ingress,
            [
                "ingress.networking.k8s.io/workspace-one",
                "middleware.traefik.io/workspace-one",
            ],
        ),
        (
            "two",
            ingressroute,
            [
                "ingressroute.traefik.io/workspace-two",
                "middleware.traefik.io/workspace-two",
            ],
        ),
    ] {
        let ws = create(&alice, name, manager).await?;
        routes(&scratch, name, &wanted).await?;
        let url = workspace::url(&ws)?;
        assert!(url.starts_with(&format!("https://{name}-")), "{url}");
        assert!(url.ends_with(&format!(".{}.test/", edge.name)), "{url}");
        let host = workspace::host(&ws)?;
        let answer = edge.answers(&host, 200).await?;
        assert!(
            answer.body.contains("\"path\": \"/page\""),
            "the pod answers: {}",
            answer.body
        );
        assert!(
            answer.body.contains("alice") && !answer.body.contains("mallory"),
            "{}",
            answer.body
        );
        let refused = edge.ask(&host, json!({})).await?;
        assert_eq!(refused.status, 401, "{}", refused.body);
        let other = edge
            .ask(&format!("other.{}.test", edge.name), edge::known())
            .await?;
        assert_eq!(other.status, 404);
    }
    for name in ["one", "two"] {
        workspace::delete(&alice, name).await?;
        assert_eq!(
            labelled(&scratch.namespace, ROUTES, name).await?,
            Vec::<String>::new()
        );
    }
    edge::forget(&[ingress, ingressroute]).await?;
    edge.finish().await?;
    scratch.finish().await
}

/// The routes of `ws` by the manager of this sample.
fn by(sample: &str) -> [&'static str; 2] {
    match sample {
        "ingress" => [
            "ingress.networking.k8s.io/workspace-ws",
            "middleware.traefik.io/workspace-ws",
        ],
        _ => [
            "ingressroute.traefik.io/workspace-ws",
            "middleware.traefik.io/workspace-ws",
        ],
    }
}

#[tokio::test]
async fn a_route_is_deleted_at_stop_and_created_at_start() -> anyhow::Result<()> {
    let scratch = Scratch::new("stops", &["alice"]).await?;
    let edge = Edge::new(&scratch.namespace).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let manager = edge::manager("ingress", &edge).await?;
    edge::allow(&scratch.namespace, &[&manager]).await?;
    let ws = create(&alice, "ws", &manager).await?;
    let host = workspace::host(&ws)?;
    edge.answers(&host, 200).await?;

    workspace::set(&alice, "ws", json!({"desiredStatus": "Stopped"})).await?;
    routes(&scratch, "ws", &[]).await?;
    edge.answers(&host, 404).await?;
    workspace::reached(&alice, "ws", Phase::Stopped).await?;
    workspace::start(&alice, "ws").await?;
    routes(&scratch, "ws", &by("ingress")).await?;
    edge.answers(&host, 200).await?;
    workspace::delete(&alice, "ws").await?;
    edge::forget(&[&manager]).await?;
    edge.finish().await?;
    scratch.finish().await
}

/// Fails while the IngressRoute of `ws` is not as its manager wants it.
async fn is_right(namespace: &str, uid: &str) -> anyhow::Result<()> {
    let read = [
        "get",
        "ingressroute.traefik.io",
        "workspace-ws",
        "-n",
        namespace,
        "-o",
        "json",
    ];
    let route: serde_json::Value = serde_json::from_str(&kubectl(&read, "").await?)?;
    let (rules, meta) = (&route["spec"]["routes"], &route["metadata"]);
    anyhow::ensure!(rules.as_array().map(Vec::len) == Some(1), "{rules}");
    anyhow::ensure!(rules[0]["middlewares"][0]["name"] == "workspace-ws", "{rules}");
    anyhow::ensure!(rules[0]["priority"].is_null(), "{rules}");
    anyhow::ensure!(meta["ownerReferences"][0]["uid"] == uid, "{meta}");
    anyhow::ensure!(meta["labels"][api::names::WORKSPACE_LABEL] == "ws", "{meta}");
    Ok(())
}

#[tokio::test]
async fn the_authentication_service_cannot_be_bypassed_by_changing_a_route() -> anyhow::Result<()> {
    let scratch = Scratch::new("drift", &["alice"]).await?;
    let edge = Edge::new(&scratch.namespace).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let manager = edge::manager("ingressroute", &edge).await?;
    edge::allow(&scratch.namespace, &[&manager]).await?;
    let ws = create(&alice, "ws", &manager).await?;
    let (host, uid) = (workspace::host(&ws)?, ws.metadata.uid.clone().unwrap());
    edge.answers(&host, 200).await?;
    let namespace = scratch.namespace.as_str();
    is_right(namespace, &uid).await?;
    let open = json!({"spec": {"routes": [{
        "match": format!("Host(`{host}`)"), "kind": "Rule", "services": [{"name": "workspace-ws", "port": "http"}],
    }]}});
    let added = json!([{"op": "add", "path": "/spec/routes/0/priority", "value": 1000}]);
    let unlabelled =
        json!({"metadata": {"labels": {api::names::WORKSPACE_LABEL: null}, "ownerReferences": null}});
    for (kind, change) in [("merge", open), ("json", added), ("merge", unlabelled)] {
        let (kind, change) = (format!("--type={kind}"), change.to_string());
        let patch = [
            "patch",
            "ingressroute.traefik.io",
            "workspace-ws",
            "-n",
            namespace,
            &kind,
            "-p",
            &change,
        ];
        kubectl(&patch, "").await?;
        wait::until(
            &format!("{change} to be put right"),
            Duration::from_secs(30),
            || async {
                is_right(namespace, &uid)
                    .await
                    .map_err(|error| format!("{error:#}"))
            },
        )
        .await?;
    }
    let both = "ingressroute.traefik.io,middleware.traefik.io";
    kubectl(&["delete", both, "workspace-ws", "-n", namespace], "").await?;
    routes(&scratch, "ws", &by("ingressroute")).await?;
    edge.answers(&host, 200).await?;
    edge.refuses(&host).await?;
    workspace::delete(&alice, "ws").await?;
    edge::forget(&[&manager]).await?;
    edge.finish().await?;
    scratch.finish().await
}

#[tokio::test]
async fn a_route_moves_with_the_manager_while_the_pod_runs_on() -> anyhow::Result<()> {
    let scratch = Scratch::new("moves", &["alice"]).await?;
    let edge = Edge::new(&scratch.namespace).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let ingress = edge::manager("ingress", &edge).await?;
    let ingressroute = edge::manager("ingressroute", &edge).await?;
    edge::allow(&scratch.namespace, &[&ingress, &ingressroute]).await?;
    let ws = create(&alice, "ws", &ingressroute).await?;
    let host = workspace::host(&ws)?;
    edge.answers(&host, 200).await?;
    let pods = scratch.api::<Pod>();
    let pod = edge::pod_uid(&pods, "ws").await?;

    workspace::set(&alice, "ws", json!({"managerRef": ingress})).await?;
    routes(&scratch, "ws", &by("ingress")).await?;
    edge.answers(&host, 200).await?;
    // To the proxy that the gateway feeds, and back.
    workspace::set(&alice, "ws", json!({"managerRef": null})).await?;
    routes(&scratch, "ws", &[]).await?;
    let fed = workspace::reached(&alice, "ws", Phase::Running).await?;
    let installed = &e2e::Environment::get()?.base_domain;
    assert!(workspace::host(&fed)?.ends_with(installed), "{:?}", fed.status);
    let session = e2e::http::HttpSession::new()?;
    session.enter(&workspace::url(&fed)?, "alice").await?;
    workspace::set(&alice, "ws", json!({"managerRef": ingressroute})).await?;
    routes(&scratch, "ws", &by("ingressroute")).await?;
    edge.answers(&host, 200).await?;
    assert_eq!(edge::pod_uid(&pods, "ws").await?, pod);
    workspace::delete(&alice, "ws").await?;
    edge::forget(&[&ingress, &ingressroute]).await?;
    edge.finish().await?;
    scratch.finish().await
}

#[tokio::test]
async fn a_foreign_object_of_the_same_name_is_not_adopted() -> anyhow::Result<()> {
    let scratch = Scratch::new("taken", &["alice"]).await?;
    let edge = Edge::new(&scratch.namespace).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let manager = edge::manager("ingress", &edge).await?;
    edge::allow(&scratch.namespace, &[&manager]).await?;
    let ingresses = scratch.api::<Ingress>();
    let foreign: Ingress = serde_json::from_value(json!({
        "metadata": {"name": "workspace-ws"},
        "spec": {"rules": [{"host": "theirs.example.com"}]},
    }))?;
    ingresses.create(&PostParams::default(), &foreign).await?;
    create(&alice, "ws", &manager).await?;
    // The proxy's kinds may be new to the cluster, which is told first.
    wait::until("the conflict to be told", Duration::from_mins(1), || async {
        let ws = alice.get("ws").await.map_err(|error| error.to_string())?;
        match workspace::condition(&ws, "Degraded") {
            Some((status, reason, _)) if status == "True" && reason == "NameConflict" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let ws = alice.get("ws").await?;
    assert_eq!(workspace::condition(&ws, "Available").unwrap().0, "False");
    let unchanged = ingresses.get("workspace-ws").await?;
    assert_eq!(
        unchanged.spec.unwrap().rules.unwrap()[0].host.as_deref(),
        Some("theirs.example.com")
    );
    assert!(unchanged.metadata.owner_references.is_none());
    ingresses
        .delete("workspace-ws", &kube::api::DeleteParams::default())
        .await?;
    wait::until("the workspace to recover by itself", wait::USUAL, || async {
        let ws = alice.get("ws").await.map_err(|error| error.to_string())?;
        match workspace::condition(&ws, "Degraded") {
            Some((status, ..)) if status == "False" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    edge.answers(&workspace::host(&ws)?, 200).await?;
    workspace::delete(&alice, "ws").await?;
    edge::forget(&[&manager]).await?;
    edge.finish().await?;
    scratch.finish().await
}
