//! The samples of managers with custom routes, through a proxy of the test.

use std::time::Duration;

use anyhow::Context as _;
use api::{Workspace, workspace::Phase};
use e2e::{
    cluster::{self, Scratch},
    objects::workspace,
    wait,
};
use k8s_openapi::api::{core::v1::Pod, networking::v1::Ingress};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::edge::{self, Edge, Kind, labelled};

/// Kinds of the samples' routes.
const ROUTES: &[Kind] = &[edge::INGRESS, edge::INGRESS_ROUTE, edge::MIDDLEWARE];

/// A proxy, the managers of both samples, and a user of both.
struct Fixture {
    scratch: Scratch,
    edge: Edge,
    alice: Api<Workspace>,
    ingress: String,
    ingressroute: String,
}

impl Fixture {
    async fn new() -> anyhow::Result<Self> {
        let scratch = Scratch::new("examples", &["alice"]).await?;
        let edge = Edge::new(&scratch.namespace, false).await?;
        let alice = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
        let ingress = edge::manager("ingress", &scratch.namespace).await?;
        let ingressroute = edge::manager("ingressroute", &scratch.namespace).await?;
        edge::allow(&scratch.namespace, &[&ingress, &ingressroute]).await?;
        Ok(Self {
            scratch,
            edge,
            alice,
            ingress,
            ingressroute,
        })
    }

    async fn finish(self) -> anyhow::Result<()> {
        edge::forget(&[&self.ingress, &self.ingressroute]).await?;
        self.edge.finish().await?;
        self.scratch.finish().await
    }

    async fn create(&self, name: &str, manager: &str) -> anyhow::Result<Workspace> {
        let mut wanted = workspace::echo(name)?;
        wanted.spec.manager_ref = Some(manager.to_owned());
        self.alice.create(&PostParams::default(), &wanted).await?;
        workspace::reached(&self.alice, name, Phase::Running).await
    }

    /// Waits until the workspace has exactly these routes.
    async fn routes(&self, name: &str, wanted: &[String]) -> anyhow::Result<()> {
        let what = format!("the routes of {name} to be {wanted:?}");
        wait::until(&what, Duration::from_mins(1), || async {
            let now = labelled(&self.scratch.namespace, ROUTES, name)
                .await
                .map_err(|error| format!("{error:#}"))?;
            if now == wanted {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        })
        .await
    }
}

/// The routes of a workspace by the manager of this sample.
fn by(sample: &str, name: &str) -> [String; 2] {
    let route = match sample {
        "ingress" => "ingress.networking.k8s.io",
        _ => "ingressroute.traefik.io",
    };
    [
        format!("{route}/workspace-{name}"),
        format!("middleware.traefik.io/workspace-{name}"),
    ]
}

#[tokio::test]
async fn both_examples_serve_workspaces_through_another_proxy_and_keep_their_routes_right()
-> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let (one, two, taken) = tokio::join!(
        Box::pin(a_route_is_deleted_at_stop_and_created_at_start(&fixture)),
        Box::pin(a_changed_route_is_put_right_and_moves_with_its_manager(&fixture)),
        Box::pin(a_foreign_object_of_the_same_name_is_not_adopted(&fixture)),
    );
    one.context("stop and start")?;
    two.context("changes")?;
    taken.context("a foreign object")?;
    fixture.finish().await
}

async fn a_route_is_deleted_at_stop_and_created_at_start(fixture: &Fixture) -> anyhow::Result<()> {
    let (edge, alice) = (&fixture.edge, &fixture.alice);
    let ws = fixture.create("one", &fixture.ingress).await?;
    fixture.routes("one", &by("ingress", "one")).await?;
    let host = edge.serves(&ws).await?;

    workspace::set(alice, "one", json!({"desiredStatus": "Stopped"})).await?;
    fixture.routes("one", &[]).await?;
    edge.answers(&host, 404).await?;
    workspace::reached(alice, "one", Phase::Stopped).await?;
    workspace::start(alice, "one").await?;
    fixture.routes("one", &by("ingress", "one")).await?;
    edge.answers(&host, 200).await?;
    workspace::delete(alice, "one").await?;
    let left = labelled(&fixture.scratch.namespace, ROUTES, "one").await?;
    anyhow::ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

/// Fails while the IngressRoute of `two` differs from its manager's manifest.
async fn is_right(routes: &Api<DynamicObject>, uid: &str) -> anyhow::Result<()> {
    let route = routes.get("workspace-two").await?;
    let (rules, meta) = (&route.data["spec"]["routes"], &route.metadata);
    anyhow::ensure!(rules.as_array().map(Vec::len) == Some(1), "{rules}");
    anyhow::ensure!(rules[0]["middlewares"][0]["name"] == "workspace-two", "{rules}");
    anyhow::ensure!(rules[0]["priority"].is_null(), "{rules}");
    let owner = route.owner_references().first().map(|owner| owner.uid.as_str());
    anyhow::ensure!(owner == Some(uid), "{meta:?}");
    let label = route.labels().get(api::names::WORKSPACE_LABEL);
    anyhow::ensure!(label.is_some_and(|name| name == "two"), "{meta:?}");
    Ok(())
}

async fn a_changed_route_is_put_right_and_moves_with_its_manager(fixture: &Fixture) -> anyhow::Result<()> {
    let (edge, alice, namespace) = (&fixture.edge, &fixture.alice, &fixture.scratch.namespace);
    let ws = fixture.create("two", &fixture.ingressroute).await?;
    fixture.routes("two", &by("ingressroute", "two")).await?;
    let host = edge.serves(&ws).await?;
    let uid = ws.uid().unwrap_or_default();
    let client = cluster::admin().await?;
    let [routes, middlewares] = [edge::INGRESS_ROUTE, edge::MIDDLEWARE]
        .map(|kind| Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &kind.resource()));
    is_right(&routes, &uid).await?;
    let open = Patch::Merge(json!({"spec": {"routes": [{
        "match": format!("Host(`{host}`)"), "kind": "Rule", "services": [{"name": "workspace-two", "port": "http"}],
    }]}}));
    let added = json!([{"op": "add", "path": "/spec/routes/0/priority", "value": 1000}]);
    let added = Patch::Json(serde_json::from_value(added)?);
    let unlabelled = Patch::Merge(
        json!({"metadata": {"labels": {api::names::WORKSPACE_LABEL: null}, "ownerReferences": null}}),
    );
    for change in [open, added, unlabelled] {
        routes
            .patch("workspace-two", &PatchParams::default(), &change)
            .await?;
        let what = format!("{change:?} to be put right");
        wait::until(&what, Duration::from_secs(30), || async {
            is_right(&routes, &uid)
                .await
                .map_err(|error| format!("{error:#}"))
        })
        .await?;
    }
    for all in [&routes, &middlewares] {
        all.delete("workspace-two", &DeleteParams::default()).await?;
    }
    fixture.routes("two", &by("ingressroute", "two")).await?;
    edge.answers(&host, 200).await?;
    edge.refuses(&host).await?;

    let pods = fixture.scratch.api::<Pod>();
    let pod = edge::pod_uid(&pods, "two").await?;
    workspace::set(alice, "two", json!({"managerRef": fixture.ingress})).await?;
    fixture.routes("two", &by("ingress", "two")).await?;
    edge.answers(&host, 200).await?;
    // To the gateway's own proxy, and back.
    workspace::set(alice, "two", json!({"managerRef": null})).await?;
    fixture.routes("two", &[]).await?;
    let fed = workspace::reached(alice, "two", Phase::Running).await?;
    let installed = &e2e::Environment::get()?.base_domain;
    anyhow::ensure!(workspace::host(&fed)?.ends_with(installed), "{:?}", fed.status);
    let session = e2e::http::HttpSession::new()?;
    session.enter(&workspace::url(&fed)?, "alice").await?;
    workspace::set(alice, "two", json!({"managerRef": fixture.ingressroute})).await?;
    fixture.routes("two", &by("ingressroute", "two")).await?;
    edge.answers(&host, 200).await?;
    anyhow::ensure!(edge::pod_uid(&pods, "two").await? == pod, "another pod");
    workspace::delete(alice, "two").await?;
    let left = labelled(namespace, ROUTES, "two").await?;
    anyhow::ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

async fn a_foreign_object_of_the_same_name_is_not_adopted(fixture: &Fixture) -> anyhow::Result<()> {
    let alice = &fixture.alice;
    let ingresses = fixture.scratch.api::<Ingress>();
    let foreign: Ingress = serde_json::from_value(json!({
        "metadata": {"name": "workspace-taken"},
        "spec": {"rules": [{"host": "theirs.example.com"}]},
    }))?;
    ingresses.create(&PostParams::default(), &foreign).await?;
    fixture.create("taken", &fixture.ingress).await?;
    // The proxy's kinds may be new to the cluster, which is reported first.
    wait::until("the conflict to be reported", Duration::from_mins(1), || async {
        let ws = alice.get("taken").await.map_err(|error| error.to_string())?;
        match workspace::condition(&ws, "Degraded") {
            Some((status, reason, _)) if status == "True" && reason == "NameConflict" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let ws = alice.get("taken").await?;
    assert_eq!(workspace::condition(&ws, "Available").unwrap().0, "False");
    let unchanged = ingresses.get("workspace-taken").await?;
    assert_eq!(
        unchanged.spec.unwrap().rules.unwrap()[0].host.as_deref(),
        Some("theirs.example.com")
    );
    assert!(unchanged.metadata.owner_references.is_none());
    ingresses
        .delete("workspace-taken", &DeleteParams::default())
        .await?;
    wait::until("the workspace to recover by itself", wait::USUAL, || async {
        let ws = alice.get("taken").await.map_err(|error| error.to_string())?;
        match workspace::condition(&ws, "Degraded") {
            Some((status, ..)) if status == "False" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    fixture.edge.answers(&workspace::host(&ws)?, 200).await?;
    workspace::delete(alice, "taken").await
}
