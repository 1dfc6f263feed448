//! Starts that fail on the cluster, and what the hub says of them.

use anyhow::{Context as _, ensure};
use api::workspace::Phase;
use e2e::{command, objects::workspace, wait};
use reqwest::Method;
use serde_json::json;
use tokio::time::timeout;

use super::{
    sample::{self, MISSING, SERVERS, User},
    servers,
};

/// Name of a quota that lets no pod start.
const QUOTA: &str = "no-pods";

#[tokio::test]
async fn a_start_that_fails_says_why_leaves_nothing_running_and_works_once_the_cause_is_mended()
-> anyhow::Result<()> {
    let hub = sample::hub().await?;
    let bob = hub.sign_in("bob").await?;

    fails_by(&bob, "missing", MISSING).await?;

    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": QUOTA, "namespace": SERVERS},
        "spec": {"hard": {"pods": "0"}},
    });
    command::apply(&[quota]).await?;
    let failed = fails_by(&bob, "jupyterlab", "quota").await;
    // Else no server of the next tests starts.
    command::administered(&["delete", "resourcequota", QUOTA, "-n", SERVERS], "").await?;
    failed?;
    // Its second crash ends the start, with the last line of the command alone.
    let events = fails_by(&bob, "crashes", sample::LAST_LINE).await?;
    ensure!(
        events.contains("CrashLooping") && !events.contains(sample::FIRST_LINE),
        "{events}"
    );
    bob.start().await?;
    bob.stop().await
}

/// The events of a start by this profile, which fails and tells the cause. Then nothing of it runs.
async fn fails_by(bob: &User<'_>, profile: &str, cause: &str) -> anyhow::Result<String> {
    // Long before the time of a start, 300 s, is up.
    let events = timeout(wait::USUAL, async {
        // 201 or 202 while it starts, or the failure itself.
        bob.request_server(profile).await?;
        let events = bob
            .send(Method::GET, "/hub/api/users/bob/server/progress")
            .await?;
        anyhow::Ok(events.text().await?)
    });
    let events = events
        .await
        .with_context(|| format!("{profile} has not failed within {:?}", wait::USUAL))??;
    ensure!(
        events.contains("\"failed\": true") && events.contains(cause),
        "{events}"
    );
    bob.has_none().await?;
    let name = servers::workspace_of("bob", "").await?;
    workspace::reached(&sample::workspaces().await?, &name, Phase::Stopped).await?;
    Ok(events)
}
