//! A start that Kubernetes refuses, and what the hub says of it.

use anyhow::ensure;
use api::workspace::Phase;
use e2e::{command, objects::workspace};
use reqwest::Method;
use serde_json::json;

use super::sample::{self, SERVERS};

/// Name of a quota that lets no pod start.
const QUOTA: &str = "no-pods";

#[tokio::test]
async fn a_start_that_a_quota_refuses_says_why_leaves_nothing_running_and_works_once_there_is_room()
-> anyhow::Result<()> {
    let hub = sample::hub().await?;
    let bob = hub.sign_in("bob").await?;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": QUOTA, "namespace": SERVERS},
        "spec": {"hard": {"pods": "0"}},
    });
    command::apply(&[quota]).await?;
    // 201 or 202 while it starts, or the failure itself.
    bob.send(Method::POST, "/hub/api/users/bob/server").await?;
    // The events of the start. The last one says why it failed.
    let events = bob
        .send(Method::GET, "/hub/api/users/bob/server/progress")
        .await?;
    let events = events.text().await?;
    ensure!(
        events.contains("\"failed\": true") && events.contains("quota"),
        "{events}"
    );
    bob.has_none().await?;
    workspace::reached(&sample::workspaces().await?, "bob", Phase::Stopped).await?;

    command::administered(&["delete", "resourcequota", QUOTA, "-n", SERVERS], "").await?;
    bob.start().await?;
    bob.stop().await
}
