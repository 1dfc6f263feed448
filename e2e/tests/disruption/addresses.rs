//! The operator is away and a pod ends: its address leads nowhere, whoever gets it next.

use e2e::{cluster::Scratch, component, http::HttpSession, wait, workspace};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::DeleteParams};
use reqwest::{Method, StatusCode, header};

/// What the gateway's own page says with its 503; the proxy's answer for an address that nobody has is 502 or 504.
async fn shows_waiting_page(session: &HttpSession, url: &str) -> Result<(), String> {
    let request = session
        .request(Method::GET, &format!("{url}alive"))
        .header("Sec-Fetch-Site", "same-origin");
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let retry = answer.headers().contains_key(header::RETRY_AFTER);
    if answer.status() == StatusCode::SERVICE_UNAVAILABLE && retry {
        return Ok(());
    }
    Err(format!("{} retry: {retry}", answer.status()))
}

#[tokio::test]
async fn a_route_ends_with_its_pod_without_an_operator() -> anyhow::Result<()> {
    let _exclusive = super::EXCLUSIVE.lock().await;
    let scratch = Scratch::new("addresses", &["alice"]).await?;
    let lab = workspace::running(&scratch, "ws").await?;
    let (url, pod) = (workspace::url(&lab)?, workspace::pod(&lab)?);
    let alice = HttpSession::new()?;
    alice.enter(&url, "alice").await?;

    let replicas = component::scale("operator", 0).await?;
    let pods: Api<Pod> = scratch.api();
    let ended = async {
        pods.delete(&pod, &DeleteParams::default().grace_period(0))
            .await?;
        wait::until("the route to end", wait::USUAL, || {
            shows_waiting_page(&alice, &url)
        })
        .await?;
        // Nobody took the address out of the status: the gateway saw the pod go.
        let now = scratch.api::<api::Workspace>().get("ws").await?;
        anyhow::ensure!(workspace::pod(&now)? == pod, "{:?}", now.status);
        anyhow::Ok(())
    }
    .await;
    component::scale("operator", replicas).await?;
    ended?;
    wait::until("the next pod to be reached", wait::USUAL, || async {
        match super::fetch(&alice, &url).await {
            Ok(StatusCode::OK) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    scratch.finish().await
}
