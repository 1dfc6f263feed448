//! Calls of a start to the API server.

use std::{collections::BTreeMap, time::Duration};

use api::{
    names,
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    cluster::{
        self, Scratch,
        audit::{self, Log},
    },
    objects::workspace,
    wait,
};
use k8s_openapi::api::{core::v1::ConfigMap, events::v1::Event};
use kube::{
    Api,
    api::{ListParams, PostParams},
};

/// Events are written after the status that is waited for.
const LAST_EVENTS: Duration = Duration::from_secs(5);

/// Starts that are measured.
const STARTS: usize = 2;

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
    tokio::time::sleep(LAST_EVENTS).await;
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

/// Events about the workspace: type, reason and note.
async fn events(scratch: &Scratch, name: &str) -> anyhow::Result<Vec<[Option<String>; 3]>> {
    let about = format!("regarding.kind=Workspace,regarding.name={name}");
    let events = scratch.api::<Event>();
    let all = events.list(&ListParams::default().fields(&about)).await?;
    let text = |event: Event| [event.type_, event.reason, event.note];
    Ok(all.into_iter().map(text).collect())
}

/// Number of Warnings: problems of the start, such as a node that has no room at first.
fn warnings(events: &[[Option<String>; 3]]) -> usize {
    let is_warning = |event: &&[Option<String>; 3]| event[0].as_deref() == Some("Warning");
    events.iter().filter(is_warning).count()
}

/// What a start without a disk may cost. Each problem adds an Event, and a status write when it appears and when it is over.
fn is_within_bound(counts: &BTreeMap<&str, usize>, warnings: usize) -> bool {
    let bounds = [
        ("create pods", 1..=1),
        ("create networkpolicies", 1..=1),
        ("create services", 1..=1),
        ("create events", 1..=2 + warnings),
        ("patch workspaces/status", 1..=2 + 2 * warnings),
    ];
    counts.len() == bounds.len()
        && bounds
            .iter()
            .all(|(call, bound)| counts.get(call).is_some_and(|count| bound.contains(count)))
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
    tokio::time::sleep(LAST_EVENTS).await;
    let config_maps = scratch.api::<ConfigMap>();
    wait::until("the assertion keys in the namespace", wait::USUAL, || async {
        config_maps.get(names::ASSERTION_KEYS).await
    })
    .await?;

    for number in 1..=STARTS {
        let name = format!("running-{number}");
        let calls = start(&scratch, &alice, &name).await?;
        let (counts, events) = (counted(&calls), events(&scratch, &name).await?);
        assert!(
            is_within_bound(&counts, warnings(&events)),
            "start {number}: {counts:?}: {events:?}"
        );
    }
    scratch.finish().await
}
