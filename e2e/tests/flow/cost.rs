//! What a start costs the API server.

use std::{collections::BTreeMap, time::Duration};

use api::workspace::{DesiredStatus, Phase};
use e2e::{
    audit::{self, Log},
    cluster::{self, Scratch},
    workspace,
};
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api,
    api::{ListParams, PostParams},
};

/// Events are written after the status that is waited for.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A busy node may have no room at first, which is a Warning about the workspace; one of so many starts meets no trouble.
const ATTEMPTS: usize = 4;
/// What a start without trouble and without a disk costs.
const UNTROUBLED: [(&str, usize); 5] = [
    ("create events", 2),
    ("create deployments", 1),
    ("create networkpolicies", 1),
    ("create services", 1),
    ("patch workspaces/status", 2),
];

/// Creates a workspace, waits until it runs, and says what that cost.
async fn start(
    scratch: &Scratch,
    workspaces: &Api<api::Workspace>,
    name: &str,
) -> anyhow::Result<Vec<String>> {
    let (mut log, operator) = (Log::open()?, audit::user_of("operator")?);
    workspaces
        .create(&PostParams::default(), &workspace::echo(name)?)
        .await?;
    workspace::reached(workspaces, name, Phase::Running).await?;
    tokio::time::sleep(LAST_WORDS).await;
    let calls = log.calls(|line| line.contains(&scratch.namespace))?;
    let own = calls
        .into_iter()
        .filter(|call| call.user == operator && call.namespace == scratch.namespace);
    Ok(own
        .filter(|call| call.verb != "watch")
        .map(|call| call.what())
        .collect())
}

fn counted(calls: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(call.as_str()).or_default() += 1;
    }
    counts
}

/// Whether a Warning about the workspace was told.
async fn is_troubled(scratch: &Scratch, name: &str) -> anyhow::Result<bool> {
    let about = format!("type=Warning,regarding.kind=Workspace,regarding.name={name}");
    let events = scratch.api::<Event>();
    let warnings = events.list(&ListParams::default().fields(&about)).await?;
    Ok(!warnings.items.is_empty())
}

/// What is done more often than in a start without trouble. Among many starts some of it is done less often.
fn superfluous<'a>(counts: &BTreeMap<&'a str, usize>) -> BTreeMap<&'a str, usize> {
    let usual: BTreeMap<&str, usize> = UNTROUBLED.into();
    let more = counts
        .iter()
        .filter(|(call, count)| **count > usual.get(*call).copied().unwrap_or(0));
    more.map(|(call, count)| (*call, *count)).collect()
}

#[tokio::test]
async fn a_start_costs_two_status_writes_and_two_events() -> anyhow::Result<()> {
    let scratch = Scratch::new("cost", &["alice"]).await?;
    let alice: Api<api::Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    // The first of a namespace makes what its others use as well.
    let mut stopped = workspace::echo("stopped")?;
    stopped.spec.desired_status = DesiredStatus::Stopped;
    alice.create(&PostParams::default(), &stopped).await?;
    workspace::reached(&alice, "stopped", Phase::Stopped).await?;
    tokio::time::sleep(LAST_WORDS).await;

    let mut costs = Vec::new();
    for attempt in 1..=ATTEMPTS {
        let name = format!("running-{attempt}");
        costs = start(&scratch, &alice, &name).await?;
        if counted(&costs) == UNTROUBLED.into() {
            break;
        }
        if !is_troubled(&scratch, &name).await? {
            assert_eq!(
                superfluous(&counted(&costs)),
                BTreeMap::new(),
                "attempt {attempt}"
            );
        }
    }
    assert_eq!(counted(&costs), UNTROUBLED.into());
    scratch.finish().await
}
