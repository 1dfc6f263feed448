//! Ways to the product's own pods and past the gateway, from inside the cluster: closed.

use std::collections::BTreeSet;

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
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use reqwest::{Method, StatusCode};
use serde_json::json;

/// Tries to connect to each `address:port`; prints those that take a connection.
const CONNECT: &str = "
import concurrent.futures, socket, sys
def open(target):
    try:
        socket.create_connection(target.rsplit(':', 1), timeout=3).close()
        return True
    except OSError:
        return False
with concurrent.futures.ThreadPoolExecutor(32) as pool:
    for target, opened in zip(sys.argv[1:], pool.map(open, sys.argv[1:])):
        if opened:
            print(target)
";

/// Where the product's pods and Services listen, and what of it that is.
async fn listening_ports() -> anyhow::Result<Vec<(String, String)>> {
    let admin = cluster::admin().await?;
    let environment = Environment::get()?;
    let services = Api::<Service>::namespaced(admin.clone(), &environment.system_namespace);
    let mut listening_ports = Vec::new();
    for component in ["gateway", "operator", "webhook"] {
        for pod in cluster::component_pods(admin.clone(), component).await? {
            let ip = pod.status.and_then(|status| status.pod_ip).unwrap_or_default();
            let containers = pod.spec.into_iter().flat_map(|spec| spec.containers);
            let ports = containers.flat_map(|container| container.ports.unwrap_or_default());
            listening_ports.extend(ports.map(|port| {
                let number = port.container_port;
                (format!("{ip}:{number}"), format!("{component}:{number}"))
            }));
        }
        let service = services
            .get_opt(&format!("{}-{component}", environment.release))
            .await?;
        let Some(spec) = service.and_then(|service| service.spec) else {
            continue;
        };
        let ip = spec.cluster_ip.unwrap_or_default();
        listening_ports.extend(spec.ports.into_iter().flatten().filter_map(|port| {
            let target = match port.target_port? {
                k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(number) => number.to_string(),
                k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::String(name) => name,
            };
            Some((
                format!("{ip}:{}", port.port),
                format!("{component}'s Service:{target}"),
            ))
        }));
    }
    Ok(listening_ports)
}

async fn reached(
    pods: &Api<Pod>,
    from: &str,
    listening_ports: &[(String, String)],
) -> anyhow::Result<BTreeSet<String>> {
    let mut command = vec!["python3", "-c", CONNECT];
    command.extend(listening_ports.iter().map(|(address, _)| address.as_str()));
    let opened = cluster::exec(pods, from, &command).await?;
    let named = |address: &str| {
        listening_ports
            .iter()
            .find(|(one, _)| one == address)
            .map(|(_, name)| name.clone())
    };
    Ok(opened.lines().filter_map(named).collect())
}

#[tokio::test]
async fn no_port_of_the_product_is_open_to_other_pods() -> anyhow::Result<()> {
    let scratch = Scratch::new("ports", &["alice"]).await?;
    let pods = scratch.api::<Pod>();
    let other_user = cluster::run_pod(&pods, "stranger", &Environment::get()?.images.echo).await?;
    let ws = workspace::running(&scratch, "ws").await?;
    let mut listening_ports = listening_ports().await?;
    for component in ["gateway", "operator", "webhook"] {
        assert!(
            listening_ports
                .iter()
                .any(|(_, name)| name.starts_with(component)),
            "{listening_ports:?}"
        );
    }
    // The control: what is open is seen to be, by name and through the same eyes.
    let own = other_user
        .status
        .and_then(|status| status.pod_ip)
        .context("no address")?;
    listening_ports.push((format!("{own}:8888"), "control".to_owned()));
    // The webhook's as well, which the API server asks: it has just admitted `ws`.
    let seen = reached(&pods, "stranger", &listening_ports).await?;
    let allowed: BTreeSet<_> = ["control".to_owned()].into();
    assert_eq!(seen, allowed, "of {listening_ports:?}");
    let seen = reached(&pods, &workspace::pod(&ws)?, &listening_ports).await?;
    assert_eq!(
        seen,
        BTreeSet::new(),
        "behind its own wall a workspace reaches none"
    );

    // Whom no wall stops, such as the node, has no certificate of the proxy's.
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
    scratch.finish().await
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
