//! Reports without any failure: few, in order, once.

use api::{
    condition::reason,
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    failures::{Fixture, table},
    objects::workspace,
    row, wait,
};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use serde_json::json;

/// Reasons of the workspace's Events, in the order in which they happened.
async fn events(fixture: &Fixture) -> anyhow::Result<Vec<String>> {
    let mut all = fixture
        .scratch
        .api::<Event>()
        .list(&ListParams::default())
        .await?
        .items;
    all.retain(|event| {
        let regarding = event.regarding.clone().unwrap_or_default();
        regarding.kind.as_deref() == Some("Workspace")
            && regarding.api_version.as_deref() == Some("workspaces.jupyter.org/v1alpha1")
    });
    all.sort_by_key(|event| event.event_time.clone());
    let series = all.iter().filter(|event| event.series.is_some()).count();
    anyhow::ensure!(series == 0, "an Event was repeated: {all:?}");
    Ok(all.into_iter().filter_map(|event| event.reason).collect())
}

async fn expect(fixture: &Fixture, expected: &[&str]) -> anyhow::Result<()> {
    wait::until("the Events", wait::USUAL, || async {
        let now = events(fixture).await.map_err(|error| format!("{error:#}"))?;
        if now == expected {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await
}

async fn start_stop_start(fixture: &Fixture) -> anyhow::Result<()> {
    fixture
        .create(json!({"desiredStatus": DesiredStatus::Stopped}))
        .await?;
    fixture.reached(Phase::Stopped).await?;
    let running = workspace::start(&fixture.alice, &fixture.name).await?;
    let counts = running
        .status
        .and_then(|status| status.containers)
        .unwrap_or_default();
    anyhow::ensure!((counts.ready, counts.total) == (1, 1), "{counts:?}");
    expect(fixture, &[reason::STARTING, reason::READY]).await?;
    workspace::stop(&fixture.alice, &fixture.name).await?;
    let all = [reason::STARTING, reason::READY, reason::STOPPING, reason::STOPPED];
    expect(fixture, &all).await?;
    fixture.wait_cleared().await
}

async fn init_containers_and_sidecars_are_counted(fixture: &Fixture) -> anyhow::Result<()> {
    let image = &e2e::Environment::get()?.images.echo;
    let resources =
        json!({"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}});
    fixture
        .create(json!({"initContainers": [
            {"name": "seed", "image": image, "command": ["python3", "-c", "pass"], "resources": resources},
            {"name": "watcher", "image": image, "command": ["sleep", "3600"], "restartPolicy": "Always", "resources": resources},
        ]}))
        .await?;
    let running = fixture.reached(Phase::Running).await?;
    let counts = running
        .status
        .and_then(|status| status.containers)
        .unwrap_or_default();
    anyhow::ensure!((counts.ready, counts.total) == (3, 3), "{counts:?}");
    fixture.wait_cleared().await
}

#[tokio::test]
async fn successful_starts_and_stops_are_reported_once_and_in_order() -> anyhow::Result<()> {
    let rows = [
        row!(start_stop_start),
        row!(init_containers_and_sidecars_are_counted),
    ];
    table("quiet", rows).await
}
