//! An operator that does not live to write its Events: the next one tells what the statuses say, and once.
//!
//! Events are held by an admission rule until the operator has given them up, and then it is killed: what it knew of them is gone.

use anyhow::ensure;
use api::condition::reason;
use e2e::{
    audit::{self, Log},
    cluster::Scratch,
    hold::Hold,
    wait, workspace,
};
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams},
};
use serde_json::json;

use super::{kill, replaced};

/// The Events of the namespace's workspaces, oldest first.
async fn told(events: &Api<Event>) -> anyhow::Result<Vec<Event>> {
    let ours = ListParams::default().fields("regarding.kind=Workspace");
    let mut told = events.list(&ours).await?.items;
    told.sort_by_key(|event| event.event_time.clone());
    Ok(told)
}

fn reasons(events: &[Event]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| event.reason.as_deref())
        .collect()
}

/// Waits until nobody is held any more.
async fn writable(events: &Api<Event>, namespace: &str) -> anyhow::Result<()> {
    let probe: Event = serde_json::from_value(json!({
        "metadata": {"name": "probe"}, "type": "Normal", "reason": "Probe", "action": "Probe", "note": "",
        "eventTime": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
        "reportingController": "e2e.test/probe", "reportingInstance": "e2e",
        "regarding": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": namespace, "name": "probe"},
    }))?;
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    wait::until("Events to be let through", wait::USUAL, || async {
        events
            .create(&dry, &probe)
            .await
            .map(|event| drop(event.name_any()))
            .map_err(|error| error.to_string())
    })
    .await
}

#[tokio::test]
async fn what_an_operator_did_not_live_to_tell_is_told_by_the_next_one_and_once() -> anyhow::Result<()> {
    let _turn = super::TURN.lock().await;
    let (mut log, operator) = (Log::open()?, audit::user_of("operator")?);
    let scratch = Scratch::new("untold", &["alice"]).await?;
    let events = scratch.api::<Event>();
    let hold = Hold::on(&scratch, "events.k8s.io", "v1", "events").await?;
    workspace::running(&scratch, "lab").await?;
    let mut refused = 0;
    let end = tokio::time::Instant::now() + wait::USUAL;
    while refused < 2 {
        let calls = log.calls(|line| line.contains(&scratch.namespace))?;
        let more = calls.iter().filter(|call| {
            call.user == operator && call.resource == "events" && call.is_write() && call.code == 422
        });
        refused += more.count();
        ensure!(tokio::time::Instant::now() < end, "{refused} Events were refused");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let before = told(&events).await?;
    ensure!(before.is_empty(), "{:?}", reasons(&before));
    hold.lift().await?;
    writable(&events, &scratch.namespace).await?;

    let (killed_at, killed) = (Timestamp::now(), kill("operator").await?);
    replaced("operator", &killed).await?;
    // That it started is over by then.
    let expected = [reason::READY];
    let found = wait::until("the Events", wait::USUAL, || async {
        let told = told(&events).await.map_err(|error| format!("{error:#}"))?;
        if reasons(&told) == expected {
            Ok(told)
        } else {
            Err(format!("{:?}", reasons(&told)))
        }
    })
    .await?;
    for event in &found {
        let at = event.event_time.as_ref().map(|time| time.0);
        ensure!(
            at.is_some_and(|at| at < killed_at),
            "told as of its own time: {event:?}"
        );
    }
    // And the one after that finds them told.
    let killed = kill("operator").await?;
    replaced("operator", &killed).await?;
    workspace::stop(&scratch.api(), "lab").await?;
    let now = wait::until("the stop to be told", wait::USUAL, || async {
        let told = told(&events).await.map_err(|error| format!("{error:#}"))?;
        let is_told = reasons(&told).contains(&reason::STOPPED);
        is_told.then_some(told).ok_or_else(|| "not yet".to_owned())
    })
    .await?;
    let all = [reason::READY, reason::STOPPING, reason::STOPPED];
    ensure!(reasons(&now) == all, "{:?}", reasons(&now));
    ensure!(now.iter().all(|event| event.series.is_none()), "{now:?}");
    scratch.finish().await
}
