//! A server whose pod goes, and that somebody else stops; and who reaches it.

use anyhow::ensure;
use api::{Workspace, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, connects},
    command,
    objects::workspace,
    wait,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _, api::DeleteParams};

use super::{
    sample::{self, HUB, SERVERS, User},
    servers,
};

fn address(of: &Workspace) -> String {
    let endpoint = of.status.as_ref().and_then(|status| status.endpoint.as_ref());
    endpoint
        .map(|endpoint| endpoint.pod_ip.clone())
        .unwrap_or_default()
}

#[tokio::test]
async fn only_hub_and_proxy_reach_a_server_which_they_follow_to_its_next_pod_and_show_as_stopped()
-> anyhow::Result<()> {
    let hub = sample::hub().await?;
    let bob = hub.sign_in("bob").await?;
    bob.start().await?;
    let workspaces = sample::workspaces().await?;
    let name = servers::workspace_of("bob", "").await?;
    let running = workspace::reached(&workspaces, &name, Phase::Running).await?;
    let (pod, first) = (workspace::pod(&running)?, bob.server().await?);
    reaches_only_what_it_should(&pod, &address(&running)).await?;

    // The same server, without a click.
    let pods = sample::pods(SERVERS).await?;
    let before = pods.get(&pod).await?.uid();
    pods.delete(&pod, &DeleteParams::default()).await?;
    wait::until("another pod", wait::USUAL, || async {
        let now = workspaces.get(&name).await.map_err(|error| error.to_string())?;
        let pod = workspace::pod(&now).map_err(|error| error.to_string())?;
        let next = pods.get(&pod).await.map_err(|error| error.to_string())?;
        if next.uid() != before && cluster::is_ready(&next) {
            Ok(())
        } else {
            Err(format!("{:?}", next.status))
        }
    })
    .await?;
    bob.answers().await?;
    let again = bob.server().await?;
    assert_eq!(
        (&again["started"], &again["url"]),
        (&first["started"], &first["url"])
    );

    // The variable arrives as it was written.
    let pod_now = workspace::pod(&workspaces.get(&name).await?)?;
    let processes = sample::processes(SERVERS, &pod_now).await?;
    let odd = processes.iter().find_map(|(_, variables)| variables.get("ODD"));
    assert_eq!(odd.map(String::as_str), Some(sample::ODD));

    the_hub_restarts(&bob, &workspaces, &name).await?;

    // By kubectl: the hub shows it, and starts nothing by itself.
    workspace::stop(&workspaces, &name).await?;
    bob.has_none().await?;
    workspace::reached(&workspaces, &name, Phase::Stopped)
        .await
        .map(drop)
}

/// A hub whose pod is replaced has the same server, in the same pod.
async fn the_hub_restarts(bob: &User<'_>, workspaces: &Api<Workspace>, name: &str) -> anyhow::Result<()> {
    let (server, run) = (
        bob.server().await?,
        workspace::run_id(&workspaces.get(name).await?)?,
    );
    sample::pods(HUB)
        .await?
        .delete(&sample::pod("hub").await?, &DeleteParams::default())
        .await?;
    command::administered(
        &["rollout", "status", "deployment/hub", "-n", HUB, "--timeout=3m"],
        "",
    )
    .await?;
    bob.answers().await?;
    let again = bob.server().await?;
    assert_eq!(
        (&again["started"], &again["url"]),
        (&server["started"], &server["url"])
    );
    assert_eq!(workspace::run_id(&workspaces.get(name).await?)?, run);
    Ok(())
}

/// Who reaches the server, and whom it reaches. Each refusal has its control.
async fn reaches_only_what_it_should(pod: &str, server: &str) -> anyhow::Result<()> {
    let (of_hub, of_servers) = (sample::pods(HUB).await?, sample::pods(SERVERS).await?);
    let other = format!("other-{}", std::process::id());
    let other_pod = cluster::run_pod(&of_servers, &other, &Environment::get()?.images.echo).await?;
    let other_address = other_pod
        .status
        .and_then(|status| status.pod_ip)
        .unwrap_or_default();
    let (proxy, hub) = (sample::pod("proxy").await?, sample::pod("hub").await?);
    let (proxy, hub, other) = (proxy.as_str(), hub.as_str(), other.as_str());
    let other_address = other_address.as_str();
    for (pods, from, to, port, allowed) in [
        (&of_hub, proxy, server, 8888, true),
        (&of_hub, hub, server, 8888, true),
        (&of_servers, other, server, 8888, false),
        (&of_servers, pod, "hub.jhub.svc", 8081, true),
        (&of_servers, pod, other_address, 8888, false),
        (&of_hub, proxy, other_address, 8888, true),
        (&of_servers, pod, "kubernetes.default.svc", 443, false),
        (&of_hub, hub, "kubernetes.default.svc", 443, true),
        (&of_servers, pod, "proxy-api.jhub.svc", 8001, false),
        (&of_hub, hub, "proxy-api.jhub.svc", 8001, true),
        (&of_servers, other, "hub.jhub.svc", 8081, false),
    ] {
        becomes(pods, from, to, port, allowed).await?;
    }
    of_servers.delete(other, &DeleteParams::default()).await?;
    Ok(())
}

/// The node learns of new pods a little later, so what must be reached may take a moment. What must not, must never.
async fn becomes(pods: &Api<Pod>, from: &str, to: &str, port: i32, allowed: bool) -> anyhow::Result<()> {
    if !allowed {
        ensure!(
            !connects(pods, from, to, port).await?,
            "{from} reaches {to}:{port}"
        );
        return Ok(());
    }
    wait::until(&format!("{from} to reach {to}:{port}"), wait::USUAL, || async {
        match connects(pods, from, to, port).await {
            Ok(true) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}
