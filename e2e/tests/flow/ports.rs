//! Ways past the gateway, from inside the cluster: closed.

use anyhow::Context as _;
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::HttpSession,
    replica::Replica,
    wait, workspace,
};
use k8s_openapi::api::{
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use reqwest::{Method, StatusCode};
use serde_json::json;

/// A client that no network policy stops, such as the node, has no certificate of the proxy's. Which ports policies close is tested in `contract::connections`.
#[tokio::test]
async fn no_replica_of_the_gateway_answers_without_the_certificate_of_the_proxy() -> anyhow::Result<()> {
    for replica in Replica::all().await? {
        for port in [8443, 8444, 8445] {
            let refusal = replica.without_certificate(port).await?;
            assert!(
                refusal.contains("CertificateRequired"),
                "{}:{port}: {refusal}",
                replica.name
            );
        }
    }
    Ok(())
}

/// Who may write Services in a namespace bends that of a workspace to another pod: people still get to the workspace.
#[tokio::test]
async fn a_manipulated_service_does_not_redirect_requests() -> anyhow::Result<()> {
    let scratch = Scratch::new("bent", &["alice"]).await?;
    let (pods, services) = (scratch.api::<Pod>(), scratch.api::<Service>());
    let image = &Environment::get()?.images.echo;
    let impostor = cluster::run_pod(&pods, "impostor", image).await?;
    let params = PatchParams::default();
    let mark = json!({"metadata": {"labels": {"bent": "here"}}});
    pods.patch("impostor", &params, &Patch::Merge(mark)).await?;
    let ws = workspace::running(&scratch, "ws").await?;
    let url = workspace::url(&ws)?;
    let session = HttpSession::new()?;
    session.enter(&url, "alice").await?;

    let service = "workspace-ws";
    let selector = json!([{"op": "replace", "path": "/spec/selector", "value": {"bent": "here"}}]);
    services
        .patch(
            service,
            &params,
            &Patch::<()>::Json(serde_json::from_value(selector)?),
        )
        .await?;
    let address = impostor
        .status
        .and_then(|status| status.pod_ip)
        .context("no address")?;
    let slice: EndpointSlice = serde_json::from_value(json!({
        "metadata": {"name": "bent", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8888, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
    }))?;
    let slices = scratch.api::<EndpointSlice>();
    slices.create(&PostParams::default(), &slice).await?;

    let mine = |path: String| {
        session
            .request(Method::GET, &path)
            .header("Sec-Fetch-Site", "same-origin")
    };
    for sign_in_lock in 0..50 {
        let answer = mine(format!("{url}mine-{sign_in_lock}")).send().await?;
        assert_eq!(answer.status(), StatusCode::OK);
    }
    let seen = workspace::asked(&scratch, &ws).await?;
    assert!(seen.contains("/mine-0") && seen.contains("/mine-49"), "{seen}");
    let log = workspace::asked_of(&scratch, "impostor").await?;
    assert!(!log.contains("mine-"), "{log}");
    // And the Service becomes what it was.
    wait::until("the Service to be as it was", wait::USUAL, || async {
        let now = services.get(service).await.map_err(|error| error.to_string())?;
        let selector = now.spec.and_then(|spec| spec.selector).unwrap_or_default();
        if selector.contains_key("bent") {
            Err(format!("{selector:?}"))
        } else {
            Ok(())
        }
    })
    .await?;
    let left = slices.list(&ListParams::default()).await?;
    assert!(
        left.iter().any(|slice| slice.name_any() == "bent"),
        "it was there all the time"
    );
    scratch.finish().await
}
