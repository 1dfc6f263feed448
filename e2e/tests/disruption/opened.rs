//! An open workspace whose pod ends while no operator runs: its address is no longer routed.

use e2e::{cluster::Scratch, http::HttpSession, objects::workspace, wait};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::DeleteParams};
use reqwest::{Method, StatusCode, header};

const NAME: &str = "opened";

/// Alice's workspace, which she has opened.
pub(super) struct Opened {
    url: String,
    pod: String,
    alice: HttpSession,
}

impl Opened {
    pub(super) async fn new(scratch: &Scratch) -> anyhow::Result<Self> {
        let opened = workspace::running(scratch, NAME).await?;
        let (url, pod) = (workspace::url(&opened)?, workspace::pod(&opened)?);
        let alice = HttpSession::new()?;
        alice.enter(&url, "alice").await?;
        Ok(Self { url, pod, alice })
    }

    /// Alice's requests succeed, and others open the workspace. Then its pod ends, and its route with it.
    pub(super) async fn is_served_as_long_as_its_pod_is_there(
        &self,
        scratch: &Scratch,
    ) -> anyhow::Result<()> {
        let status = self.alice.fetch_alive(&self.url).await?;
        anyhow::ensure!(status == StatusCode::OK, "{status}");
        HttpSession::new()?.enter(&self.url, "alice").await?;
        let pods: Api<Pod> = scratch.api();
        pods.delete(&self.pod, &DeleteParams::default().grace_period(0))
            .await?;
        wait::until("the route to end", wait::USUAL, || self.shows_waiting_page()).await?;
        // The status still has the address: the gateway watched the pod.
        let now = scratch.api::<api::Workspace>().get(NAME).await?;
        anyhow::ensure!(workspace::pod(&now)? == self.pod, "{:?}", now.status);
        Ok(())
    }

    /// Requests reach the next pod. Her ticket may have expired meanwhile, and her session gives her another one.
    pub(super) async fn is_reached(&self) -> anyhow::Result<()> {
        self.alice.enter(&self.url, "alice").await.map(drop)
    }

    /// Text of the gateway's own page with its 503; the proxy's answer for an unused address is 502 or 504.
    async fn shows_waiting_page(&self) -> Result<(), String> {
        let request = self
            .alice
            .request(Method::GET, &format!("{}alive", self.url))
            .header("Sec-Fetch-Site", "same-origin");
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let retry = answer.headers().contains_key(header::RETRY_AFTER);
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE && retry {
            return Ok(());
        }
        Err(format!("{} retry: {retry}", answer.status()))
    }
}
