//! Connections from inside the cluster that bypass the gateway are refused.

use anyhow::Context as _;
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::{HttpSession, replica::Replica},
    objects::workspace,
    wait,
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

/// Another pod that knows the address is refused by the NetworkPolicy, whichever namespace it is in. Who may write Services in a namespace
/// bends that of a workspace to it: users still reach the workspace.
#[tokio::test]
async fn nothing_bypasses_the_gateway_at_its_replicas_the_pod_s_address_or_by_a_manipulated_service()
-> anyhow::Result<()> {
    no_replica_of_the_gateway_answers_without_the_certificate_of_the_proxy().await?;
    let scratch = Scratch::new("bent", &["alice"]).await?;
    let (pods, services) = (scratch.api::<Pod>(), scratch.api::<Service>());
    let image = &Environment::get()?.images.echo;
    let elsewhere = Scratch::new("elsewhere", &[]).await?;
    let there = elsewhere.api();
    let (impostor, far) = futures::try_join!(
        cluster::run_pod(&pods, "caller", image),
        cluster::run_pod(&there, "caller", image)
    )?;
    let params = PatchParams::default();
    let mark = json!({"metadata": {"labels": {"bent": "here"}}});
    pods.patch("caller", &params, &Patch::Merge(mark)).await?;
    let wanted = workspace::naming_service(workspace::echo("ws")?);
    let ws = Box::pin(workspace::made(&scratch, &wanted)).await?;
    let url = workspace::url(&ws)?;
    let session = HttpSession::new()?;
    session.enter(&url, "alice").await?;
    let endpoint = ws.status.as_ref().and_then(|status| status.endpoint.as_ref());
    let endpoint = &endpoint.context("no endpoint")?.pod_ip;
    let ip = |pod: &Pod| {
        pod.status
            .clone()
            .and_then(|status| status.pod_ip)
            .unwrap_or_default()
    };
    for (from, other) in [(&pods, &far), (&there, &impostor)] {
        let call = |ip: &str| {
            format!(
                "import socket\ntry:\n  socket.create_connection(('{ip}', 8888), 3); print('connected')\n\
                 except OSError as e: print('refused', e)"
            )
        };
        // The control: a pod without policy is reachable from the very same place.
        let control = cluster::exec(from, "caller", &["python3", "-c", &call(&ip(other))]).await?;
        assert!(control.starts_with("connected"), "{control}");
        let direct = cluster::exec(from, "caller", &["python3", "-c", &call(endpoint)]).await?;
        assert!(direct.starts_with("refused"), "{direct}");
    }
    elsewhere.finish().await?;

    let service = "workspace-ws";
    let spec = services.get(service).await?.spec.unwrap_or_default();
    assert_eq!(spec.cluster_ip.as_deref(), Some("None"), "it takes no address");
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
    for number in 0..50 {
        let answer = mine(format!("{url}mine-{number}")).send().await?;
        assert_eq!(answer.status(), StatusCode::OK);
    }
    let seen = workspace::received_requests(&scratch, &ws).await?;
    assert!(seen.contains("/mine-0") && seen.contains("/mine-49"), "{seen}");
    let log = workspace::received_requests_of(&scratch, "caller").await?;
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
