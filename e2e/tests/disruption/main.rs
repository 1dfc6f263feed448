//! Components die while people work. A test binary of its own: nothing else runs meanwhile.

mod addresses;
mod another_build;
mod defaults;
mod definitions;
mod evictions;
mod grace;
mod keys;
mod load;
mod operator_down;
mod outage;
mod replicas;
mod required;
mod starts;
mod upgrade;

use std::time::Duration;

use api::workspace::Phase;
use e2e::{
    cluster::{self, Scratch},
    http::HttpSession,
    wait, workspace,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use reqwest::{Method, StatusCode};

/// Tests of this binary kill the same pods, so they take turns.
static EXCLUSIVE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Kills every pod of a component at once, without grace.
async fn kill(component: &str) -> anyhow::Result<Vec<String>> {
    let admin = cluster::admin().await?;
    let pods = cluster::component_pods(admin.clone(), component).await?;
    anyhow::ensure!(!pods.is_empty(), "no pod of {component}");
    let mut killed = Vec::new();
    for pod in pods {
        let api = Api::<Pod>::namespaced(admin.clone(), &pod.namespace().unwrap_or_default());
        let at_once = DeleteParams::default().grace_period(0);
        match api.delete(&pod.name_any(), &at_once).await {
            // It was on its way out.
            Err(kube::Error::Api(answer)) if answer.code == 404 => {}
            other => drop(other?),
        }
        killed.push(pod.name_any());
    }
    Ok(killed)
}

/// Waits until other pods of the component are ready.
async fn replaced(component: &str, killed: &[String]) -> anyhow::Result<()> {
    wait::until(&format!("new {component} pods"), wait::USUAL, || async {
        let admin = cluster::admin().await.map_err(|error| format!("{error:#}"))?;
        let pods = cluster::component_pods(admin, component)
            .await
            .map_err(|error| format!("{error:#}"))?;
        let fresh: Vec<_> = pods
            .iter()
            .filter(|pod| !killed.contains(&pod.name_any()) && !cluster::has_ended(pod))
            .collect();
        if !fresh.is_empty() && fresh.iter().all(|pod| cluster::is_ready(pod)) {
            return Ok(());
        }
        Err(format!(
            "{:?}",
            pods.iter()
                .map(|pod| (pod.name_any(), &pod.status))
                .collect::<Vec<_>>()
        ))
    })
    .await
}

async fn fetch(session: &HttpSession, url: &str) -> anyhow::Result<StatusCode> {
    let request = session
        .request(Method::GET, &format!("{url}alive"))
        .header("Sec-Fetch-Site", "same-origin");
    Ok(request.timeout(Duration::from_secs(10)).send().await?.status())
}

#[tokio::test]
async fn workspaces_and_sessions_outlive_the_pods_of_operator_webhook_and_gateway() -> anyhow::Result<()> {
    let _exclusive = EXCLUSIVE.lock().await;
    let scratch = Scratch::new("disruption", &["alice"]).await?;
    let alice: Api<api::Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let before = workspace::running(&scratch, "ws").await?;
    let url = workspace::url(&before)?;
    let session = HttpSession::new()?;
    session.enter(&url, "alice").await?;

    for component in ["operator", "webhook"] {
        let killed = kill(component).await?;
        // While it is away, the workspace serves.
        assert_eq!(
            fetch(&session, &url).await?,
            StatusCode::OK,
            "while {component} is away"
        );
        replaced(component, &killed).await?;
        assert_eq!(
            fetch(&session, &url).await?,
            StatusCode::OK,
            "after {component} came back"
        );
    }
    // The new operator and webhook work: a change goes through both.
    let name = "after-disruption";
    wait::until("the webhook to admit", wait::USUAL, || async {
        let echo = workspace::echo(name).map_err(|error| format!("{error:#}"))?;
        alice
            .create(&PostParams::default(), &echo)
            .await
            .map_err(|error| error.to_string())
    })
    .await?;
    workspace::reached(&alice, name, Phase::Running).await?;

    let killed = kill("gateway").await?;
    replaced("gateway", &killed).await?;
    // The same cookies, no new sign-in: the ticket is honoured by the new gateway, and so is the session.
    wait::until("the gateway to honour the ticket", wait::USUAL, || async {
        match fetch(&session, &url).await {
            Ok(StatusCode::OK) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let other = workspace::url(&alice.get(name).await?)?;
    wait::until("the session to open another workspace", wait::USUAL, || async {
        let page = session.open(&other).await.map_err(|error| format!("{error:#}"))?;
        let (status, at) = (page.status(), page.url().to_string());
        if status.is_success() && at == other {
            Ok(())
        } else {
            Err(format!("{status} at {at}"))
        }
    })
    .await?;

    // The workspace itself never noticed.
    let after = alice.get("ws").await?;
    assert_eq!(workspace::run_id(&after)?, workspace::run_id(&before)?);
    workspace::stop(&alice, "ws").await?;
    scratch.finish().await
}
