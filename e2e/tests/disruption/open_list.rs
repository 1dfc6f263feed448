//! 100 changes, and one while no portal pod runs -> time until an open list shows each.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use api::Workspace;
use e2e::browser::Browser;
use e2e::cluster::{self, Scratch};
use e2e::portal::address;
use e2e::{objects::workspace, wait};
use futures::future::try_join_all;
use kube::Api;
use serde_json::json;

use super::{kill, replaced};

const ROWS: usize = 10;
const CHANGES: usize = 100;
/// Ten changes a second, each row in turn. A row that is late by a second would skip a change, and count as late.
const PACE: Duration = Duration::from_millis(100);
/// Bounds from the API server's answer to the row, in milliseconds: of half of the changes, and of all but one.
const MEDIAN: i64 = 500;
const LATE: i64 = 1_000;

/// Keeps when the page showed the number of a change first. The page is not loaded again while `window.seen` is there.
const RECORD: &str = "
    window.seen = {};
    const look = () => {
        for (const [, number] of document.getElementById('rows').textContent.matchAll(/change-(\\d+)/g)) window.seen[number] ??= Date.now();
    };
    new MutationObserver(look).observe(document.querySelector('main'), {childList: true, subtree: true, characterData: true});
";

fn now() -> anyhow::Result<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(i64::try_from(since.as_millis())?)
}

/// When the page showed each change, in milliseconds; a change that a later one of its row overtook was shown with that one.
async fn shown(browser: &Browser) -> anyhow::Result<Vec<Option<i64>>> {
    let seen = browser.run("return window.seen", Vec::new()).await?;
    let seen = seen.as_object().context("the page was loaded again")?;
    let time = |number: usize| seen.get(&number.to_string()).and_then(serde_json::Value::as_i64);
    let of_row = |number: usize| (number..CHANGES).step_by(ROWS).filter_map(time).min();
    Ok((0..CHANGES).map(of_row).collect())
}

/// How many milliseconds after the API server's answer each change was on the page.
async fn delays(browser: &Browser, workspaces: &Api<Workspace>) -> anyhow::Result<Vec<i64>> {
    browser.run(RECORD, Vec::new()).await?;
    let mut answered = Vec::new();
    let mut tick = tokio::time::interval(PACE);
    for number in 0..CHANGES {
        tick.tick().await;
        let name = json!({"displayName": format!("change-{number}")});
        workspace::set(workspaces, &format!("ws-{}", number % ROWS), name).await?;
        answered.push(now()?);
    }
    let shown = wait::until("each row to show its last change", wait::USUAL, || async {
        let shown = shown(browser).await.map_err(|error| format!("{error:#}"))?;
        let all: Option<Vec<_>> = shown.iter().copied().collect();
        all.ok_or_else(|| format!("{shown:?}"))
    })
    .await?;
    let delays = shown
        .iter()
        .zip(&answered)
        .map(|(shown, answered)| (shown - answered).max(0));
    Ok(delays.collect())
}

#[tokio::test]
async fn an_open_list_shows_100_changes_within_a_second_each_and_later_ones_when_the_portal_s_pods_were_killed()
-> anyhow::Result<()> {
    let _exclusive = super::EXCLUSIVE.lock().await;
    let scratch = Scratch::new("open-list", &["alice"]).await?;
    let names: Vec<_> = (0..ROWS).map(|row| format!("ws-{row}")).collect();
    try_join_all(
        names
            .iter()
            .map(|name| workspace::stopped(&scratch, "alice", name)),
    )
    .await?;
    let workspaces: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let browser = Browser::start().await?;
    let list = address(&format!("/?namespace={}", scratch.namespace))?;
    browser.sign_in(&list, "alice").await?;
    for name in &names {
        browser
            .sees("#rows", &format!("{}/{name}", scratch.namespace))
            .await?;
    }

    let mut delays = delays(&browser, &workspaces).await?;
    delays.sort_unstable();
    let (median, late) = (delays[CHANGES / 2], delays[CHANGES - 2]);
    println!(
        "median {median} ms, all but one {late} ms, the last {} ms",
        delays[CHANGES - 1]
    );
    anyhow::ensure!(median <= MEDIAN && late <= LATE, "{delays:?}");

    let killed = kill("portal").await?;
    let name = json!({"displayName": "changed while no pod was left"});
    workspace::set(&workspaces, "ws-0", name).await?;
    replaced("portal", &killed).await?;
    browser.sees("#rows", "changed while no pod was left").await?;
    workspace::set(&workspaces, "ws-1", json!({"displayName": "changed afterwards"})).await?;
    browser.sees("#rows", "changed afterwards").await?;
    shown(&browser).await?;
    browser.close().await?;
    scratch.finish().await
}
