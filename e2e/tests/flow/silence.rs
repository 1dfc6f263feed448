//! Workspaces to which nothing happens cost the API server nothing.

use std::{collections::BTreeMap, time::Duration};

use api::workspace::{DesiredStatus, Phase};
use e2e::{
    audit::Log,
    cluster::{self, Scratch},
    workspace,
};
use kube::{Api, api::PostParams};

/// How long nothing is to be heard.
const SILENCE: Duration = Duration::from_mins(1);
/// Events are written after the status that is waited for.
const LAST_WORDS: Duration = Duration::from_secs(5);

fn counted(calls: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(call.as_str()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn a_start_costs_two_status_writes_and_two_events_and_a_settled_minute_nothing() -> anyhow::Result<()> {
    let scratch = Scratch::new("silence", &["alice"]).await?;
    let alice: Api<api::Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut stopped = workspace::echo("stopped")?;
    stopped.spec.desired_status = DesiredStatus::Stopped;
    alice.create(&PostParams::default(), &stopped).await?;
    workspace::reached(&alice, "stopped", Phase::Stopped).await?;
    tokio::time::sleep(LAST_WORDS).await;

    let log = Log::open()?;
    let created = workspace::echo("running")?;
    alice.create(&PostParams::default(), &created).await?;
    workspace::reached(&alice, "running", Phase::Running).await?;
    tokio::time::sleep(LAST_WORDS).await;
    let calls = log.calls("operator", &scratch.namespace)?;
    let expected = [
        ("create events", 2),
        ("patch deployments", 1),
        ("patch networkpolicies", 1),
        ("patch services", 1),
        ("patch workspaces/status", 2),
    ];
    assert_eq!(counted(&calls), expected.into());

    let log = Log::open()?;
    tokio::time::sleep(SILENCE).await;
    assert_eq!(log.calls("operator", &scratch.namespace)?, Vec::<String>::new());
    scratch.finish().await
}
