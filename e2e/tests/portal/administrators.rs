//! An administrator by a group of the values, which name no user, and a neighbour, at another user's workspace.

use anyhow::Context as _;
use api::{
    Workspace,
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    cluster::{self, Scratch},
    http::HttpSession,
    installation::servers,
    objects::workspace,
    portal::Portal,
    wait,
};
use kube::{Api, ResourceExt as _, api::ListParams};
use reqwest::StatusCode;
use serde_json::json;

/// Whether a user's list of the namespace in the portal has the workspace.
async fn lists(portal: &Portal, namespace: &str) -> anyhow::Result<bool> {
    let list = portal
        .json(&format!("/?namespace={namespace}"))
        .await?
        .to_string();
    Ok(list.contains(&format!("/w/{namespace}/hers")))
}

#[tokio::test]
async fn an_administrator_lists_opens_stops_and_starts_another_user_s_workspace_and_a_neighbour_sees_nothing()
-> anyhow::Result<()> {
    let scratch = Scratch::new("administered", &["alice"]).await?;
    let hers = workspace::running(&scratch, "hers").await?;
    let (url, uid) = (workspace::url(&hers)?, hers.uid().context("no UID")?);
    let (namespace, page) = (&scratch.namespace, format!("/w/{}/hers", scratch.namespace));

    let ruth = Portal::enter("ruth").await?;
    ruth.knows(&page).await?;
    assert!(lists(&ruth, namespace).await?);
    let answer = HttpSession::new()?.sign_in(&url, "ruth").await?;
    assert_eq!(answer.status(), StatusCode::OK);
    let stop = ruth
        .post(&format!("{page}/stop"), &[("uid", &uid), ("name", "hers")])
        .await?;
    assert_eq!(stop.status(), StatusCode::SEE_OTHER);
    workspace::reached(&scratch.api(), "hers", Phase::Stopped).await?;
    // Her kubeconfig has the group.
    let everywhere = Api::<Workspace>::all(cluster::user("ruth").await?);
    let all = everywhere.list(&ListParams::default()).await?;
    assert!(all.iter().any(|one| one.uid().as_ref() == Some(&uid)));
    let in_namespace = Api::namespaced(cluster::user("ruth").await?, namespace);
    workspace::set(
        &in_namespace,
        "hers",
        json!({"desiredStatus": DesiredStatus::Running}),
    )
    .await?;
    workspace::reached(&scratch.api(), "hers", Phase::Running).await?;
    wait::until(
        "the audit record of the administrator's access",
        wait::USUAL,
        || async {
            let records = servers::records("gateway", &uid).await;
            let records = records.map_err(|error| format!("{error:#}"))?;
            let by_ruth = |record: &serde_json::Value| {
                record["user"] == "ruth" && record["event"] == "opened" && record["rule"] == "administrator"
            };
            if records.iter().any(by_ruth) {
                Ok(())
            } else {
                Err(format!("{records:?}"))
            }
        },
    )
    .await?;

    // The name alone is nobody's right.
    let named = Api::<Workspace>::all(cluster::acting_as("ruth", &[]).await?);
    let refused = named.list(&ListParams::default()).await;
    assert!(matches!(refused, Err(kube::Error::Api(status)) if status.code == 403));

    let bob = Portal::enter("bob").await?;
    assert!(!lists(&bob, namespace).await?);
    assert_eq!(bob.open(&page).await?.0, 404);
    let answer = HttpSession::new()?.sign_in(&url, "bob").await?;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let refused = Api::<Workspace>::namespaced(cluster::user("bob").await?, namespace)
        .list(&ListParams::default())
        .await;
    assert!(matches!(refused, Err(kube::Error::Api(status)) if status.code == 403));
    scratch.finish().await
}
