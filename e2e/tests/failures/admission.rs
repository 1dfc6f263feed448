//! Quotas, ranges, Pod Security and admission rules of others.

use api::condition::reason;
use e2e::{
    failures::{Fixture, table},
    objects::workspace,
    row, wait,
};
use k8s_openapi::api::core::v1::{LimitRange, ResourceQuota};
use serde_json::{Value, json};

use crate::evidence::created;

/// The name of quotas and ranges here.
const RULE: &str = "e2e";

async fn quota(fixture: &Fixture, hard: Value) -> anyhow::Result<()> {
    let quota = json!({"metadata": {"name": RULE}, "spec": {"hard": hard}});
    fixture.make::<ResourceQuota>(quota).await?;
    // Until its usage is counted, the API server refuses with another message.
    let quotas = fixture.scratch.api::<ResourceQuota>();
    wait::until("the quota to be counted", wait::USUAL, || async {
        let now = quotas.get(RULE).await.map_err(|error| error.to_string())?;
        let counted = now
            .status
            .and_then(|status| status.used)
            .is_some_and(|used| !used.is_empty());
        if counted {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    })
    .await
}

async fn raise(fixture: &Fixture, hard: Value) -> anyhow::Result<()> {
    fixture
        .change::<ResourceQuota>(RULE, json!({"spec": {"hard": hard}}))
        .await?;
    fixture.recovered().await
}

async fn refused_pod_is_tried_again(fixture: &Fixture) -> anyhow::Result<()> {
    quota(fixture, json!({"pods": "0"})).await?;
    fixture.create(json!({})).await?;
    let expected = [
        "The Pod was refused",
        "exceeded quota: e2e",
        "stop another workspace",
    ];
    fixture
        .reports(reason::QUOTA_EXCEEDED, &expected, created())
        .await?;
    raise(fixture, json!({"pods": "5"})).await
}

async fn quota_for_storage(fixture: &Fixture) -> anyhow::Result<()> {
    quota(fixture, json!({"requests.storage": "100Mi"})).await?;
    fixture.create(json!({"storage": {"size": "1Gi"}})).await?;
    let expected = ["The PersistentVolumeClaim was refused", "requests.storage=1Gi"];
    fixture
        .reports(reason::QUOTA_EXCEEDED, &expected, created())
        .await?;
    // What the message advises, by the owner.
    workspace::set(
        &fixture.alice,
        &fixture.name,
        json!({"storage": {"size": "100Mi"}}),
    )
    .await?;
    fixture.recovered().await
}

async fn range_for_cpu(fixture: &Fixture) -> anyhow::Result<()> {
    let limit = json!({"type": "Container", "max": {"cpu": "100m"}});
    fixture
        .make::<LimitRange>(json!({"metadata": {"name": RULE}, "spec": {"limits": [limit]}}))
        .await?;
    fixture.create(json!({})).await?;
    let expected = [
        "maximum cpu usage per Container is 100m",
        "LimitRange",
        "spec.resources",
    ];
    fixture
        .reports(reason::ADMISSION_DENIED, &expected, created())
        .await?;
    fixture.delete::<LimitRange>(RULE).await?;
    fixture.recovered().await
}

#[tokio::test]
async fn quota_and_limit_range_refusals_are_reported_and_recover() -> anyhow::Result<()> {
    let rows = [
        row!(refused_pod_is_tried_again),
        row!(quota_for_storage),
        row!(range_for_cpu),
    ];
    table("quota", rows).await
}
